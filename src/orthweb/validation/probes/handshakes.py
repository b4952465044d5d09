"""Shakes hands with a server as several kinds of clients do: with nothing but a first message, or all the way."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from orthweb.dicom.tls import TlsFiles, client_context
from orthweb.errors import Failure
from orthweb.validation.probes.client_hello import LONGEST_ANSWER, Alert, NotTls, ServerHello, client_hello, read_answer

# X509_V_FLAG_NO_CHECK_TIME (openssl/x509_vfy.h).
_WHATEVER_THE_DATE = 0x200000


@dataclass(frozen=True)
class Server:
    """A port that should speak TLS.

    Parameters
    ----------
    files:
        Whom to trust, and what to show.
    """

    host: str
    port: int
    files: TlsFiles

    @property
    def name(self) -> str | None:
        """What to ask for in the handshake; None when it is called by an address (RFC 6066 section 3)."""
        try:
            ipaddress.ip_address(self.host.partition("%")[0])
        except ValueError:
            return self.host.encode("idna").decode("ascii")
        return None


@dataclass(frozen=True)
class Shown:
    """What a server showed in a whole handshake.

    Parameters
    ----------
    version, suite:
        As this machine's TLS library names them.
    sent:
        Its certificate, and those that it sent with it, in the order in which they came.
    path:
        From its certificate up as far as the trusted authorities lead, whether that is far enough or not.
    """

    version: str
    suite: str
    sent: tuple[x509.Certificate, ...]
    path: tuple[x509.Certificate, ...]


def ask(server: Server, version: int, suites: Sequence[int], seconds: float) -> ServerHello | Alert:
    """Send a ClientHello for one version and some suites, hear the answer, and hang up.

    Raises
    ------
    NotTls
        The answer is none of TLS, or names what was not asked for.
    OSError, TimeoutError
        There was no answer.
    """
    end = time.monotonic() + seconds
    with socket.create_connection((server.host, server.port), seconds) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(client_hello(version, suites, server.name))
        answer = _answer(connection, end)
    if isinstance(answer, ServerHello) and answer.suite not in suites:
        raise NotTls(f"a ServerHello with the suite {answer.suite:#06x}, which was not offered")
    return answer


def accepts(server: Server, version: int, suites: Sequence[int], seconds: float) -> int | None:
    """The suite that the server chooses for this version; None when it refuses; errors as of `ask`, NotTls apart."""
    try:
        answer = ask(server, version, suites, seconds)
    except (NotTls, ConnectionResetError, BrokenPipeError):
        # Some hang up where others send an alert.
        return None
    return answer.suite if isinstance(answer, ServerHello) and answer.version == version else None


def accepted_suites(server: Server, version: int, suites: Sequence[int], seconds: float) -> list[int]:
    """All suites that the server takes with this version, in the order of its liking; errors as of `accepts`."""
    end = time.monotonic() + seconds
    left, found = list(suites), list[int]()
    while left and (chosen := accepts(server, version, left, max(0.1, end - time.monotonic()))) is not None:
        found.append(chosen)
        left.remove(chosen)
    return found


@contextlib.contextmanager
def shaken(server: Server, context: ssl.SSLContext, seconds: float) -> Iterator[ssl.SSLSocket]:
    """A connection after the handshake, closed at the end; each of its steps takes so long at most.

    Raises
    ------
    OSError
        The connection or the handshake failed; ssl.SSLError is one of them.
    """
    with (
        socket.create_connection((server.host, server.port), seconds) as connection,
        context.wrap_socket(connection, server_hostname=server.host) as secure,
    ):
        yield secure


def curious_context(files: TlsFiles) -> ssl.SSLContext:
    """A client that shakes hands with whatever it can, to have a look, and trusts nobody.

    Raises
    ------
    InputError
        A file cannot be used.
    """
    context = client_context(files)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.verify_flags |= _WHATEVER_THE_DATE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    # Else keys and signatures that a distribution finds too weak would end the handshake before they are seen.
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    return context


def strict_context(files: TlsFiles) -> ssl.SSLContext:
    """A curious client that wants a chain up to a trusted authority, and asks for no date, name, size or hash."""
    context = curious_context(files)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def show(server: Server, seconds: float) -> Shown:
    """Shake hands all the way and look at what the server shows.

    Raises
    ------
    OSError
        The handshake failed.
    Failure
        It showed no certificate, or one that cannot be read.
    """
    with shaken(server, curious_context(server.files), seconds) as secure:
        sent, path = _chains(secure)
        version, suite = secure.version() or "no TLS", secure.cipher()
    if not sent:
        raise Failure("it shows no certificate")
    return Shown(version, suite[0] if suite else "no cipher", sent, path)


def _answer(connection: socket.socket, end: float) -> ServerHello | Alert:
    heard = b""
    while True:
        connection.settimeout(max(0.001, end - time.monotonic()))
        some = connection.recv(LONGEST_ANSWER)
        heard += some
        answer = read_answer(heard, ended=not some)
        if answer is not None:
            return answer


def _chains(secure: ssl.SSLSocket) -> tuple[tuple[x509.Certificate, ...], tuple[x509.Certificate, ...]]:
    if sys.version_info >= (3, 13):
        return _loaded(secure.get_unverified_chain()), _loaded(secure.get_verified_chain())
    # Python 3.11 and 3.12 have them too, though not yet for the public.
    inner: Any = vars(secure)["_sslobj"]
    return _loaded(_der(inner.get_unverified_chain())), _loaded(_der(inner.get_verified_chain()))


def _der(chain: Sequence[Any] | None) -> list[bytes]:
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain or ()]


def _loaded(chain: Sequence[bytes]) -> tuple[x509.Certificate, ...]:
    try:
        certificates = tuple(x509.load_der_x509_certificate(each) for each in chain)
        for certificate in certificates:
            # Both are parsed on first use.
            _ = certificate.extensions, certificate.public_key()
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise Failure(f"a certificate that it shows can't be read: {str(error).splitlines()[0]}") from error
    return certificates

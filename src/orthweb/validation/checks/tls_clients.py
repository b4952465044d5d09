"""Checks of how a port treats clients that it must not serve: without a certificate, of a stranger, or stalling."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time

from cryptography.x509.oid import NameOID

from orthweb.dicom.tls import TlsFiles
from orthweb.pki import ensure_authority, load_certificate, write_private
from orthweb.validation.check import Check, check
from orthweb.validation.checks.tls_door import Door
from orthweb.validation.look import Look
from orthweb.validation.probes.cipher_suites import OLDER_SUITES
from orthweb.validation.probes.client_hello import TLS_1_2, client_hello
from orthweb.validation.probes.handshakes import Server, curious_context, shaken
from orthweb.validation.probes.who_answers import associate_request

# A site gives a handshake 5 s.
_STALLED_SECONDS = 9.0
# Not the one of the validation: a site may hang up on who has its title and not its certificate.
_TITLE = "STRANGER"
_NOBODY = "the A-ASSOCIATE-RQ of a client without a certificate"
_STRANGER = "the A-ASSOCIATE-RQ of a client whose certificate is of an unknown authority"


def checks(door: Door, handshake: Check) -> tuple[Check, ...]:
    """The checks of one port's patience and, on the DICOM port, of whom it lets in."""

    @check(
        f"tls.{door.name}.stalled",
        f"{door.title} drops clients that stall in the handshake, and serves others meanwhile.",
        needs=(handshake,),
        limit=_STALLED_SECONDS,
        slow=True,
    )
    def stalled(look: Look) -> str:
        server = door.server(look.target)
        hello = client_hello(TLS_1_2, OLDER_SUITES, server.name)
        with contextlib.ExitStack() as stack:
            began = time.monotonic()
            waiting = {
                stack.enter_context(_connected(look, server, said)): what
                for what, said in (("nothing at all", b""), ("half a ClientHello", hello[: len(hello) // 2]))
            }
            try:
                stack.enter_context(shaken(server, curious_context(server.files), look.remaining(3)))
            except ssl.SSLError as error:
                # It answered, though not as one could wish.
                look.saw("meanwhile another client was told", error)
            except TimeoutError:
                look.fail(
                    f"{door.called} serves nobody else while one client stalls in the handshake",
                    "put a proxy before it that shakes hands with many at once, as 'orthweb up' does",
                )
            _wait_closed(look, waiting, began)
        for what in waiting.values():
            look.wrong(
                f"{door.called} still holds a client that said {what} {time.monotonic() - began:.0f} s ago",
                "'orthweb up' and 'orthweb restart envoy' put the site's proxy right; elsewhere give a handshake "
                "5 seconds",
            )
        return f"both were dropped within {time.monotonic() - began:.1f} s, and another was served meanwhile"

    if door.name != "dicom":
        return (stalled,)

    @check(
        "tls.dicom.nobody",
        "The DICOM port refuses a client without a certificate.",
        needs=(handshake,),
        guide=door.guide,
    )
    def nobody(look: Look) -> str:
        return _must_be_refused(look, door, TlsFiles(), _NOBODY)

    @check(
        "tls.dicom.stranger",
        "The DICOM port refuses a client whose certificate is of an unknown authority.",
        needs=(handshake,),
    )
    def stranger(look: Look) -> str:
        return _must_be_refused(look, door, _stranger(look), _STRANGER)

    return stalled, nobody, stranger


def _connected(look: Look, server: Server, said: bytes) -> socket.socket:
    connection = socket.create_connection((server.host, server.port), look.remaining())
    connection.sendall(said)
    return connection


def _wait_closed(look: Look, waiting: dict[socket.socket, str], began: float) -> None:
    """Wait until the server has closed these connections; those that it has closed are taken out."""
    while waiting:
        # The check has to say what is wrong before its time is over.
        left = look.remaining(_STALLED_SECONDS) - 0.5
        readable, _, _ = select.select(list(waiting), [], [], max(0.0, left))
        if not readable:
            return
        for connection in readable:
            try:
                # An alert may come first.
                closed = not connection.recv(4096)
            except OSError:
                closed = True
            if closed:
                look.saw(waiting.pop(connection), f"dropped after {time.monotonic() - began:.1f} s")


def _must_be_refused(look: Look, door: Door, files: TlsFiles, what: str) -> str:
    refusal = _refusal(look, door.server(look.target), files)
    look.saw(what, refusal or "answered in DICOM")
    if refusal is not None:
        return refusal
    if look.target.dicom.asks_certificates:
        look.fail(
            f"{door.called} answers {what.removeprefix('the A-ASSOCIATE-RQ of ')}: anybody may send and query",
            "bring the site up again with 'orthweb up'; elsewhere have the port ask for certificates of one authority",
        )
    look.warn(
        f"{door.called} asks no client for a certificate: anybody who reaches it may send and query",
        "set dicom.client_certificates to required, and give each device one with 'orthweb certs issue'",
    )
    return ""


def _refusal(look: Look, server: Server, files: TlsFiles) -> str | None:
    """How the server refused a client before it heard any DICOM of it; None when it answered in DICOM."""
    try:
        with shaken(server, curious_context(files), look.remaining()) as secure:
            # With TLS 1.3 the server judges the certificate after the handshake: its alert may be there before this
            # is sent, or come while it is on its way.
            with contextlib.suppress(OSError):
                secure.sendall(associate_request(look.target.dicom.called, _TITLE))
            answered = secure.recv(1)
    except TimeoutError:
        look.fail(
            "the DICOM port neither refuses such a client nor answers it",
            "see the log of what ends TLS there, such as 'orthweb logs dicom'",
        )
    except ssl.SSLEOFError:
        answered = b""
    except ssl.SSLError as error:
        return f"refused: {(error.reason or str(error)).replace('_', ' ').lower()}"
    except ConnectionError:
        answered = b""
    return None if answered else "refused: it hung up"


def _stranger(look: Look) -> TlsFiles:
    """A certificate of an authority that nobody knows, and that has the name of the devices' own."""
    folder = look.data.folder / "stranger"
    own = look.target.dicom.tls.certificate if look.target.dicom.tls else None
    names = load_certificate(own).issuer.get_attributes_for_oid(NameOID.COMMON_NAME) if own else []
    issued = ensure_authority(folder, str(names[0].value) if names else "Unknown authority").issue_client("stranger")
    files = TlsFiles(None, folder / "stranger.crt", folder / "stranger.key")
    write_private(folder / "stranger.crt", issued.fullchain_pem)
    write_private(folder / "stranger.key", issued.key_pem)
    return files

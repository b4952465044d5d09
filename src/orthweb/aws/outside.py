"""The site as its users reach it: HTTPS and DICOM over TLS at an address, with certificates that are verified.

Of a host that has not the site's address, its own public address is asked for the site by name: the certificate holds
the site's address and names, and not the host's own.
"""

from __future__ import annotations

import errno
import socket
import ssl
import time
from dataclasses import dataclass

from orthweb.aws.applied import Applied
from orthweb.dicom.limits import Limits
from orthweb.dicom.tls import TlsFiles, client_context
from orthweb.site.model import OwnCertificate
from orthweb.validation.target import DicomDoor, WebDoor

_SECONDS = 5.0
_LIMITS = Limits(handshake_seconds=_SECONDS, request_seconds=_SECONDS, closing_seconds=1, idle_seconds=_SECONDS)
# Nothing came back, or nothing could be sent.
_SILENCE = frozenset({errno.ETIMEDOUT, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})


@dataclass(frozen=True)
class Doors:
    """What it takes to ask for the site.

    Parameters
    ----------
    name:
        What its certificate has to hold.
    dicom:
        None where this machine has no certificate for a device: DICOM is then not asked.
    """

    name: str
    web: WebDoor
    dicom: DicomDoor | None


@dataclass(frozen=True)
class Answer:
    """What was seen at an address.

    Attributes
    ----------
    web, dicom:
        Empty when it is well, else what is wrong; `dicom` is None when it was not asked.
    silent:
        Nothing came back, not even a refusal: it is down, or this machine is not let through.
    days_left:
        Days that the certificate which was shown lasts; None when it was not verified.
    """

    web: str
    dicom: str | None
    silent: bool = False
    days_left: int | None = None

    @property
    def well(self) -> bool:
        """Whether all that was asked answers as it has to."""
        return not self.web and not self.dicom

    @property
    def complaint(self) -> str:
        """What is wrong, in words; empty when nothing is."""
        return "; ".join(part for part in (self.web, self.dicom) if part)


def doors_of(applied: Applied) -> Doors | None:
    """Find out what it takes to ask for the site; None where this machine has not the site's authority.

    Raises
    ------
    Failure
        The authority's files are damaged.
    """
    from orthweb.pki.own_device import own_device
    from orthweb.validation.of_site import outer_target

    site, paths = applied.site, applied.paths
    own_certificate = isinstance(site.tls.certificate, OwnCertificate)
    authority, key = paths.pki / "ca.crt", paths.pki / "ca.key"
    if not own_certificate and not authority.exists():
        return None
    # Never one that is made here on the way: the site would not know it.
    has_device = authority.exists() and key.exists()
    device = own_device(paths, site) if has_device else TlsFiles()
    name = next(iter(site.tls.names), applied.address)
    target = outer_target(site, paths, device, applied.address, (name,))
    return Doors(name, target.web, target.dicom if has_device else None)


def ask(doors: Doors, address: str) -> Answer:
    """Ask for the site at an address: its health over HTTPS, and C-ECHO. It takes up to 20 seconds.

    Raises
    ------
    InputError
        A file with a certificate cannot be used.
    """
    web, silent, days_left = _web(doors, address)
    if silent:
        return Answer(web, None, silent=True)
    return Answer(web, _dicom(doors, address), days_left=days_left)


def _web(doors: Doors, address: str) -> tuple[str, bool, int | None]:
    from orthweb.validation.probes.web_client import WebClient

    context = client_context(TlsFiles(doors.web.ca))
    try:
        days_left = _days_left(doors, address, context)
    except OSError as error:
        return f"HTTPS: {_words(error)}", _is_silence(error), None
    try:
        status = WebClient(address, doors.web.port, context, doors.name).get("/healthz", timeout=_SECONDS).status
    except OSError as error:
        return f"HTTPS: {_words(error)}", False, days_left
    if status == 200:
        return "", False, days_left
    what = "no Orthanc is well and reaches its database" if status == 503 else "that is not Orthweb's proxy"
    return f"HTTPS: /healthz answers {status}: {what}", False, days_left


def _days_left(doors: Doors, address: str, context: ssl.SSLContext) -> int | None:
    """Days that the server's certificate lasts; raises OSError, a TimeoutError when nobody takes the connection."""
    plain = socket.create_connection((address, doors.web.port), timeout=_SECONDS)
    with plain:
        try:
            with context.wrap_socket(plain, server_hostname=doors.name) as secure:
                shown = secure.getpeercert()
        except TimeoutError:
            raise OSError(f"no TLS handshake within {_SECONDS:.0f} s") from None
    ends = (shown or {}).get("notAfter")
    return int((ssl.cert_time_to_seconds(str(ends)) - time.time()) // 86400) if ends else None


def _dicom(doors: Doors, address: str) -> str | None:
    from orthweb.dicom.errors import DicomError
    from orthweb.dicom.requestor import Peer, Requestor
    from orthweb.dicom.statuses import SUCCESS, words
    from orthweb.dicom.troubles import explain
    from orthweb.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

    door = doors.dicom
    if door is None:
        return None
    tls = client_context(door.tls or TlsFiles())
    peer = Peer(address, door.port, door.called, door.calling, tls, doors.name, _LIMITS)
    proposal = (VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN))
    try:
        with Requestor(peer, [proposal]) as requestor:
            status = requestor.echo()
    except (DicomError, OSError) as error:
        if isinstance(error, OSError) and _is_silence(error) and "handshake" not in str(error):
            # HTTPS has answered, so it is this port that is not open to this machine.
            return None
        return f"DICOM: {explain(error, peer)[0]}"
    return "" if status == SUCCESS else f"DICOM: C-ECHO: {words(status)}"


def _is_silence(error: OSError) -> bool:
    return isinstance(error, TimeoutError) or error.errno in _SILENCE


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: nobody listens there"
    if isinstance(error, TimeoutError):
        return f"no answer at all for {_SECONDS:.0f} s"
    return error.strerror or str(error)

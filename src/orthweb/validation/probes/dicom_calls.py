"""Calls the DICOM port for the checks: whom, as whom, for how long at most, and what to say when it fails."""

from __future__ import annotations

import contextlib
import secrets
import socket
import ssl
import struct
from typing import NoReturn

from orthweb.dicom.errors import AssociationAborted, AssociationRejected, DicomError, NotAccepted
from orthweb.dicom.limits import Limits
from orthweb.dicom.requestor import Peer, Proposal
from orthweb.dicom.tls import client_context
from orthweb.dicom.troubles import explain
from orthweb.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from orthweb.validation.look import Look
from orthweb.validation.target import DicomDoor

UNCOMPRESSED = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
ECHO_PROPOSAL: Proposal = (VERIFICATION, UNCOMPRESSED)
LOGS = "'orthweb status' shows what does not run, and 'orthweb logs' why"
# Each below the time limit of a check, so that it can say what did not come.
_LIMITS = Limits(
    handshake_seconds=5, request_seconds=8, closing_seconds=2, pdu_seconds=8, idle_seconds=10, send_seconds=8
)
# What an association that the peer ended says of it; else it ended because the peer did not answer.
_ENDED_BY_PEER = ("aborted by the peer", "the connection was lost")


def peer_of(door: DicomDoor) -> Peer:
    """The site's DICOM port, as Orthweb's own commands call it; raises InputError."""
    tls = None if door.tls is None else client_context(door.tls)
    return Peer(door.host, door.port, door.called, door.calling, tls, limits=_LIMITS)


class _Resetting(ssl.SSLSocket):
    """A connection that is reset when it is closed."""

    def close(self) -> None:
        with contextlib.suppress(OSError):
            # struct linger: on, for no time.
            self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        super().close()


def refusing_peer_of(door: DicomDoor) -> Peer:
    """As `peer_of`, for calls that may be answered with an abort.

    Orthanc (DCMTK) then waits for the end of the connection. A proxy passes an orderly end on as one half of it only,
    and over TLS DCMTK does not notice that: a thread of Orthanc would be lost for minutes. A reset is passed on whole.
    """
    peer = peer_of(door)
    if peer.tls is not None:
        peer.tls.sslsocket_class = _Resetting
    return peer


def nobody() -> str:
    """An AE title that nobody has."""
    return f"OW-{secrets.token_hex(6).upper()}"


def fail(look: Look, what: str, error: DicomError | OSError, peer: Peer, own: str = LOGS) -> NoReturn:
    """Fail with what went wrong with a call.

    Parameters
    ----------
    what:
        What was tried, such as `C-ECHO`.
    own:
        What to do about it on a site of one's own.
    """
    why, instead = explain(error, peer)
    # Those words are for a command line, and name its options; on one's own site there is a nearer remedy.
    look.fail(f"{what} to {peer.host} port {peer.port}: {why}", remedy(look, own, instead or own))


def remedy(look: Look, own: str, elsewhere: str) -> str:
    """What to do: on a site of one's own, or on one that others run."""
    return own if look.target.inside is not None else elsewhere


def refusal(error: DicomError) -> str | None:
    """How a peer refused, in words; None when it did not refuse but failed, or did not answer."""
    match error:
        case AssociationRejected() | NotAccepted():
            return str(error)
        case AssociationAborted() if str(error).startswith(_ENDED_BY_PEER):
            return str(error)
        case _:
            return None

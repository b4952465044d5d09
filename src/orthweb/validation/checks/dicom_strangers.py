"""Checks of what the DICOM port does with those who speak no DICOM, or none over TLS, and of a port without TLS."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import replace

from orthweb.dicom import pdus
from orthweb.dicom.errors import DicomError
from orthweb.dicom.items import UserInformation
from orthweb.dicom.pdus import AssociateRequest, PresentationContext
from orthweb.dicom.requestor import Peer, Requestor
from orthweb.dicom.transport import Channel, connect, now
from orthweb.dicom.uids import IMPLEMENTATION_CLASS, IMPLEMENTATION_VERSION
from orthweb.validation.check import check
from orthweb.validation.checks import network
from orthweb.validation.checks.dicom_services import ECHO
from orthweb.validation.look import Look
from orthweb.validation.probes.dicom_calls import ECHO_PROPOSAL, fail, nobody, peer_of, remedy

_ANSWERS = (pdus.ASSOCIATE_AC, pdus.ASSOCIATE_RJ, pdus.ABORT)
_MOST_BYTES = 1 << 16
# What servers were seen to wait on, or to give room for.
_NONSENSE = {
    "a PDU of an unknown type": struct.pack(">BxI", 0x09, 4) + b"test",
    "an A-ASSOCIATE-RQ of 4 GB": struct.pack(">BxI", pdus.ASSOCIATE_RQ, 0xFFFFFFFF) + bytes(68),
    "an empty A-ASSOCIATE-RQ": struct.pack(">BxI", pdus.ASSOCIATE_RQ, 0),
    "HTTP": b"GET / HTTP/1.1\r\nHost: orthweb\r\n\r\n",
}
_HALF_REQUEST = struct.pack(">BxIHH", pdus.ASSOCIATE_RQ, 1024, 1, 0) + bytes(60)
# So long others may be kept waiting; a server that is held up by one client waits for 30 s and more.
_PATIENCE_SECONDS = 4.0
_PROXY = "'orthweb up' and 'orthweb restart envoy' put the proxy right"
_GATE = "put a proxy before Orthanc that waits for whole requests, as Orthweb's does"


@check(
    "dicom.without-tls",
    "Nobody stores or queries without TLS, unless the site has a port for that on purpose.",
    needs=(network.DICOM,),
)
def WITHOUT_TLS(look: Look) -> str:
    door = look.target.dicom
    if door.tls is None:
        look.skip("this site is validated without TLS, as was asked for")
    answer = _plain_answer(look, door.port)
    look.saw(f"A-ASSOCIATE-RQ without TLS on port {door.port}", answer or "no answer in DICOM")
    if answer is not None:
        look.wrong(
            f"port {door.port} answers DICOM without TLS: names and images can be read on the way",
            remedy(look, _PROXY, "let what answers there demand TLS"),
        )
    if door.plaintext_port is not None:
        _judge_plaintext(look, door.plaintext_port)
    return f"port {door.port} gives no answer without TLS"


def _judge_plaintext(look: Look, port: int) -> None:
    try:
        answer = _plain_answer(look, port)
    except OSError as error:
        look.fail(
            f"port {port}, without TLS on purpose, does not answer: {error.strerror or error}",
            "bring the site up with 'orthweb up', or take dicom.plaintext out of orthweb.yaml",
        )
    look.saw(f"A-ASSOCIATE-RQ without TLS on port {port}", answer or "no answer in DICOM: this machine may not call it")
    look.warn(
        f"port {port} takes DICOM without TLS, on purpose: names and images can be read on the way there, and who "
        "calls is known by address and AE title only",
        "take dicom.plaintext out of orthweb.yaml as soon as no device needs it",
    )


def _plain_answer(look: Look, port: int) -> str | None:
    """What a port answers to a request in plain DICOM; None when it isn't DICOM. Raises OSError when nobody listens."""
    door = look.target.dicom
    abstract, syntaxes = ECHO_PROPOSAL
    request = AssociateRequest(
        # Orthweb's own title is nobody's without its certificate.
        nobody(),
        door.called,
        (PresentationContext(1, abstract, syntaxes),),
        UserInformation(16384, IMPLEMENTATION_CLASS, IMPLEMENTATION_VERSION),
    )
    channel, _ = connect(door.host, port, None, now() + look.remaining())
    try:
        channel.send(pdus.build_associate(request), look.remaining())
        answer = _received(channel, look.remaining())
    except OSError:
        return None
    finally:
        channel.close()
    return pdus.name(answer[0]) if answer and answer[0] in _ANSWERS else None


@check(
    "dicom.nonsense",
    "Who sends nonsense, or stops in the middle of a request, is cut off and keeps nobody else out.",
    needs=(ECHO,),
    limit=40,
)
def NONSENSE(look: Look) -> str:
    peer = peer_of(look.target.dicom)
    try:
        with Requestor(peer, [ECHO_PROPOSAL]) as before:
            for what, data in _NONSENSE.items():
                # One at a time: where it is not cut off, it may hold up a whole server.
                _send_nonsense(look, peer, what, data)
            with _stalled(peer):
                _call(look, peer)
            status = before.echo()
    except (DicomError, OSError) as error:
        fail(look, "an association beside one of nonsense", error, peer)
    look.saw("C-ECHO on an association from before", f"status {status:04X}H")
    return f"{len(_NONSENSE)} kinds of nonsense cut off, and others served meanwhile"


def _send_nonsense(look: Look, peer: Peer, what: str, data: bytes) -> None:
    channel, _ = connect(peer.host, peer.port, peer.tls, now() + look.remaining(), peer.server_name)
    try:
        channel.send(data, look.remaining())
        answer = _received(channel, _PATIENCE_SECONDS)
    except TimeoutError:
        raise
    except OSError as error:
        # Reset before all of it was taken.
        answer = b""
        look.saw(what, f"cut off: {error.strerror or error}")
    else:
        look.saw(what, "still connected" if answer is None else f"cut off{f', after {answer.hex()}' if answer else ''}")
    finally:
        channel.close()
    if answer is None:
        look.fail(
            f"{what} is neither answered nor cut off within {_PATIENCE_SECONDS:g} s",
            remedy(look, _PROXY, _GATE),
        )


@contextlib.contextmanager
def _stalled(peer: Peer) -> Iterator[None]:
    """Somebody who has sent half a request, and waits."""
    channel, _ = connect(peer.host, peer.port, peer.tls, now() + peer.limits.handshake_seconds, peer.server_name)
    try:
        channel.send(_HALF_REQUEST, peer.limits.send_seconds)
        yield
    finally:
        channel.close()


def _call(look: Look, peer: Peer) -> None:
    began = now()
    hurried = replace(peer, limits=replace(peer.limits, request_seconds=_PATIENCE_SECONDS))
    try:
        with Requestor(hurried, [ECHO_PROPOSAL]) as requestor:
            requestor.echo()
    except (DicomError, OSError) as error:
        look.fail(
            f"one client that stops in the middle of its request keeps all others out: {error}",
            remedy(look, _PROXY, _GATE),
        )
    look.saw("C-ECHO beside half a request", f"answered after {now() - began:.3f} s")


def _received(channel: Channel, seconds: float) -> bytes | None:
    """What the peer answers: empty when it closes the connection at once, None when it does neither in time."""
    buffer = memoryview(bytearray(_MOST_BYTES))
    got = channel.receive_into(buffer, now() + seconds)
    return None if got is None else bytes(buffer[:got])

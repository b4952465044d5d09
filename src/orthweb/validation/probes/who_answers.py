"""Finds out what answers on a port: it is greeted in several protocols, each on a connection of its own."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from enum import StrEnum

from orthweb.dicom.items import UserInformation
from orthweb.dicom.pdus import AssociateRequest, PresentationContext, build_associate
from orthweb.dicom.uids import IMPLEMENTATION_CLASS, IMPLEMENTATION_VERSION, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from orthweb.validation.probes.cipher_suites import OLDER_SUITES
from orthweb.validation.probes.client_hello import TLS_1_2, client_hello

_MOST_BYTES = 1 << 16


class Kind(StrEnum):
    """What answers on a port."""

    POSTGRESQL = "PostgreSQL"
    ENVOY = "Envoy's administration"
    ORTHANC = "Orthanc's web server"
    DICOM = "a DICOM service"
    TLS = "something that speaks TLS"
    WEB = "a web server"
    UNKNOWN = "something unknown"


def associate_request(called: str, calling: str) -> bytes:
    """Make an A-ASSOCIATE-RQ for C-ECHO."""
    user = UserInformation(16384, IMPLEMENTATION_CLASS, IMPLEMENTATION_VERSION)
    contexts = (PresentationContext(1, VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,)),)
    return build_associate(AssociateRequest(calling, called, contexts, user))


# The quick ones first: each of these is answered at once, or not taken for the beginning of something longer.
_GREETINGS = (
    # Envoy's administration takes no HTTP/1.0.
    b"GET /server_info HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    # Whether it would speak TLS (PostgreSQL documentation, "SSLRequest").
    struct.pack("!II", 8, 80877103),
    associate_request("ANY-SCP", "ORTHWEB"),
    client_hello(TLS_1_2, OLDER_SUITES),
)


def who_answers(host: str, port: int, seconds: float) -> Kind | None:
    """What takes connections on a port; None when nobody does.

    Parameters
    ----------
    seconds:
        For each of the few greetings.
    """
    try:
        socket.create_connection((host, port), seconds).close()
    except OSError:
        return None
    found = Kind.UNKNOWN
    for words in _GREETINGS:
        kind = _kind(_answer(host, port, words, seconds))
        if kind is Kind.WEB:
            # What it is of shows in the answer to a proper request.
            found = kind
        elif kind is not None:
            return kind
    return found


def _answer(host: str, port: int, words: bytes, seconds: float) -> bytes:
    """What is answered to these words until it is clear what it is, or the connection ends."""
    answer, end = b"", time.monotonic() + seconds
    with contextlib.suppress(OSError), socket.create_connection((host, port), seconds) as connection:
        connection.sendall(words)
        while len(answer) < _MOST_BYTES and _kind(answer) in (None, Kind.WEB):
            connection.settimeout(max(0.001, end - time.monotonic()))
            some = connection.recv(_MOST_BYTES)
            if not some:
                break
            answer += some
    return answer


def _kind(answer: bytes) -> Kind | None:
    if answer in (b"S", b"N"):
        return Kind.POSTGRESQL
    # A-ASSOCIATE-AC, A-ASSOCIATE-RJ or A-ABORT, and the reserved byte (PS3.8 section 9.3).
    if len(answer) >= 10 and answer[0] in (2, 3, 7) and answer[1] == 0:
        return Kind.DICOM
    # A record with a handshake message or an alert (RFC 8446 section 5.1).
    if len(answer) >= 5 and answer[0] in (21, 22) and answer[1] == 3:
        return Kind.TLS
    if not answer.startswith(b"HTTP/"):
        return None
    if b"orthanc" in answer.lower():
        return Kind.ORTHANC
    # Of what Envoy tells at this path (Envoy documentation, "Administration interface").
    return Kind.ENVOY if b'"hot_restart_version"' in answer else Kind.WEB

"""What fuzzing begins with: whole dialogues, pynetdicom's examples, and the beginnings of pydicom's files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pydicom
from dicom_local_user import CT_STORAGE, REQUEST, acceptance, message, value_pdu
from pynetdicom.tests import encoded_dimse_msg, encoded_dimse_n_msg, encoded_pdu_items

from orthweb.dicom.command import C_ECHO_RQ, C_STORE_RQ, request
from orthweb.dicom.items import (
    AsynchronousOperations,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    Role,
    UserIdentity,
    UserInformation,
)
from orthweb.dicom.pdus import (
    RELEASE_RP,
    RELEASE_RQ,
    Abort,
    AssociateReject,
    AssociateRequest,
    build_abort,
    build_associate,
    build_reject,
    build_release,
)
from orthweb.dicom.uids import VERIFICATION

_ECHO = message(1, request(C_ECHO_RQ, 1, VERIFICATION))
_STORE = message(3, request(C_STORE_RQ, 2, CT_STORAGE, "1.2.3", dataset=True), b"\x10\0\x20\0LO\4\x001234", size=50)
_EVERYTHING = UserInformation(
    16384,
    "1.2.3",
    "VERSION",
    AsynchronousOperations(2, 2),
    (Role(CT_STORAGE, scu=True, scp=True),),
    (ExtendedNegotiation(CT_STORAGE, b"\1\2"),),
    (CommonExtendedNegotiation(CT_STORAGE, "1.2", ("1.3", "1.4")),),
    UserIdentity(2, b"user", b"secret", response_requested=True),
    b"welcome",
    ((0x60, b"?"),),
)
_REQUESTS = [
    build_associate(AssociateRequest("A", "B", REQUEST.contexts, information))
    for information in (UserInformation(), _EVERYTHING)
]
_ACCEPT = build_associate(acceptance(REQUEST))
_RELEASE, _RELEASED = build_release(RELEASE_RQ), build_release(RELEASE_RP)
_ABORT, _REJECT = build_abort(Abort(2, 2)), build_reject(AssociateReject(1, 1, 7))


def seeds(target: str) -> Iterator[bytes]:
    """Inputs of a target of `dicom_oracle`; the first byte of most says how the rest is delivered."""
    if target == "file":
        for path in sorted((Path(pydicom.__file__).parent / "data").rglob("*")):
            if path.is_file():
                yield path.read_bytes()[:2048]
        return
    for flags in range(8):
        for stream in _streams(target):
            yield bytes([flags]) + stream


def _streams(target: str) -> list[bytes]:
    ends = [_RELEASE, _ABORT, b"\x16\3\1", b"GET / HTTP/1.1"]
    if target == "acceptor":
        return [start + data + end for start in _REQUESTS for data in (b"", _ECHO, _STORE) for end in ends]
    if target == "requestor":
        ends += [_RELEASED, _RELEASE + _RELEASED, _RELEASE]
        return [_REJECT, *(_ACCEPT + data + end for data in (b"", _ECHO) for end in ends), *_examples("a_associate_ac")]
    fragments = [
        value_pdu(1, data[1:], command=True, last=True)
        for data in _examples("", encoded_dimse_msg, encoded_dimse_n_msg)
    ]
    return [_ECHO + _STORE + _ECHO, *(_STORE + end for end in ends), *fragments, *_examples("p_data_tf")]


def _examples(prefix: str, *modules: object) -> list[bytes]:
    found = [vars(module) for module in modules or (encoded_pdu_items,)]
    return [
        data for names in found for name, data in names.items() if name.startswith(prefix) and isinstance(data, bytes)
    ]

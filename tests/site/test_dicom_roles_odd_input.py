"""Odd input on real sockets: what a peer may send is taken, what it must not is answered as the standard says."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from dicom_local_user import CT_STORAGE, value_pdu
from dicom_peers import parts, receiving, whole
from dicom_samples import dataset, uid_of
from dicom_wire import (
    ASSOCIATE,
    BY_THE_USER,
    ECHO,
    INVALID_VALUE,
    RELEASE,
    STORAGE_CONTEXT,
    UNEXPECTED_PDU,
    UNRECOGNIZED_PDU,
    a_dataset,
    calling,
    store,
    store_request,
)
from doors import half_client_hello
from harness import eventually

from orthweb.dicom.acceptor import any_storage
from orthweb.dicom.command import C_CANCEL_RQ, C_STORE_RSP, Command, build_command, request
from orthweb.dicom.folder import into_folder
from orthweb.dicom.pdus import P_DATA_TF, RELEASE_RP
from orthweb.dicom.uids import VERIFICATION

COMMAND = build_command(store_request("odd"))
DATA = a_dataset("odd")
LONG = DATA + bytes(262_144)


def pdvs(*values: tuple[bytes, int]) -> bytes:
    """One P-DATA-TF of several presentation data values, each with its message control header."""
    body = b"".join(struct.pack(">IBB", len(data) + 2, STORAGE_CONTEXT, control) + data for data, control in values)
    return struct.pack(">BxI", P_DATA_TF, len(body)) + body


def cut(data: bytes, size: int, command: bool) -> bytes:
    """P-DATA-TFs of one fragment of at most `size` bytes each."""
    starts = range(0, len(data), size)
    return b"".join(
        value_pdu(STORAGE_CONTEXT, data[at : at + size], command, last=at + size >= len(data)) for at in starts
    )


TAKEN = {
    "the command in fragments of 8 bytes": cut(COMMAND, 8, command=True) + cut(DATA, 16378, command=False),
    "fragments of odd lengths": cut(COMMAND, 13, command=True) + cut(DATA, 997, command=False),
    "fragments of one byte": cut(COMMAND, 1, command=True) + cut(DATA, 1, command=False),
    "several command fragments in one PDU": pdvs((COMMAND[:10], 1), (COMMAND[10:11], 1), (COMMAND[11:], 3))
    + cut(DATA, 16378, command=False),
    "command and dataset in one PDU": pdvs((COMMAND, 3), (DATA[:100], 0), (DATA[100:], 2)),
    "fragments without a byte": pdvs((b"", 1), (COMMAND, 1), (b"", 3)) + pdvs((b"", 0), (DATA, 0), (b"", 2)),
    "PDUs without a fragment": struct.pack(">BxI", P_DATA_TF, 0).join(
        [b"", cut(COMMAND, 16378, command=True), cut(DATA, 16378, command=False), b""]
    ),
    "reserved bits in the control header": pdvs((COMMAND, 0xFF)) + pdvs((DATA, 0xFE)),
    "a PDU that counts its own header in the maximum length": cut(COMMAND, 99, command=True)
    + cut(LONG, 262_144, command=False),
}


@pytest.mark.parametrize("kind", TAKEN)
def test_a_store_of_this_form_is_taken(folder: Path, kind: str) -> None:
    with receiving(into_folder(folder, durable=False)) as server, calling(server.port) as wire:
        wire.associate()
        wire.send(TAKEN[kind])
        assert wire.response().status == 0
        wire.release()
        assert dataset(folder / f"{uid_of('odd')}.dcm") == (LONG if len(TAKEN[kind]) > len(LONG) else DATA)


def test_a_store_in_writes_of_one_byte_is_taken(folder: Path) -> None:
    with receiving(into_folder(folder, durable=False)) as server, calling(server.port) as wire:
        wire.send(ASSOCIATE, piece=1)
        wire.pdu()
        wire.send(store("odd", DATA), piece=1)
        assert wire.response().status == 0
        wire.send(RELEASE, piece=1)
        assert wire.pdu()[0] == RELEASE_RP
        assert dataset(folder / f"{uid_of('odd')}.dcm") == DATA


def test_stores_that_do_not_wait_for_their_responses_are_answered_in_their_order(folder: Path) -> None:
    names = ["first", "second", "third"]
    with receiving(into_folder(folder, durable=False)) as server, calling(server.port) as wire:
        wire.associate()
        # The release too comes before the first response has been read.
        wire.send(b"".join(store(name, message_id=number) for number, name in enumerate(names, 10)) + RELEASE)
        assert [wire.response().responded_id for _ in names] == [10, 11, 12]
        assert wire.pdu()[0] == RELEASE_RP
    assert whole(folder) == {uid_of(name) for name in names}
    for name in names:
        assert dataset(folder / f"{uid_of(name)}.dcm") == a_dataset(name)


def test_an_unknown_user_information_item_is_passed_over() -> None:
    # The user information is the last item: the unknown one goes at its end, and the lengths around it grow.
    unknown = struct.pack(">BxH", 0x6F, 3) + b"???"
    at = ASSOCIATE.rindex(b"\x50\0", 0, ASSOCIATE.index(b"\x51\0\0\x04"))
    (length,) = struct.unpack_from(">H", ASSOCIATE, at + 2)
    whole_length = len(ASSOCIATE) - 6 + len(unknown)
    data = b"".join(
        [
            struct.pack(">BxI", 1, whole_length),
            ASSOCIATE[6 : at + 2],
            struct.pack(">H", length + len(unknown)),
            ASSOCIATE[at + 4 :],
            unknown,
        ]
    )
    with receiving(lambda _: 0) as server, calling(server.port) as wire:
        wire.associate(data)
        wire.send(ECHO)
        assert wire.response().status == 0


def test_what_nobody_offers_is_answered_and_the_association_goes_on(folder: Path) -> None:
    find = request(0x0020, 1, CT_STORAGE, dataset=True)
    with receiving(into_folder(folder, durable=False)) as server, calling(server.port) as wire:
        wire.associate()
        wire.send(value_pdu(STORAGE_CONTEXT, build_command(find), command=True, last=True) + cut(DATA, 99, False))
        assert wire.response().status == 0x0211
        for passed_over in (
            Command(C_CANCEL_RQ, responded_id=1),
            Command(C_STORE_RSP, responded_id=1, status=0, affected_sop_class=VERIFICATION),
        ):
            wire.send(value_pdu(STORAGE_CONTEXT, build_command(passed_over), command=True, last=True))
        wire.send(store("after"))
        assert wire.response().status == 0
        wire.release()


@pytest.mark.parametrize("uid", ["../../escaped", "1.2/3", "1." * 40 + "1", "1.2.3\n"])
def test_an_instance_whose_uid_is_none_is_refused_and_makes_no_file(folder: Path, uid: str) -> None:
    kept = folder / "a" / "b"
    kept.mkdir(parents=True)
    command = request(1, 1, CT_STORAGE, uid, dataset=True)
    with receiving(into_folder(kept)) as server, calling(server.port) as wire:
        wire.associate()
        wire.send(value_pdu(STORAGE_CONTEXT, build_command(command), command=True, last=True) + cut(DATA, 99, False))
        assert wire.response().status == 0x0117
        wire.release()
    assert [path for path in folder.rglob("*") if path.is_file()] == []


BEFORE_AN_ASSOCIATION = {
    "the hello of TLS": half_client_hello(),
    "HTTP": b"GET / HTTP/1.1\r\nHost: archive\r\n\r\n",
    "a request of 4 GB": struct.pack(">BxI", 1, 0xFFFFFFFF),
    "data": store("early"),
    "a release": RELEASE,
    "a request with an item that is longer than it": ASSOCIATE[:-20] + b"\x50\0\xff\xff" + bytes(16),
}


@pytest.mark.parametrize("kind", BEFORE_AN_ASSOCIATION)
def test_who_begins_with_this_is_aborted_at_once(kind: str) -> None:
    with receiving(lambda _: 0) as server:
        with calling(server.port) as wire:
            wire.send(BEFORE_AN_ASSOCIATION[kind])
            assert wire.aborted() == BY_THE_USER
        still_serves(server.port)


WITHIN_AN_ASSOCIATION = {
    "a PDU of 4 GB": (struct.pack(">BxI", P_DATA_TF, 0xFFFFFFFF), INVALID_VALUE),
    "a PDU over the maximum length": (struct.pack(">BxI", P_DATA_TF, 262_144 + 7), INVALID_VALUE),
    "a release of 4 GB": (struct.pack(">BxI", 5, 0xFFFFFFFF), INVALID_VALUE),
    "a type that is none": (b"\x08\0\0\0\0\x04\0\0\0\0", UNRECOGNIZED_PDU),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", UNRECOGNIZED_PDU),
    "a second request": (ASSOCIATE, UNEXPECTED_PDU),
    "an answer to a release that nobody asked for": (b"\x06\0\0\0\0\x04\0\0\0\0", UNEXPECTED_PDU),
    "a context that is not accepted": (
        struct.pack(">BxIIBB", P_DATA_TF, 8, 4, 99, 3) + b"??",
        INVALID_VALUE,
    ),
    "a fragment that is longer than its PDU": (struct.pack(">BxIIBB", P_DATA_TF, 8, 5, 3, 3) + b"??", INVALID_VALUE),
    "a fragment without a header": (struct.pack(">BxIIB", P_DATA_TF, 5, 1, 3), INVALID_VALUE),
    "a dataset without a command": (cut(DATA, 99, command=False), BY_THE_USER),
    "a command that is none": (value_pdu(3, b"\xff" * 20, command=True, last=True), BY_THE_USER),
    "a command within a dataset": (
        cut(COMMAND, 99, command=True) + value_pdu(3, DATA[:100], command=False, last=False) + ECHO,
        BY_THE_USER,
    ),
    "a command without end": (value_pdu(3, bytes(70_000), command=True, last=False), BY_THE_USER),
}


@pytest.mark.parametrize("kind", WITHIN_AN_ASSOCIATION)
def test_who_sends_this_within_an_association_is_aborted(folder: Path, kind: str) -> None:
    data, expected = WITHIN_AN_ASSOCIATION[kind]
    with receiving(into_folder(folder, durable=False)) as server:
        with calling(server.port) as wire:
            wire.associate()
            wire.send(store("before"))
            assert wire.response().status == 0
            wire.send(data)
            assert wire.aborted() == expected
        still_serves(server.port)
    assert whole(folder) == {uid_of("before")}
    assert parts(folder) == []


def test_who_breaks_off_in_a_dataset_leaves_nothing_of_it(folder: Path) -> None:
    with receiving(into_folder(folder, durable=False)) as server:
        for ending in (b"", b"\x07\0\0\0\0\x04\0\0\0\0"):
            with calling(server.port) as wire:
                wire.associate()
                wire.send(store("half")[:-100])
                eventually(lambda: len(parts(folder)) == 1, 10, "the instance to begin")
                if ending:
                    wire.send(ending)
            eventually(lambda: not parts(folder), 10, "the beginning of the instance to be removed")
    assert whole(folder) == set()


@pytest.mark.parametrize(
    ("sop_class", "taken"),
    [
        (CT_STORAGE, True),
        # Color palettes are of no patient, and their class has a number of its own.
        ("1.2.840.10008.5.1.4.39.1", True),
        ("1.2.826.0.1.3680043.10.1.4711", True),
        ("1.2.840.10008.5.1.4.1.2.2.1", False),
        ("1.2.840.10008.1.3.10", False),
        ("1.2.840.10008.1.20.1", False),
    ],
)
def test_storage_classes_are_taken_and_no_others(sop_class: str, taken: bool) -> None:
    assert any_storage(sop_class) is taken


def still_serves(port: int) -> None:
    with calling(port) as wire:
        wire.associate()
        wire.send(ECHO)
        assert wire.response().status == 0
        wire.release()


def test_a_peer_that_ends_after_its_release_without_waiting_is_no_trouble() -> None:
    with receiving(lambda _: 0) as server:
        with calling(server.port) as wire:
            wire.associate()
            wire.send(RELEASE)
            wire.reset()
        still_serves(server.port)

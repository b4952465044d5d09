"""Bytes as a network delivers them: cut anywhere, odd, endless, or of another protocol."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from dicom_local_user import CT_STORAGE, REQUEST, LocalUser, acceptor, message, value_pdu
from dicom_strategies import BYTE, CONTEXT_IDS
from hypothesis import given, settings
from hypothesis import strategies as st

from orthweb.dicom.command import C_ECHO_RQ, C_STORE_RQ, build_command, request
from orthweb.dicom.errors import InvalidPdu
from orthweb.dicom.framing import Fragment, Framer, Whole
from orthweb.dicom.indications import Aborted, AssociateRequested
from orthweb.dicom.items import UserInformation
from orthweb.dicom.limits import Limits
from orthweb.dicom.pdus import (
    HEADER,
    P_DATA_TF,
    PDV_HEADER,
    RELEASE_RQ,
    Abort,
    AssociateRequest,
    PresentationContext,
    build_abort,
    build_associate,
    build_reject,
    build_release,
)
from orthweb.dicom.pdus import AssociateReject as Reject
from orthweb.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

ECHO = request(C_ECHO_RQ, 7, VERIFICATION)
STORE = request(C_STORE_RQ, 8, CT_STORAGE, "1.2.3.4", dataset=True)
DATASET = bytes(range(256)) * 5


def value(context_id: int, data: bytes, control: int) -> bytes:
    return PDV_HEADER.pack(len(data) + 2, context_id, control) + data


def data_pdu(*values: bytes) -> bytes:
    content = b"".join(values)
    return HEADER.pack(P_DATA_TF, len(content)) + content


VALUES = st.builds(value, CONTEXT_IDS, st.binary(max_size=40), BYTE)
WHOLE = st.sampled_from(
    [
        build_associate(REQUEST),
        build_release(RELEASE_RQ),
        build_abort(Abort(2, 1)),
        build_reject(Reject(1, 2, 3)),
        b"\x08\0",
        b"\x05\0\0\0\0\x05",
    ]
)
STREAMS = st.lists(st.lists(VALUES, max_size=4).map(lambda values: data_pdu(*values)) | WHOLE, max_size=6)
CUTS = st.lists(st.integers(0, 1200), max_size=30)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(at for at in cuts if at < len(data))})
    return [data[start:end] for start, end in pairwise(places)]


def cuts_of(parts: list[bytes]) -> list[object]:
    """What a framer makes of the parts; fragments that follow one another within a PDU are put together."""
    framer = Framer(Limits())
    found: list[object] = []
    for part in parts:
        for piece in framer.feed(memoryview(part)):
            if isinstance(piece, InvalidPdu):
                return [*found, (str(piece), piece.reason)]
            before = found[-1] if found else None
            if isinstance(piece, Fragment):
                kind, data = (piece.context_id, piece.command), bytes(piece.data)
                if isinstance(before, tuple) and before[0] == kind and not before[1]:
                    data = before[2] + data
                    found.pop()
                found.append((kind, piece.last, data))
            else:
                found.append(bytes(piece.body) if isinstance(piece, Whole) else piece)
    return found


@given(STREAMS, CUTS)
def test_the_same_bytes_are_the_same_however_they_are_cut(stream: list[bytes], cuts: list[int]) -> None:
    data = b"".join(stream)
    whole = cuts_of([data])
    assert cuts_of(cut(data, cuts)) == whole
    assert cuts_of([data[at : at + 1] for at in range(len(data))]) == whole


MESSAGES = st.lists(st.binary(max_size=300) | st.none(), max_size=5)


@given(MESSAGES, st.integers(1, 200), CUTS)
def test_messages_arrive_however_they_are_fragmented_and_cut(
    datasets: list[bytes | None], size: int, cuts: list[int]
) -> None:
    stream = b"".join(message(1, ECHO) if data is None else message(3, STORE, data, size) for data in datasets)
    user = acceptor()
    for part in cut(stream, cuts):
        user.hear(part)
    assert user.commands == [(1, ECHO) if data is None else (3, STORE) for data in datasets]
    assert user.datasets == [data for data in datasets if data is not None]
    assert user.sent == b""
    assert user.layer.established


@given(st.binary(max_size=200), CUTS)
@settings(max_examples=300)
def test_whatever_comes_there_is_an_end_in_sight(data: bytes, cuts: list[int]) -> None:
    for user in (acceptor(), acceptor(established=False)):
        for part in cut(data, cuts):
            user.hear(part)
        assert user.layer.finished or user.layer.deadline is not None


HALF = len(build_command(ECHO)) // 2
FIRST, REST = build_command(ECHO)[:HALF], build_command(ECHO)[HALF:]
ODD_BUT_CLEAR = {
    "a command in PDUs of 8 bytes": message(1, ECHO, size=8),
    "fragments of odd lengths": message(1, ECHO, size=7),
    "a presentation data value of no length": data_pdu(value(1, b"", 1), value(1, build_command(ECHO), 3)),
    "a last value of no length": data_pdu(value(1, build_command(ECHO), 1)) + data_pdu(value(1, b"", 3)),
    "several command values in one PDU": data_pdu(value(1, FIRST, 1), value(1, REST, 3)),
    "an empty PDU": data_pdu() + data_pdu(value(1, FIRST, 1)) + data_pdu() + data_pdu(value(1, REST, 3)) + data_pdu(),
    "reserved bits in the message control header": data_pdu(value(1, build_command(ECHO), 0xFF)),
}


@pytest.mark.parametrize("odd", ODD_BUT_CLEAR)
@pytest.mark.parametrize("step", [1, 1000], ids=["1-byte writes", "one write"])
def test_odd_input_that_is_clear_is_taken(odd: str, step: int) -> None:
    data, user = ODD_BUT_CLEAR[odd], acceptor()
    for at in range(0, len(data), step):
        user.hear(data[at : at + step])
    assert user.commands == [(1, ECHO)]
    assert user.layer.established
    assert user.sent == b""


def test_command_and_dataset_may_share_a_pdu() -> None:
    user = acceptor()
    user.hear(data_pdu(value(3, build_command(STORE), 3), value(3, DATASET, 2)))
    assert user.commands == [(3, STORE)]
    assert user.datasets == [DATASET]


def test_a_second_store_may_come_before_the_first_is_answered() -> None:
    user = acceptor()
    user.hear(message(3, STORE, DATASET) + message(3, STORE, DATASET[::-1]))
    assert user.commands == [(3, STORE)] * 2
    assert user.datasets == [DATASET, DATASET[::-1]]
    assert user.layer.established


@pytest.mark.parametrize("over", [0, 6])
def test_a_pdu_of_the_maximum_is_taken_also_by_those_who_count_its_header(over: int) -> None:
    limits = Limits(maximum_length=1000)
    user = acceptor(limits)
    user.hear(message(3, STORE, bytes(994 + over), size=994 + over))
    assert user.datasets == [bytes(994 + over)]


def test_a_pdu_over_the_maximum_is_answered_with_an_abort() -> None:
    user = acceptor(Limits(maximum_length=1000))
    user.hear(message(3, STORE))
    user.hear(value_pdu(3, bytes(1001), command=False, last=True))
    assert user.datasets == []
    assert user.sent == build_abort(Abort(2, 6))
    assert user.layer.why == "P-DATA-TF of 1007 bytes; 0 to 1006 are allowed"


def test_an_unknown_user_information_item_does_not_matter() -> None:
    information = UserInformation(16384, "1.2.3", other=((0x5A, b"?"), (0xFF, b"")))
    user = acceptor(established=False)
    user.hear(build_associate(AssociateRequest("A", "B", REQUEST.contexts, information)))
    assert user.layer.established


def test_private_sop_classes_and_new_transfer_syntaxes_are_put_to_the_user() -> None:
    htj2k, jpeg_xl, private = "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.110", "1.3.12.2.1107.5.9.1"
    contexts = (
        PresentationContext(1, private, (EXPLICIT_VR_LITTLE_ENDIAN,)),
        PresentationContext(255, CT_STORAGE, (htj2k, jpeg_xl)),
    )
    user = acceptor(established=False)
    user.hear(build_associate(AssociateRequest("A", "B", contexts)))
    assert [type(one) for one in user.indications] == [AssociateRequested]
    assert user.layer.contexts == {1: (private, EXPLICIT_VR_LITTLE_ENDIAN), 255: (CT_STORAGE, htj2k)}


TLS_HELLO = bytes.fromhex("16030102000100 01fc0303")
OTHER_PROTOCOLS = {"TLS": TLS_HELLO, "HTTP": b"GET / HTTP/1.1\r\nHost: archive\r\n\r\n", "SSH": b"SSH-2.0-x\r\n"}


@pytest.mark.parametrize("protocol", OTHER_PROTOCOLS)
def test_another_protocol_is_known_by_its_first_byte(protocol: str) -> None:
    user = acceptor(established=False)
    user.hear(OTHER_PROTOCOLS[protocol][:1])
    assert user.sent == build_abort(Abort(0, 0))
    assert user.layer.why == f"first byte {OTHER_PROTOCOLS[protocol][0]:02X}H is no PDU type"
    user.hear(OTHER_PROTOCOLS[protocol][1:])
    assert user.sent == build_abort(Abort(0, 0))


FOUR_GB = 2**32 - 1


@pytest.mark.parametrize("kind", range(1, 8))
@pytest.mark.parametrize("established", [False, True], ids=["before", "on an association"])
def test_a_length_of_4_gb_is_refused_at_the_header(kind: int, established: bool) -> None:
    user = acceptor(established=established)
    user.hear(HEADER.pack(kind, FOUR_GB))
    assert user.sent.startswith(b"\7")
    assert "4294967295 bytes" in user.layer.why


@pytest.mark.parametrize(
    "data",
    [
        data_pdu(value(1, b"", 1)[:-1]),
        data_pdu(PDV_HEADER.pack(1, 1, 3)),
        data_pdu(PDV_HEADER.pack(FOUR_GB, 1, 3) + bytes(10)),
        data_pdu(PDV_HEADER.pack(13, 1, 3) + bytes(10)),
        data_pdu(value(1, b"ab", 1), b"\0\0\0"),
        data_pdu(value(5, b"ab", 1)),
        *(HEADER.pack(kind, length) for kind in (1, 2) for length in (0, 67)),
        *(HEADER.pack(kind, length) for kind in (3, 5, 6, 7) for length in (0, 3, 5)),
    ],
)
def test_a_pdu_that_cannot_be_is_answered_with_an_abort_at_once(data: bytes) -> None:
    user = acceptor()
    user.hear(data)
    assert user.sent == build_abort(Abort(2, 6))
    assert [type(one) for one in user.indications] == [Aborted]


def peak_while_hearing(user: LocalUser, head: bytes, step: bytes, times: int) -> int:
    """Bytes of memory that a stream needs at its worst."""
    tracemalloc.start()
    try:
        user.hear(head)
        for _ in range(times):
            user.layer.received(memoryview(step), 1)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


STEP = bytes(1 << 16)


def test_a_fragment_of_4_gb_takes_no_memory() -> None:
    user = acceptor(Limits(maximum_length=FOUR_GB))
    user.hear(message(3, STORE))
    head = HEADER.pack(P_DATA_TF, FOUR_GB) + PDV_HEADER.pack(FOUR_GB - 4, 3, 0)
    assert peak_while_hearing(user, head, STEP, 512) < 100_000
    assert user.layer.established


def test_a_request_takes_memory_up_to_its_limit_only() -> None:
    limits = Limits()
    user = acceptor(limits, established=False)
    assert peak_while_hearing(user, HEADER.pack(1, limits.associate_length), STEP, 100) < 4 * limits.associate_length
    assert user.layer.take_output().startswith(build_reject(Reject(1, 2, 2)))


def test_a_command_that_never_ends_is_given_up() -> None:
    user = acceptor(Limits(command_length=1000))
    for _ in range(11):
        user.hear(value_pdu(1, bytes(100), command=True, last=False))
    assert user.commands == []
    assert user.sent == build_abort(Abort(0, 0))

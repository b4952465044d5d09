"""Command sets as values and as bytes, and messages put together from them."""

from __future__ import annotations

import struct
from io import BytesIO
from random import Random

import pydicom
import pytest
from dicom_local_user import CT_STORAGE, GIVEN_UP, acceptor, message, value_pdu
from dicom_strategies import COMMANDS
from hypothesis import given
from pynetdicom.tests import encoded_dimse_msg as examples
from pynetdicom.tests import encoded_dimse_n_msg as n_examples

from orthweb.dicom import command as dimse
from orthweb.dicom.command import Command, build_command, parse_command
from orthweb.dicom.errors import InvalidCommand
from orthweb.dicom.framing import Fragment
from orthweb.dicom.limits import Limits
from orthweb.dicom.messages import Assembler
from orthweb.dicom.uids import VERIFICATION

# Their first byte is the message control header of the fragment that they are.
BY_NAME = {
    name: data[1:]
    for module in (examples, n_examples)
    for name, data in vars(module).items()
    if name.endswith(("_cmd", "_cmd_b", "_cmd_empty", "_with_dup"))
}
EXPECTED = {
    "c_store_rq_cmd": Command(
        dimse.C_STORE_RQ,
        message_id=7,
        affected_sop_class="1.1.1",
        affected_sop_instance="1.2.1",
        priority=dimse.LOW,
        dataset_type=1,
        move_originator="UNITTEST",
        move_originator_id=3,
    ),
    "c_echo_rq_cmd": Command(dimse.C_ECHO_RQ, message_id=7, affected_sop_class="1.2.840.10008.1.1"),
    "c_echo_rsp_cmd": Command(dimse.C_ECHO_RSP, responded_id=8, affected_sop_class="1.2.840.10008.1.1", status=0),
    "c_move_rq_cmd": Command(
        dimse.C_MOVE_RQ,
        message_id=7,
        affected_sop_class=CT_STORAGE,
        priority=dimse.LOW,
        dataset_type=1,
        move_destination="MOVE_SCP",
    ),
}


def element(number: int, value: bytes, group: int = 0) -> bytes:
    return struct.pack("<HHI", group, number, len(value)) + value


def elements(data: bytes) -> list[tuple[int, bytes]]:
    """Cut a command set without understanding it."""
    found, at = [], 0
    while at < len(data):
        number, length = struct.unpack_from("<2xHI", data, at)
        found.append((number, data[at + 8 : at + 8 + length]))
        at += 8 + length
    return found


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_pynetdicoms_example_is_read_and_built_again(name: str) -> None:
    data = BY_NAME[name]
    command = parse_command(data)
    assert EXPECTED.get(name, command) == command
    built = build_command(command)
    assert parse_command(built) == command
    # Theirs is as ours, but for paddings, an order that isn't ascending, and group lengths that are wrong.
    ours, theirs = dict(elements(built)[1:]), dict(elements(data)[1:])
    assert {number: value.rstrip(b" \0") for number, value in ours.items()} == {
        number: value.rstrip(b" \0") for number, value in theirs.items()
    }


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_pydicom_reads_what_is_built(name: str) -> None:
    built = build_command(EXPECTED[name])
    read = pydicom.filereader.read_dataset(BytesIO(built), is_implicit_VR=True, is_little_endian=True)
    assert read.CommandGroupLength == len(built) - 12
    assert read.CommandField == EXPECTED[name].command_field
    assert read.AffectedSOPClassUID == EXPECTED[name].affected_sop_class
    assert [element.tag for element in read] == sorted(element.tag for element in read)


@given(COMMANDS)
def test_a_command_set_comes_out_as_it_went_in(command: Command) -> None:
    built = build_command(command)
    assert parse_command(built) == command
    assert all(len(value) % 2 == 0 for number, value in elements(built) if number not in dict(command.other))


@given(COMMANDS)
def test_elements_may_stand_in_any_order(command: Command) -> None:
    parts = [element(number, value) for number, value in elements(build_command(command))]
    Random(len(parts)).shuffle(parts)
    found = parse_command(b"".join(parts))
    assert (found, sorted(found.other)) == (Command(**{**vars(command), "other": found.other}), list(command.other))


def test_a_response_names_what_it_answers() -> None:
    asked = dimse.request(dimse.C_STORE_RQ, 9, CT_STORAGE, "1.2.3", dataset=True)
    answer = dimse.response(asked, 0xA700, "no space left" * 10)
    assert answer.is_response
    assert not answer.has_dataset
    assert (answer.command_field, answer.responded_id, answer.status) == (dimse.C_STORE_RSP, 9, 0xA700)
    assert (answer.affected_sop_class, answer.affected_sop_instance) == (CT_STORAGE, "1.2.3")
    assert len(answer.error_comment or "") == 64


def test_a_comment_that_latin_1_cannot_hold_is_sent_all_the_same() -> None:
    answer = dimse.response(dimse.request(dimse.C_ECHO_RQ, 9, VERIFICATION), 0x0110, "kein Platz für 画像")
    assert parse_command(build_command(answer)).error_comment == "kein Platz für ??"


def test_a_cancel_names_the_request() -> None:
    assert dict(elements(build_command(dimse.cancel(9)))[1:]) == {
        0x0100: b"\xff\x0f",
        0x0120: b"\x09\x00",
        0x0800: b"\x01\x01",
    }


FIELD = element(0x0100, b"\x30\x00")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        element(0x0002, b"1.2"),
        FIELD + b"\0",
        FIELD + element(0x0110, b"\7\0")[:-1],
        FIELD + element(0x0110, b"\7"),
        FIELD + element(0x0110, b""),
        FIELD + element(0x0010, b"AB", group=8),
        FIELD + struct.pack("<HHI", 0, 0x0110, 0xFFFFFFFF),
    ],
)
def test_what_is_no_command_set_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidCommand):
        parse_command(data)


def test_what_the_elements_say_of_themselves_is_believed_not_the_group_length() -> None:
    assert parse_command(element(0, b"\xff\xff\xff\xff") + FIELD) == Command(dimse.C_ECHO_RQ)
    assert parse_command(element(0, b"") + FIELD) == Command(dimse.C_ECHO_RQ)


STORE = dimse.request(dimse.C_STORE_RQ, 8, CT_STORAGE, "1.2.3.4", dataset=True)
ECHO = dimse.request(dimse.C_ECHO_RQ, 7, VERIFICATION)
DATA = value_pdu(3, b"data", command=False, last=True)


@pytest.mark.parametrize(
    "stream",
    [
        DATA,
        message(1, ECHO) + value_pdu(1, b"data", command=False, last=True),
        message(3, STORE) + message(1, ECHO),
        message(3, STORE) + value_pdu(1, b"data", command=False, last=True),
        message(3, STORE) + DATA + DATA,
        value_pdu(1, build_command(ECHO)[:20], command=True, last=False) + message(3, STORE),
        value_pdu(1, build_command(ECHO)[:20], command=True, last=False) + DATA,
        value_pdu(1, b"", command=True, last=True),
    ],
    ids=[
        "a dataset alone",
        "a dataset after a command without one",
        "a command instead of the dataset",
        "the dataset on another context",
        "two datasets",
        "a command inside a command",
        "a dataset inside a command",
        "an empty command",
    ],
)
def test_fragments_that_make_no_message_end_the_association(stream: bytes) -> None:
    user = acceptor()
    user.hear(stream)
    assert user.layer.why == GIVEN_UP
    assert user.sent.startswith(b"\7")


def test_an_empty_dataset_is_one() -> None:
    user = acceptor()
    user.hear(message(3, STORE, b"") + message(1, ECHO))
    assert user.datasets == [b""]
    assert user.commands == [(3, STORE), (1, ECHO)]


def test_it_is_known_whether_a_message_has_begun() -> None:
    assembler = Assembler(Limits())
    command = build_command(STORE)
    steps = [
        (Fragment(3, command=True, last=False, data=memoryview(command[:9])), False),
        (Fragment(3, command=True, last=True, data=memoryview(command[9:])), False),
        (Fragment(3, command=False, last=False, data=memoryview(b"da")), False),
        (Fragment(3, command=False, last=True, data=memoryview(b"ta")), True),
    ]
    assert assembler.between_messages
    for fragment, between in steps:
        assembler.take(fragment)
        assert assembler.between_messages == between

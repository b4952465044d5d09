"""Our sender against servers that answer oddly: what can be understood is, and what can't has a reason in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dicom_local_user import CT_STORAGE, value_pdu
from dicom_peers import descriptors, peer
from dicom_samples import Sample, dataset, elements, make
from dicom_wire import (
    ABORTED,
    RELEASE,
    RELEASED,
    STORAGE_CONTEXT,
    Wire,
    accept,
    answer_store,
    answering,
    read_message,
    released,
)
from harness import eventually

from orthweb.dicom.command import Command, build_command, parse_command, response
from orthweb.dicom.errors import AssociationAborted, AssociationRejected
from orthweb.dicom.items import UserInformation
from orthweb.dicom.pdus import (
    ABORT,
    ACCEPTED,
    RELEASE_RP,
    RELEASE_RQ,
    AssociateReject,
    ContextResult,
    build_reject,
)
from orthweb.dicom.store import Storer
from orthweb.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

# In the order of REQUEST's contexts.
KEYS = [(VERIFICATION, IMPLICIT_VR_LITTLE_ENDIAN), (CT_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN)]


@pytest.fixture
def one(tmp_path: Path) -> Sample:
    return make(tmp_path, "one", elements("one", bytes(range(256)) * 16384), EXPLICIT_VR_LITTLE_ENDIAN)


@pytest.fixture(autouse=True)
def _nothing_left_open() -> Iterator[None]:
    before = descriptors()
    yield
    eventually(lambda: descriptors() <= before, 10, "all file descriptors to be closed")


def store(port: int, one: Sample) -> int:
    with Storer(peer(port), KEYS) as storer:
        return storer.store(one.path)


@pytest.mark.parametrize("maximum", [None, 0, 1, 7, 128, 4096, 0xFFFFFFFF])
def test_whatever_maximum_length_a_server_names_it_gets_the_dataset(one: Sample, maximum: int | None) -> None:
    arrived: list[bytes] = []
    lengths: list[int] = []

    def serve(wire: Wire) -> None:
        accept(wire, UserInformation(maximum, "1.2.3"))
        arrived.append(answer_store(wire))
        lengths.extend(wire.lengths[1:])
        released(wire)

    with answering(serve) as port:
        assert store(port, one) == 0
    assert arrived == [dataset(one.path)]
    # Less than 128 could not hold a message, and nobody means it.
    assert max(lengths) <= (max(maximum, 128) if maximum else 262_144)
    assert all(length % 2 == 0 for length in lengths)


def fragments(answer: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(answer), size):
        yield value_pdu(STORAGE_CONTEXT, answer[at : at + size], command=True, last=at + size >= len(answer))


@pytest.mark.parametrize(("size", "piece"), [(1, None), (7, 1), (16378, 1), (16378, None)])
def test_a_response_is_read_however_it_is_cut(one: Sample, size: int, piece: int | None) -> None:
    def serve(wire: Wire) -> None:
        accept(wire)
        command, _ = read_message(wire)
        wire.send(b"".join(fragments(build_command(response(command, 0xB007)), size)), piece)
        released(wire)

    with answering(serve) as port:
        assert store(port, one) == 0xB007


def test_a_context_that_was_not_proposed_is_passed_over(one: Sample) -> None:
    def serve(wire: Wire) -> None:
        accept(wire, more=(ContextResult(99, ACCEPTED, EXPLICIT_VR_LITTLE_ENDIAN),))
        answer_store(wire)
        released(wire)

    with answering(serve) as port, Storer(peer(port), KEYS) as storer:
        assert set(storer.requestor.contexts) == {1, 3}
        assert storer.store(one.path) == 0


def test_a_response_that_comes_before_the_dataset_was_sent_is_the_response(one: Sample) -> None:
    def serve(wire: Wire) -> None:
        accept(wire)
        command = read_command(wire)
        wire.send(value_pdu(STORAGE_CONTEXT, build_command(response(command, 0xA700)), command=True, last=True))
        while not wire.pdu()[1][5] & 2:
            pass
        released(wire)

    with answering(serve) as port:
        assert store(port, one) == 0xA700


def read_command(wire: Wire) -> Command:
    _, body = wire.pdu()
    return parse_command(body[6:])


@pytest.mark.parametrize(
    ("reject", "words", "transient"),
    [
        (AssociateReject(1, 1, 7), "called AE title not recognized (for good)", False),
        (AssociateReject(1, 1, 3), "calling AE title not recognized (for good)", False),
        (AssociateReject(2, 3, 2), "local limit exceeded (for now)", True),
        (AssociateReject(2, 3, 1), "temporary congestion (for now)", True),
        (AssociateReject(1, 9, 9), "source 9, reason 9 (for good)", False),
    ],
)
def test_a_rejection_has_its_reason(one: Sample, reject: AssociateReject, words: str, transient: bool) -> None:
    def serve(wire: Wire) -> None:
        wire.pdu()
        wire.send(build_reject(reject))
        assert wire.closed()

    with answering(serve) as port, pytest.raises(AssociationRejected, match=re.escape(words)) as raised:
        store(port, one)
    assert raised.value.transient is transient


def hangs_up(wire: Wire) -> None:
    wire.pdu()
    wire.socket.close()


def resets(wire: Wire) -> None:
    wire.pdu()
    wire.reset()


def answers_http(wire: Wire) -> None:
    wire.pdu()
    wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert wire.aborted()


def answers_an_alert_of_tls(wire: Wire) -> None:
    wire.pdu()
    wire.send(b"\x15\x03\x01\x00\x02\x02\x46")
    assert wire.aborted()


def answers_with_4_gb(wire: Wire) -> None:
    wire.pdu()
    wire.send(b"\x02\0\xff\xff\xff\xff")
    assert wire.aborted()


def aborts_at_once(wire: Wire) -> None:
    wire.pdu()
    wire.send(ABORTED)
    assert wire.closed()


def aborts_while_it_is_sent_to(wire: Wire) -> None:
    accept(wire)
    wire.pdu()
    wire.send(ABORTED)
    wire.socket.close()


def hangs_up_instead_of_answering(wire: Wire) -> None:
    accept(wire)
    read_message(wire)
    wire.socket.close()


def resets_instead_of_answering(wire: Wire) -> None:
    accept(wire)
    read_message(wire)
    wire.reset()


def releases_instead_of_answering(wire: Wire) -> None:
    accept(wire)
    read_message(wire)
    wire.send(RELEASE)
    assert wire.pdu()[0] == RELEASE_RP


def answers_with_a_command_that_is_none(wire: Wire) -> None:
    accept(wire)
    read_message(wire)
    wire.send(value_pdu(STORAGE_CONTEXT, b"\xff" * 30, command=True, last=True))
    assert wire.aborted()


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (hangs_up, "the connection was lost"),
        (resets, "the connection was lost: Connection reset by peer"),
        (answers_http, "first byte 48H is no PDU type"),
        (answers_an_alert_of_tls, "first byte 15H is no PDU type"),
        (answers_with_4_gb, "A-ASSOCIATE-AC of 4294967295 bytes"),
        (aborts_at_once, "aborted by the peer"),
        (aborts_while_it_is_sent_to, "aborted by the peer"),
        (hangs_up_instead_of_answering, "the connection was lost"),
        (resets_instead_of_answering, "the connection was lost: Connection reset by peer"),
        (releases_instead_of_answering, "the peer released the association"),
        (answers_with_a_command_that_is_none, "command"),
    ],
)
def test_why_a_store_came_to_nothing_is_said(one: Sample, serve: Callable[[Wire], None], words: str) -> None:
    with answering(serve) as port, pytest.raises(AssociationAborted, match=words):
        store(port, one)


def test_both_may_ask_for_the_release_at_once(one: Sample) -> None:
    def serve(wire: Wire) -> None:
        accept(wire)
        answer_store(wire)
        assert wire.pdu()[0] == RELEASE_RQ
        wire.send(RELEASE)
        # The requestor answers first (PS3.8 7.2.2.3).
        assert wire.pdu()[0] == RELEASE_RP
        wire.send(RELEASED)
        assert wire.closed()

    with answering(serve) as port:
        assert store(port, one) == 0


@pytest.mark.parametrize("reset", [False, True])
def test_a_server_that_ends_instead_of_agreeing_to_the_release_is_no_trouble(one: Sample, reset: bool) -> None:
    def serve(wire: Wire) -> None:
        accept(wire)
        answer_store(wire)
        assert wire.pdu()[0] == RELEASE_RQ
        if reset:
            wire.reset()

    with answering(serve) as port:
        assert store(port, one) == 0


def test_what_goes_wrong_here_is_told_to_the_server_with_an_abort(one: Sample, tmp_path: Path) -> None:
    heard: list[int] = []

    def serve(wire: Wire) -> None:
        accept(wire)
        heard.append(wire.pdu()[0])
        assert wire.closed()

    with answering(serve) as port, pytest.raises(FileNotFoundError), Storer(peer(port), KEYS) as storer:
        storer.store(tmp_path / "missing.dcm")
    assert heard == [ABORT]

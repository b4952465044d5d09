"""Slow and silent peers: every wait of both roles has an end, and nothing of it is left."""

from __future__ import annotations

import contextlib
import struct
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from dicom_local_user import CT_STORAGE
from dicom_peers import LIMITS, descriptors, parts, peer, receiving, serving_threads, whole
from dicom_samples import Sample, dataset, elements, make, uid_of
from dicom_wire import (
    ASSOCIATE,
    BY_THE_USER,
    ECHO,
    RELEASE,
    Wire,
    accept,
    answer_store,
    answering,
    calling,
    read_message,
    store,
)
from harness import eventually

from orthweb.dicom.errors import AssociationAborted
from orthweb.dicom.folder import into_folder
from orthweb.dicom.pdus import P_DATA_TF
from orthweb.dicom.store import Storer
from orthweb.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

SHORT = 0.3
KEYS = [(VERIFICATION, IMPLICIT_VR_LITTLE_ENDIAN), (CT_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN)]
# Far less than what goes into the buffers of both kernels.
SMALL_BUFFER = 4096


@pytest.fixture
def large(tmp_path: Path) -> Sample:
    return make(tmp_path, "large", elements("large", bytes(range(256)) * 65536), EXPLICIT_VR_LITTLE_ENDIAN)


@pytest.mark.parametrize("begun", [b"", ASSOCIATE[:3], ASSOCIATE[:-1]])
def test_who_sends_no_whole_request_is_hung_up_on(begun: bytes) -> None:
    with receiving(lambda _: 0, replace(LIMITS, request_seconds=SHORT)) as server, calling(server.port) as wire:
        if begun:
            wire.send(begun)
        assert wire.closed()


def drip(wire: Wire, data: bytes, pause: float = 0.02) -> None:
    """Send a byte now and then until the other side has had enough."""
    ended = threading.Event()
    with contextlib.suppress(ConnectionError):
        for byte in data:
            wire.send(bytes([byte]))
            ended.wait(pause)
        pytest.fail("all of it was taken")


def test_who_drips_a_request_is_hung_up_on() -> None:
    with receiving(lambda _: 0, replace(LIMITS, request_seconds=SHORT)) as server, calling(server.port) as wire:
        drip(wire, ASSOCIATE)


def test_who_says_nothing_on_an_association_is_aborted() -> None:
    with receiving(lambda _: 0, replace(LIMITS, idle_seconds=SHORT)) as server, calling(server.port) as wire:
        wire.associate()
        assert wire.aborted() == BY_THE_USER


@pytest.mark.parametrize("left", [1, 1000])
def test_who_leaves_half_a_pdu_is_aborted_and_nothing_is_kept(folder: Path, left: int) -> None:
    limits = replace(LIMITS, pdu_seconds=SHORT)
    with receiving(into_folder(folder, durable=False), limits) as server, calling(server.port) as wire:
        wire.associate()
        wire.send(store("half")[:-left])
        assert wire.aborted() == BY_THE_USER
        eventually(lambda: not serving_threads()[1:], 10, "the association to end")
    assert whole(folder) == set()
    assert parts(folder) == []


def test_who_drips_a_dataset_is_aborted(folder: Path) -> None:
    limits = replace(LIMITS, pdu_seconds=SHORT, closing_seconds=SHORT)
    with receiving(into_folder(folder, durable=False), limits) as server, calling(server.port) as wire:
        wire.associate()
        data = store("slow")
        wire.send(data[:-1000])
        drip(wire, data[-1000:])
    assert parts(folder) == []


def test_a_slow_peer_that_stays_within_its_times_is_served(folder: Path) -> None:
    limits = replace(LIMITS, pdu_seconds=5, idle_seconds=5)
    pause = threading.Event()
    with receiving(into_folder(folder, durable=False), limits) as server, calling(server.port) as wire:
        wire.associate()
        data = store("slow")
        for at in range(0, len(data), 300):
            wire.send(data[at : at + 300])
            pause.wait(0.02)
        assert wire.response().status == 0
        wire.release()
    assert whole(folder) == {uid_of("slow")}


def test_who_goes_on_sending_after_it_was_aborted_is_hung_up_on() -> None:
    limits = replace(LIMITS, closing_seconds=SHORT)
    flood = struct.pack(">BxI", P_DATA_TF, 10) * 4096
    with receiving(lambda _: 0, limits) as server, calling(server.port) as wire:
        wire.associate()
        wire.send(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(200_000):
                wire.send(flood)
            pytest.fail("it was listened to for ever")


def test_who_never_reads_what_it_asked_for_is_cut_off() -> None:
    limits = replace(LIMITS, send_seconds=SHORT)
    with receiving(lambda _: 0, limits) as server, calling(server.port, receive_buffer=SMALL_BUFFER) as wire:
        wire.associate()
        with contextlib.suppress(ConnectionError):
            for _ in range(200_000):
                wire.send(ECHO * 100)
            pytest.fail("it was served for ever")
        with calling(server.port) as other:
            other.associate()
            other.release()


def never_answers(wire: Wire) -> None:
    wire.pdu()
    wire.aborted()


def never_answers_a_store(wire: Wire) -> None:
    accept(wire)
    read_message(wire)
    wire.aborted()


def stops_within_its_answer(wire: Wire) -> None:
    accept(wire)
    read_message(wire)
    wire.send(struct.pack(">BxIIB", P_DATA_TF, 100, 96, 3))
    wire.aborted()


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (never_answers, "no answer from the peer after 0.3 s"),
        (never_answers_a_store, "nothing from the peer after 0.4 s"),
        (stops_within_its_answer, "a PDU was not whole after 0.2 s"),
    ],
)
def test_a_server_that_does_not_answer_is_given_up(large: Sample, serve: Callable[[Wire], None], words: str) -> None:
    limits = replace(LIMITS, request_seconds=0.3, idle_seconds=0.4, pdu_seconds=0.2, closing_seconds=SHORT)
    before = descriptors()
    with (
        answering(serve) as port,
        pytest.raises(AssociationAborted, match=words),
        Storer(peer(port, limits), KEYS) as storer,
    ):
        storer.store(large.path)
    eventually(lambda: descriptors() <= before, 10, "all file descriptors to be closed")


def test_a_server_that_does_not_agree_to_the_release_holds_nobody(large: Sample) -> None:
    ended = threading.Event()

    def serve(wire: Wire) -> None:
        accept(wire)
        answer_store(wire)
        ended.wait(15)

    limits = replace(LIMITS, request_seconds=SHORT, closing_seconds=SHORT)
    with answering(serve) as port:
        with Storer(peer(port, limits), KEYS) as storer:
            assert storer.store(large.path) == 0
        ended.set()


def test_a_server_that_never_reads_is_given_up_and_gets_nothing_into_the_half_of_a_pdu(large: Sample) -> None:
    given_up = threading.Event()
    heard: list[tuple[int, bytes]] = []

    def serve(wire: Wire) -> None:
        accept(wire)
        assert given_up.wait(15)
        while (pdu := wire.pdu())[0]:
            heard.append(pdu)

    with answering(serve, SMALL_BUFFER) as port:
        with (
            pytest.raises(AssociationAborted, match=r"the peer took nothing for 0\.3 s"),
            Storer(peer(port, replace(LIMITS, send_seconds=SHORT)), KEYS) as storer,
        ):
            storer.store(large.path)
        given_up.set()
    # It is of the dataset to its last byte: an A-ABORT there might have made it whole.
    arrived = b"".join(body[6:] for kind, body in heard if kind == P_DATA_TF and not body[5] & 1)
    assert {kind for kind, _ in heard} == {P_DATA_TF}
    assert len(heard[-1][1]) < len(heard[-2][1])
    assert dataset(large.path).startswith(arrived)


def test_an_association_that_ends_is_answered_before_its_time() -> None:
    with receiving(lambda _: 0) as server, calling(server.port) as wire:
        wire.associate()
        wire.send(RELEASE)
        wire.pdu()
        wire.socket.close()
        eventually(lambda: len(serving_threads()) == 1, 1, "the association to end")

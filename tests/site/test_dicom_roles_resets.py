"""Connections that break: a reset at every place of a store, for both roles, and lines that go dead without a word."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from dicom_lines import Line, line, listening_there
from dicom_local_user import CT_STORAGE
from dicom_peers import LIMITS, descriptors, parts, peer, receiving, serving_threads, whole
from dicom_samples import Sample, dataset, elements, make, uid_of
from dicom_wire import ASSOCIATE, PATIENCE, RELEASE, Wire, a_dataset, accept, answering, calling, store
from harness import eventually

from orthweb.dicom.errors import AssociationAborted
from orthweb.dicom.folder import into_folder
from orthweb.dicom.limits import Limits
from orthweb.dicom.store import Storer
from orthweb.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

KEYS = [(VERIFICATION, IMPLICIT_VR_LITTLE_ENDIAN), (CT_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN)]
STORE = store("reset", size=500)
# Up to here it is the command and the beginning of the dataset.
_EVERY_BYTE = len(STORE) - len(a_dataset("reset")) + 20


def test_a_reset_at_any_byte_of_the_request_for_an_association_is_no_trouble() -> None:
    with receiving(lambda _: 0) as server:
        for length in range(len(ASSOCIATE) + 1):
            with calling(server.port) as wire:
                if length:
                    wire.send(ASSOCIATE[:length])
                wire.reset()
        eventually(lambda: len(serving_threads()) == 1, 10, "all associations to end")


def test_a_reset_at_any_place_of_a_store_leaves_no_file(folder: Path) -> None:
    places = [*range(1, _EVERY_BYTE), *range(_EVERY_BYTE, len(STORE), 97), len(STORE) - 1]
    with receiving(into_folder(folder, durable=False)) as server:
        for length in places:
            with calling(server.port) as wire:
                wire.associate()
                wire.send(STORE[:length])
                wire.reset()
        eventually(lambda: len(serving_threads()) == 1, 10, "all associations to end")
        assert whole(folder) == set()
        assert parts(folder) == []
        # Once it is whole it may be kept, also when nobody hears the response any more.
        for end in (b"", RELEASE):
            with calling(server.port) as wire:
                wire.associate()
                wire.send(STORE + end)
                wire.response()
                wire.reset()
    assert dataset(folder / f"{uid_of('reset')}.dcm") == a_dataset("reset")
    assert parts(folder) == []


def store_one(port: int, sent: Sample, limits: Limits = LIMITS, host: str = "127.0.0.1") -> int:
    with Storer(replace(peer(port, limits), host=host), KEYS) as storer:
        return storer.store(sent.path)


def test_a_server_that_resets_at_any_place_of_a_store_is_named_as_the_reason(tmp_path: Path) -> None:
    sent = make(tmp_path, "sent", elements("sent", bytes(range(256)) * 4096), EXPLICIT_VR_LITTLE_ENDIAN)
    in_the_request = range(1, 240, 20)
    in_the_store = [*range(12), *range(12, 200, 20), 1000, 262_144, 300_000, 900_000]
    places = [*((place, False) for place in in_the_request), *((place, True) for place in in_the_store)]
    upcoming = iter(places)

    def serve(wire: Wire) -> None:
        place, accepted = next(upcoming)
        if accepted:
            accept(wire)
        wire.hear(place)
        wire.reset()

    before = descriptors()
    with answering(serve) as port:
        for _ in places:
            with pytest.raises(AssociationAborted, match="the connection was lost"):
                store_one(port, sent)
    eventually(lambda: descriptors() <= before, 10, "all file descriptors to be closed")


@pytest.fixture
def wire_there() -> Iterator[Line]:
    with line() as made:
        yield made


def test_a_sender_whose_line_goes_dead_is_given_up_and_leaves_nothing(folder: Path, wire_there: Line) -> None:
    limits = replace(LIMITS, idle_seconds=0.3, closing_seconds=0.3, send_seconds=0.3)
    with receiving(into_folder(folder, durable=False), limits, host=wire_there.here) as server:
        address = wire_there.here, server.port
        with wire_there.at_the_other_end(lambda: socket.create_connection(address)) as connection:
            wire = Wire(connection)
            wire.associate()
            # Whole PDUs: it is not in the middle of one that the sender falls silent.
            wire.send(STORE[: -(12 + len(a_dataset("reset")) % 500)])
            eventually(lambda: parts(folder), 10, "the instance to begin")
            wire_there.cut()
            eventually(lambda: len(serving_threads()) == 1, 10, "the association to end")
    assert whole(folder) == set()
    assert parts(folder) == []


def test_a_line_that_goes_dead_while_a_dataset_is_sent_ends_the_store(tmp_path: Path, wire_there: Line) -> None:
    sent = make(tmp_path, "sent", elements("sent", bytes(64 << 20)), EXPLICIT_VR_LITTLE_ENDIAN)

    def serve(wire: Wire) -> None:
        accept(wire)
        wire.hear(100_000)
        wire_there.cut()

    before = descriptors()
    limits = replace(LIMITS, send_seconds=0.5)
    words = r"took nothing for 0\.5 s|the connection was lost: Connection timed out"
    with (
        answering(serve, listener=listening_there(wire_there)) as port,
        pytest.raises(AssociationAborted, match=words),
    ):
        store_one(port, sent, limits, wire_there.there)
    eventually(lambda: descriptors() <= before, 10, "all file descriptors to be closed")


def test_a_line_that_goes_dead_before_a_small_store_ends_it(tmp_path: Path, wire_there: Line) -> None:
    sent = make(tmp_path, "sent", elements("sent", b"1234"), EXPLICIT_VR_LITTLE_ENDIAN)
    ended = threading.Event()

    def serve(wire: Wire) -> None:
        accept(wire)
        ended.wait(PATIENCE)

    limits = replace(LIMITS, send_seconds=0.5)
    with answering(serve, listener=listening_there(wire_there)) as port:
        with Storer(replace(peer(port, limits), host=wire_there.there), KEYS) as storer:
            wire_there.cut()
            # All of it goes into the kernel's buffer: that it does not arrive shows in no send.
            with pytest.raises(AssociationAborted, match="the connection was lost: Connection timed out"):
                storer.store(sent.path)
        ended.set()


def test_an_address_where_nobody_answers_is_given_up(tmp_path: Path, wire_there: Line) -> None:
    sent = make(tmp_path, "sent", elements("sent", b"1234"), EXPLICIT_VR_LITTLE_ENDIAN)
    wire_there.cut()
    with pytest.raises(TimeoutError):
        store_one(104, sent, replace(LIMITS, handshake_seconds=0.3), wire_there.there)

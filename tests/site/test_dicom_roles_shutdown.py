"""The end of a server, and what it lacks while it runs: room on the disk, threads, file descriptors."""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import hashlib
import os
import resource
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from dicom_local_user import CT_STORAGE
from dicom_peers import LIMITS, descriptors, parts, peer, receiving, serving_threads, whole
from dicom_samples import Sample, dataset_digest, elements, make, uid_of
from dicom_wire import ASSOCIATE, ECHO, PATIENCE, Wire, a_dataset, calling, store
from harness import eventually, run
from people import need_root

from orthweb.dicom.acceptor import StorageService
from orthweb.dicom.errors import AssociationAborted
from orthweb.dicom.folder import into_folder
from orthweb.dicom.pdus import ASSOCIATE_AC
from orthweb.dicom.reception import OpenSink, Sink, StoreRequest
from orthweb.dicom.server import Server
from orthweb.dicom.store import Storer
from orthweb.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

KEYS = [(VERIFICATION, IMPLICIT_VR_LITTLE_ENDIAN), (CT_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN)]
MB = 1 << 20


@pytest.fixture
def small(tmp_path: Path) -> Sample:
    return make(tmp_path, "small", elements("small", b"1234"), EXPLICIT_VR_LITTLE_ENDIAN)


@pytest.fixture
def large(tmp_path: Path) -> Sample:
    return make(tmp_path, "large", elements("large", bytes(8 * MB)), EXPLICIT_VR_LITTLE_ENDIAN)


@contextlib.contextmanager
def started(open_sink: OpenSink) -> Iterator[Server]:
    """A server that the body stops; afterwards nothing of it is left."""
    before = descriptors()
    server = Server("127.0.0.1", 0, StorageService(open_sink), limits=LIMITS)
    server.start()
    yield server
    assert not serving_threads()
    eventually(lambda: descriptors() <= before, 10, "all file descriptors to be closed")


def nobody_listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        # It was closed just then.
        return False
    return False


def test_an_association_in_flight_ends_by_itself_and_nobody_new_is_let_in(folder: Path, small: Sample) -> None:
    with started(into_folder(folder)) as server, concurrent.futures.ThreadPoolExecutor(1) as threads:
        with Storer(peer(server.port), KEYS) as storer:
            assert storer.store(small.path) == 0
            stopping = threads.submit(server.stop, 30)
            eventually(lambda: nobody_listens(server.port), 10, "the port to be closed")
            assert storer.store(small.path) == 0
            assert not stopping.done()
        assert stopping.result(10) == 0
    assert whole(folder) == {uid_of("small")}


def test_associations_that_do_not_end_in_time_are_cut(folder: Path) -> None:
    with (
        started(into_folder(folder)) as server,
        calling(server.port) as idle,
        calling(server.port) as sending,
        calling(server.port) as silent,
    ):
        idle.associate()
        sending.associate()
        sending.send(store("half", size=500)[:-100])
        silent.send(ASSOCIATE[:10])
        eventually(lambda: parts(folder), 10, "the instance to begin")
        assert server.stop(0.2) == 3
        assert all(wire.closed() for wire in (idle, sending, silent))
    assert whole(folder) == set()
    assert parts(folder) == []


def test_a_server_that_was_never_started_can_be_stopped() -> None:
    before = descriptors()
    server = Server("127.0.0.1", 0, StorageService(lambda _: 0))
    assert server.stop(1) == 0
    assert nobody_listens(server.port)
    assert descriptors() <= before


def test_a_port_that_is_taken_is_an_error_of_the_system() -> None:
    with receiving(lambda _: 0) as server, pytest.raises(OSError, match="Address already in use"):
        Server("127.0.0.1", server.port, StorageService(lambda _: 0))


def test_a_sender_that_waits_is_ended_from_another_thread(small: Sample) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def open_sink(_: StoreRequest) -> int:
        asked.set()
        go_on.wait(15)
        return 0

    with (
        receiving(open_sink) as server,
        concurrent.futures.ThreadPoolExecutor(1) as threads,
        Storer(peer(server.port), KEYS) as storer,
    ):
        waiting = threads.submit(storer.store, small.path)
        assert asked.wait(15)
        storer.interrupt()
        with pytest.raises(AssociationAborted, match="the connection was lost"):
            waiting.result(10)
        assert not storer.usable
        go_on.set()


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of its own with 4 MB."""
    need_root("mounting a disk")
    point = folder / "disk"
    point.mkdir()
    done = run(["mount", "-t", "tmpfs", "-o", "size=4m", "orthweb-test", point])
    assert done.status == 0, done.all
    try:
        yield point
    finally:
        done = run(["umount", point])
        assert done.status == 0, done.all


def test_a_full_disk_refuses_for_now_and_the_next_instance_goes_through(
    small_disk: Path, small: Sample, large: Sample
) -> None:
    with receiving(into_folder(small_disk)) as server, Storer(peer(server.port), KEYS) as storer:
        for _ in range(2):
            assert storer.store(large.path) == 0xA700
            assert parts(small_disk) == []
            assert storer.store(small.path) == 0
    assert whole(small_disk) == {uid_of("small")}
    assert dataset_digest(small_disk / f"{uid_of('small')}.dcm") == small.digest


class FullDiskDouble:
    """Stands in for a disk that fails once, at a place where a real one is hard to make fail."""

    def __init__(self, fails: str, kept: OpenSink) -> None:
        self._fails, self._kept = fails, kept

    def open_sink(self, request: StoreRequest) -> Sink | int:
        self._fail("open")
        opened = self._kept(request)
        assert not isinstance(opened, int)
        self._sink = opened
        return self

    def write(self, views: Sequence[memoryview]) -> None:
        self._fail("write")
        self._sink.write(views)

    def finish(self) -> int:
        self._fail("finish")
        return self._sink.finish()

    def discard(self) -> None:
        self._sink.discard()
        self._fail("discard")

    def _fail(self, where: str) -> None:
        if where in self._fails.split():
            self._fails = self._fails.replace(where, "")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("fails", ["open", "write", "finish", "write discard"])
def test_a_disk_that_fails_refuses_for_now_with_the_reason(folder: Path, fails: str) -> None:
    double = FullDiskDouble(fails, into_folder(folder))
    with receiving(double.open_sink) as server, calling(server.port) as wire:
        wire.associate()
        wire.send(store("refused"))
        response = wire.response()
        assert (response.status, response.error_comment) == (0xA700, "No space left on device")
        assert parts(folder) == []
        wire.send(store("kept"))
        assert wire.response().status == 0
        wire.release()
    assert whole(folder) == {uid_of("kept")}
    assert dataset_digest(folder / f"{uid_of('kept')}.dcm") == hashlib.sha256(a_dataset("kept")).hexdigest()


def test_a_folder_that_is_gone_refuses_for_now_until_it_is_there_again(folder: Path, small: Sample) -> None:
    inside = folder / "inside"
    with receiving(into_folder(inside)) as server, Storer(peer(server.port), KEYS) as storer:
        assert storer.store(small.path) == 0xA700
        inside.mkdir()
        assert storer.store(small.path) == 0


def test_without_file_descriptors_a_client_waits_and_is_served_when_there_are_some() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with receiving(lambda _: 0) as server, contextlib.ExitStack() as stack, contextlib.ExitStack() as fillers:
        client = stack.enter_context(socket.socket())
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        highest = max(map(int, os.listdir("/proc/self/fd")))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 16, hard))
        with contextlib.suppress(OSError):
            while True:
                fillers.callback(os.close, os.open("/dev/null", os.O_RDONLY))
        client.connect(("127.0.0.1", server.port))
        wire = Wire(client)
        wire.send(ASSOCIATE)
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(PATIENCE)
        fillers.close()
        assert wire.pdu()[0] == ASSOCIATE_AC


def test_without_threads_a_client_is_hung_up_on_and_the_next_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def no_thread(thread: threading.Thread) -> None:
        """What Python does when the system gives it none."""
        if thread.name == "dicom-127.0.0.1":
            monkeypatch.setattr(threading.Thread, "start", start)
            raise RuntimeError("can't start new thread")
        start(thread)

    with receiving(lambda _: 0) as server:
        monkeypatch.setattr(threading.Thread, "start", no_thread)
        with calling(server.port) as wire:
            assert wire.closed()
        with calling(server.port) as wire:
            wire.associate()
            wire.send(ECHO)
            assert wire.response().status == 0
            wire.release()

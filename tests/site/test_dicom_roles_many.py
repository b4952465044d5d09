"""A thousand connections at once: those within the limits are served, the others told, and then all is as before."""

from __future__ import annotations

import collections
import contextlib
import resource
import select
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from dicom_local_user import CT_STORAGE
from dicom_peers import LIMITS, peer, receiving, serving_threads, whole
from dicom_samples import elements, make, uid_of
from dicom_wire import ASSOCIATE, ECHO, Wire, calling
from harness import eventually

from orthweb.dicom.errors import AssociationRejected
from orthweb.dicom.folder import into_folder
from orthweb.dicom.pdus import ASSOCIATE_AC, ASSOCIATE_RJ
from orthweb.dicom.store import Storer
from orthweb.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN

COUNT = 1000
IN_ALL, PER_ADDRESS = 24, 16
ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
KEY = CT_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN


@pytest.fixture
def _enough_descriptors() -> Iterator[None]:
    """Two for each connection: both of its ends are in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * COUNT
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.fail(f"{wanted} open files are needed, and {hard} are allowed: raise it with 'ulimit -Hn {wanted}'")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def call(stack: contextlib.ExitStack, port: int, count: int) -> dict[int, socket.socket]:
    """Begin so many connections at once, from each address in turn."""
    calling: dict[int, socket.socket] = {}
    for number in range(count):
        connection = stack.enter_context(socket.socket())
        connection.bind((ADDRESSES[number % len(ADDRESSES)], 0))
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.1", port))
        calling[connection.fileno()] = connection
    return calling


def ask(calling: dict[int, socket.socket]) -> dict[str, list[socket.socket]]:
    """Ask for an association on each as soon as it is there; returns them by their answers."""
    answered: dict[str, list[socket.socket]] = collections.defaultdict(list)
    poll = select.poll()
    for fd in calling:
        poll.register(fd, select.POLLOUT)
    waiting = dict(calling)
    while waiting:
        ready = poll.poll(15_000)
        assert ready, f"{len(waiting)} connections got no answer"
        for fd, _ in ready:
            connection = waiting[fd]
            try:
                heard = connection.recv(4096)
            except BlockingIOError:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(ASSOCIATE)
                poll.modify(fd, select.POLLIN)
                continue
            except ConnectionError:
                heard = b""
            poll.unregister(fd)
            answered[name(heard)].append(waiting.pop(fd))
    return answered


def name(heard: bytes) -> str:
    if not heard:
        return "hung up"
    if heard[0] == ASSOCIATE_AC:
        return "served"
    # Rejected transient, by the presentation layer's provider: local limit exceeded (PS3.8 table 9-21).
    assert heard == bytes([ASSOCIATE_RJ]) + b"\0\0\0\0\x04\0\x02\x03\x02"
    return "rejected"


@pytest.mark.usefixtures("_enough_descriptors")
def test_of_a_thousand_connections_at_once_those_within_the_limits_are_served(folder: Path, tmp_path: Path) -> None:
    limits = replace(LIMITS, associations=IN_ALL, associations_per_address=PER_ADDRESS)
    sent = make(tmp_path, "afterwards", elements("afterwards", b"1234"), EXPLICIT_VR_LITTLE_ENDIAN)
    with receiving(into_folder(folder), limits) as server:
        with contextlib.ExitStack() as stack:
            answered = ask(call(stack, server.port, COUNT))
            served, others = answered["served"], [*answered["rejected"], *answered["hung up"]]
            assert len(served) == IN_ALL
            assert len(others) == COUNT - IN_ALL
            assert answered["rejected"]
            by_address = collections.Counter(connection.getsockname()[0] for connection in served)
            assert max(by_address.values()) <= PER_ADDRESS
            for connection in others:
                connection.close()
            eventually(lambda: len(serving_threads()) == 1 + IN_ALL, 10, "those that were refused to be forgotten")
            with pytest.raises(AssociationRejected, match="local limit exceeded") as raised:
                Storer(peer(server.port, limits), [KEY])
            assert raised.value.transient
            for connection in served:
                connection.setblocking(True)
                wire = Wire(connection)
                wire.send(ECHO)
                assert wire.response().status == 0
        eventually(lambda: len(serving_threads()) == 1, 10, "the associations to end")
        with Storer(peer(server.port, limits), [KEY]) as storer:
            assert storer.store(sent.path) == 0
    assert whole(folder) == {uid_of("afterwards")}


def test_one_address_that_takes_all_it_may_leaves_room_for_others() -> None:
    limits = replace(LIMITS, associations=4, associations_per_address=2)
    with receiving(lambda _: 0, limits) as server, contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(calling(server.port, "127.0.0.1")).associate()
        third = stack.enter_context(calling(server.port, "127.0.0.1"))
        third.send(ASSOCIATE)
        assert third.pdu()[0] == ASSOCIATE_RJ
        stack.enter_context(calling(server.port, "127.0.0.2")).associate()


def test_connections_that_say_nothing_are_no_associations_for_ever() -> None:
    limits = replace(LIMITS, associations=3, associations_per_address=3, request_seconds=0.3)
    with receiving(lambda _: 0, limits) as server, contextlib.ExitStack() as stack:
        silent = [stack.enter_context(calling(server.port)) for _ in range(3)]
        for wire in silent:
            assert wire.closed()
        stack.enter_context(calling(server.port)).associate()

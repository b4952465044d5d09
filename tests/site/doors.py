"""What knocks at a site's doors in the tests: foreign and expired certificates, old TLS, clients that stall."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness import Done, TestSite, eventually, free_port, run, serving

from orthweb.pki import Authority, Issued, ensure_authority, write_private

HAS_IPV6 = Path("/proc/net/if_inet6").exists() and "lo" in Path("/proc/net/if_inet6").read_text().split()
SECURITY_HEADERS = {
    "strict-transport-security": r"max-age=31536000\b.*",
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "same-origin",
}
# OpenSSL's name for "everything it was built with", without the limits that a distribution sets.
ANYTHING = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"


def site_authority(site: TestSite) -> Authority:
    """The authority of the site with its private key, to issue what the command line would not."""
    return ensure_authority(site.state / "pki", "never made here")


def keep(issued: Issued, folder: Path, name: str) -> tuple[Path, Path]:
    """Write a key and its certificate, and return their paths."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    write_private(key, issued.key_pem)
    write_private(certificate, issued.certificate_pem)
    return key, certificate


def dcmtk_options(pair: tuple[Path, Path]) -> list[str]:
    """DCMTK's options for a device that shows this certificate, and takes any of the site's."""
    return ["+tls", str(pair[0]), str(pair[1]), "-ic"]


def s_client(port: int, *options: str | Path) -> Done:
    """Shake hands with OpenSSL as a client that would accept anything; status 0 when it came to that."""
    command = ["openssl", "s_client", "-connect", f"localhost:{port}", "-cipher", ANYTHING, *options]
    return run(command, input=b"")


@contextlib.contextmanager
def lax_server(folder: Path) -> Iterator[int]:
    """A server that speaks every TLS version and cipher: a client that the site refused could speak them."""
    key, certificate = keep(ensure_authority(folder / "lax", "lax").issue_server(["localhost"]), folder, "lax")
    port = free_port()
    shown = ["-key", str(key), "-cert", str(certificate)]
    with serving(["openssl", "s_server", "-accept", str(port), "-www", "-cipher", ANYTHING, *shown], port):
        yield port


def half_client_hello() -> bytes:
    """Half of the first message of a TLS handshake, as Python's own client makes it."""
    answer, ours = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(answer, ours, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    hello = ours.read()
    return hello[: len(hello) // 2]


class Stalled:
    """Connections that say nothing, and as many that say `half` of something and then nothing."""

    def __init__(
        self, stack: contextlib.ExitStack, port: int, count: int, half: bytes, tls: ssl.SSLContext | None = None
    ) -> None:
        self.opened = time.monotonic()
        self._open: list[socket.socket] = []
        for number in range(count):
            connection = stack.enter_context(_connected(port, tls))
            if number % 2:
                connection.sendall(half)
            connection.setblocking(False)
            self._open.append(connection)

    def still_open(self) -> int:
        """How many the other side has not closed."""
        readable, _, _ = select.select(self._open, [], [], 0)
        for connection in readable:
            try:
                heard = connection.recv(4096)
            except ssl.SSLWantReadError:
                # Only TLS's own talk, such as a session ticket.
                continue
            except OSError:
                heard = b""
            if not heard:
                self._open.remove(connection)
        return len(self._open)

    def wait_closed(self, limit: float) -> float:
        """Wait until the other side has closed all of them; returns the seconds since they were opened."""
        left = self.opened + limit - time.monotonic()
        eventually(lambda: self.still_open() == 0, left, "the stalled connections to be closed")
        return time.monotonic() - self.opened


class Talk(NamedTuple):
    """What came of a connection, and what tells its entry in a log from others.

    The kernel gives out a port again after some thousand connections, so the port alone does not.
    """

    answer: bytes
    port: int
    began: str


def talk(port: int, words: bytes, limit: float = 15, tls: ssl.SSLContext | None = None) -> Talk:
    """Say `words` on a connection and hear the other side out.

    Raises
    ------
    TimeoutError
        The other side neither closed the connection nor said anything for `limit` seconds.
    """
    answer = b""
    began = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    with _connected(port, tls) as connection:
        connection.settimeout(limit)
        own = int(connection.getsockname()[1])
        with contextlib.suppress(ConnectionError, ssl.SSLEOFError):
            connection.sendall(words)
            while heard := connection.recv(4096):
                answer += heard
    return Talk(answer, own, began)


def _connected(port: int, tls: ssl.SSLContext | None) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=15)
    return tls.wrap_socket(connection, server_hostname="localhost") if tls else connection


def log_entry(site: TestSite, logs: Sequence[str], since: str = "", **wanted: Any) -> dict[str, Any]:
    """Wait for an entry of one of these access logs that has all the wanted fields and is not older than `since`."""

    def find() -> dict[str, Any] | None:
        entries = (entry for name in logs for entry in site.log(name) if entry["time"] >= since)
        return next((entry for entry in entries if wanted.items() <= entry.items()), None)

    found: dict[str, Any] = eventually(find, 15, f"an entry with {wanted} in {', '.join(logs)}")
    return found


def device_context(site: TestSite, name: str = "device") -> ssl.SSLContext:
    """TLS as a device with a certificate of the site speaks it."""
    site.device(name)
    context = ssl.create_default_context(cafile=site.ca)
    context.load_cert_chain(site.devices / f"{name}.crt", site.devices / f"{name}.key")
    return context


@contextlib.contextmanager
def relay(
    port: int, host: str = "127.0.0.1", source: str | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """A port of this machine that hands its connections on to another.

    Parameters
    ----------
    source:
        Address that the connections come from.
    tls:
        Wrap them in TLS: what stunnel does for a device that speaks none. DCMTK's movescu and getscu are such.
    """

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while some := await reader.read(1 << 16):
                writer.write(some)
                await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = "localhost" if tls else None
        address = (source, 0) if source else None
        try:
            onward = await asyncio.open_connection(host, port, ssl=tls, server_hostname=name, local_addr=address)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, onward[1]), pump(onward[0], writer))

    async def ended(tasks: set[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        starting = asyncio.run_coroutine_threadsafe(asyncio.start_server(connected, "127.0.0.1", 0), loop)
        server = starting.result(10)
        yield int(server.sockets[0].getsockname()[1])
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(ended(asyncio.all_tasks(loop)))
        loop.close()


def http_answer(done: Done) -> tuple[int, dict[str, str], str]:
    """Status, headers in small letters and body of what `curl --include` printed."""
    head, _, body = done.out.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in headers}, body


def assert_secure(headers: dict[str, str]) -> None:
    """Check that an answer over HTTPS has the security headers and does not name the server."""
    for name, pattern in SECURITY_HEADERS.items():
        assert re.fullmatch(pattern, headers[name]), name
    assert "server" not in headers


def replicas_of(site: TestSite, agent: str, count: int) -> set[str]:
    """Which Orthanc servers answered the `count` requests of this user agent."""

    def entries() -> list[dict[str, Any]]:
        return [entry for entry in site.log("web") if entry["agent"] == agent]

    eventually(lambda: len(entries()) == count, 15, f"{count} entries of {agent} in web.log")
    return {entry["replica"] for entry in entries()}

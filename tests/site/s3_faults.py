"""A proxy between Orthanc and its object storage that injects faults into what passes."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class FaultInjectingProxy:
    """An HTTPS proxy in front of a server that spoils what passes, in the way that `fault` names.

    A fault is called with the handler and does all that is to be done with a request; `pass_on` is the harmless one.
    """

    def __init__(self, certificates: Path, upstream: int) -> None:
        self.upstream = upstream
        self.trust = str(certificates / "ca.crt")
        self.fault: Callable[[Passing], None] = Passing.pass_on
        outer = self

        class Handler(Passing):
            proxy = outer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "server.crt", certificates / "server.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.endpoint = f"https://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Passing(BaseHTTPRequestHandler):
    """One connection through the proxy."""

    proxy: FaultInjectingProxy
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.proxy.fault(self)

    do_GET = do_PUT = do_HEAD = do_DELETE = _any

    def forward(self, body: bytes | None = None) -> tuple[int, list[tuple[str, str]], bytes]:
        """Send the request on, with another body if one is given, and give the answer."""
        sent = self.body if body is None else body
        context = ssl.create_default_context(cafile=self.proxy.trust)
        upstream = http.client.HTTPSConnection("127.0.0.1", self.proxy.upstream, context=context, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "content-length"}
        if self.command == "PUT":
            headers["Content-Length"] = str(len(sent))
        upstream.request(self.command, self.path, sent or None, headers)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        return answer.status, answer.getheaders(), content

    def answer(self, status: int, headers: list[tuple[str, str]], content: bytes, sent: bytes | None = None) -> None:
        """Answer the client; with `sent`, these bytes only, and then the end of the connection."""
        self.send_response_only(status)
        held = {name.lower() for name, _ in headers}
        for name, value in headers:
            self.send_header(name, value)
        if "content-length" not in held:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if sent is None else sent)
        self.close_connection = sent is not None

    def pass_on(self) -> None:
        self.answer(*self.forward())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def say_nothing(passing: Passing) -> None:
    """Take the request and never answer."""
    passing.rfile.read(1)


def hang_up(passing: Passing) -> None:
    """End the connection instead of an answer."""
    passing.connection.shutdown(socket.SHUT_RDWR)
    passing.close_connection = True


def alter_body(passing: Passing) -> None:
    """Hand on another upload than was sent."""
    spoilt = passing.body[:100] + b"?" + passing.body[101:] if passing.command == "PUT" else passing.body
    passing.answer(*passing.forward(spoilt))


def shorten_body(passing: Passing) -> None:
    """Hand on less than was sent."""
    passing.answer(*passing.forward(passing.body[:-100] if passing.command == "PUT" else passing.body))


def keep_something_else(passing: Passing) -> None:
    """Answer as a server does that kept other bytes."""
    status, headers, content = passing.forward()
    if passing.command == "PUT":
        headers = [(name, '"' + "0" * 32 + '"' if name.lower() == "etag" else value) for name, value in headers]
    passing.answer(status, headers, content)


def answer_half(passing: Passing) -> None:
    """Break off in the middle of what is fetched."""
    status, headers, content = passing.forward()
    half = passing.command == "GET"
    passing.answer(status, headers, content, content[: len(content) // 2] if half else None)


def flip_a_byte_of_the_answer(passing: Passing) -> None:
    """Answer with other bytes than are kept."""
    status, headers, content = passing.forward()
    if passing.command == "GET":
        content = content[:100] + b"?" + content[101:]
    passing.answer(status, headers, content)


def foreign_etag(passing: Passing) -> None:
    """Answer as a server does whose ETags are no checksums."""
    status, headers, content = passing.forward()
    headers = [(name, '"of-another-kind-1"' if name.lower() == "etag" else value) for name, value in headers]
    passing.answer(status, headers, content)


def foreign_etag_and_nothing_kept(passing: Passing) -> None:
    """Answer as such a server does that lost the object."""
    if passing.command == "PUT":
        passing.answer(200, [("ETag", '"of-another-kind-1"')], b"")
    else:
        passing.pass_on()

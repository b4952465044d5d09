"""Asks a web server as a browser or a script does, over TLS that is verified: a connection for each request, or one."""

from __future__ import annotations

import base64
import contextlib
import copy
import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orthweb.dicom.tls import TlsFiles, client_context
from orthweb.validation.target import Credentials, ReplicaAddress, WebDoor

_MOST_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """An answer over HTTP; the names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    set_cookies: tuple[str, ...] = ()

    def json(self) -> Any:
        """The body as JSON; raises ValueError."""
        return json.loads(self.body)


class WebClient:
    """A web server to ask.

    Parameters
    ----------
    context:
        None for HTTP without TLS.
    credentials:
        With whom to ask unless a request says otherwise.
    """

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        server_name: str | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        self.host, self.port = host, port
        self.credentials = credentials
        self._context = context
        self._server_name = server_name or host
        self._keeps = False
        self._kept: http.client.HTTPConnection | None = None

    @contextlib.contextmanager
    def keeping(self) -> Iterator[WebClient]:
        """The same server, asked over one connection as long as it keeps that: many requests cost one handshake.

        It is for one thread.
        """
        client = copy.copy(self)
        client._keeps = True
        try:
            yield client
        finally:
            client._close()

    @property
    def address(self) -> str:
        """Scheme, host and port, without a slash at the end."""
        return f"{'http' if self._context is None else 'https'}://{self._host_header()}"

    @classmethod
    def of_door(cls, door: WebDoor) -> WebClient:
        """The site's web port; raises InputError when its authority's file cannot be read."""
        context = None if door.plain else client_context(TlsFiles(door.ca))
        return cls(door.host, door.port, context, credentials=door.credentials)

    @classmethod
    def of_replica(cls, replica: ReplicaAddress, credentials: Credentials | None) -> WebClient:
        """One Orthanc server, asked as the proxy asks it; raises InputError when a file cannot be read."""
        context = None if replica.tls is None else client_context(replica.tls)
        return cls(replica.host, replica.http_port, context, replica.server_name, credentials)

    def get(self, path: str, **options: Any) -> Answer:
        """Ask with GET; the options are those of `request`."""
        return self.request("GET", path, **options)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        credentials: Credentials | bool = True,
        timeout: float = 5.0,
    ) -> Answer:
        """Ask, and hear the whole answer; redirects are answers like others.

        Parameters
        ----------
        credentials:
            True for the client's own, False for none.
        timeout:
            Seconds for each step of it.

        Raises
        ------
        OSError
            There was no answer; ssl.SSLError is one of them.
        """
        known = self.credentials if credentials is True else credentials
        sent = {"Host": self._host_header(), "Connection": "keep-alive" if self._keeps else "close", **(headers or {})}
        if isinstance(known, Credentials):
            pair = base64.b64encode(f"{known.user}:{known.password}".encode()).decode()
            sent["Authorization"] = f"Basic {pair}"
        if method != "GET":
            # A server may end a connection that was kept just as the request arrives; only GET may then be repeated.
            self._close()
        used = self._kept is not None and self._kept.sock is not None
        try:
            try:
                return self._exchange(method, path, body, sent, timeout)
            except ConnectionError:
                if not used:
                    raise
                return self._exchange(method, path, body, sent, timeout)
        except http.client.HTTPException as error:
            raise OSError(f"no answer in HTTP: {type(error).__name__}") from error

    def _exchange(self, method: str, path: str, body: bytes | None, sent: Mapping[str, str], timeout: float) -> Answer:
        connection = self._connection(timeout)
        done = False
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            content = response.read(_MOST_BYTES)
            cookies = tuple(response.msg.get_all("Set-Cookie") or ())
            done = self._keeps and response.isclosed()
            return Answer(
                response.status, {name.lower(): value for name, value in response.getheaders()}, content, cookies
            )
        finally:
            if not done:
                connection.close()

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        if self._kept is not None and self._kept.sock is not None:
            self._kept.sock.settimeout(timeout)
            return self._kept
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        # It must never connect by itself: that would be without TLS.
        connection.auto_open = 0
        plain = socket.create_connection((self.host, self.port), timeout)
        try:
            # Else the request waits 40 ms for the other side to acknowledge the handshake's end.
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sock = (
                plain if self._context is None else self._context.wrap_socket(plain, server_hostname=self._server_name)
            )
        except OSError:
            plain.close()
            raise
        if self._keeps:
            self._kept = connection
        return connection

    def _close(self) -> None:
        if self._kept is not None:
            self._kept.close()

    def _host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 80 if self._context is None else 443
        return host if self.port == usual else f"{host}:{self.port}"

"""A TCP or TLS connection whose every wait has an end."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time

_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}
_POLL_ERRORS = select.POLLERR | select.POLLHUP | select.POLLNVAL


def now() -> float:
    """The clock of all deadlines: monotonic seconds."""
    return time.monotonic()


class Channel:
    """A connected socket that never blocks longer than it is told.

    Parameters
    ----------
    tls:
        When given, `handshake` has to come before anything else.
    """

    def __init__(
        self, connection: socket.socket, tls: ssl.SSLContext | None = None, server_name: str | None = None
    ) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            # macOS names the first of them otherwise.
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._socket: socket.socket | ssl.SSLSocket = connection
        if tls is not None:
            # The name goes into the handshake also when nobody checks it.
            self._socket = tls.wrap_socket(
                connection,
                server_side=server_name is None,
                server_hostname=server_name,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=True,
            )
        self._poll = select.poll()

    def handshake(self, deadline: float) -> None:
        """Shake hands over TLS; on a plain connection nothing happens.

        Raises
        ------
        TimeoutError
            It took too long.
        OSError
            The connection broke, or one side did not trust the other (ssl.SSLError).
        """
        if not isinstance(self._socket, ssl.SSLSocket):
            return
        while True:
            try:
                self._socket.do_handshake()
                return
            except ssl.SSLWantReadError:
                ready = self._wait(select.POLLIN, deadline)
            except ssl.SSLWantWriteError:
                ready = self._wait(select.POLLOUT, deadline)
            if not ready:
                raise TimeoutError("the TLS handshake took too long")

    def receive_into(self, buffer: memoryview, deadline: float | None) -> int | None:
        """Receive some bytes; returns how many, 0 when the peer closed, None when the deadline came first.

        Raises
        ------
        OSError
            The connection broke.
        """
        while True:
            try:
                return self._socket.recv_into(buffer)
            except (BlockingIOError, ssl.SSLWantReadError):
                ready = self._wait(select.POLLIN, deadline)
            except ssl.SSLWantWriteError:
                ready = self._wait(select.POLLOUT, deadline)
            except ssl.SSLEOFError:
                return 0
            if not ready:
                return None

    def send(self, data: bytes | memoryview, patience: float) -> None:
        """Send all bytes; the peer may take them as slowly as it likes, so long as it takes some.

        Parameters
        ----------
        patience:
            Seconds without the peer taking one byte.

        Raises
        ------
        TimeoutError
            The peer took nothing for `patience` seconds.
        OSError
            The connection broke.
        """
        left = memoryview(data)
        while left:
            try:
                left = left[self._socket.send(left) :]
                continue
            except (BlockingIOError, ssl.SSLWantWriteError):
                ready = self._wait(select.POLLOUT, now() + patience)
            except ssl.SSLWantReadError:
                ready = self._wait(select.POLLIN, now() + patience)
            if not ready:
                raise TimeoutError(f"the peer took nothing for {patience:g} s")

    def peer_certificate(self) -> bytes | None:
        """The certificate that the peer showed, DER; None without TLS or without a certificate."""
        return self._socket.getpeercert(binary_form=True) if isinstance(self._socket, ssl.SSLSocket) else None

    def tls_version(self) -> str | None:
        """The version of TLS in use, such as TLSv1.3; None without."""
        return self._socket.version() if isinstance(self._socket, ssl.SSLSocket) else None

    def lose_after(self, seconds: float) -> None:
        """Give the connection up when what was sent is not confirmed for so long: the peer's machine is gone."""
        # Keepalive does not probe while something is under way, and TCP itself goes on for a quarter of an hour.
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(seconds * 1000)))

    def interrupt(self) -> None:
        """End every wait on the connection, from another thread."""
        with contextlib.suppress(OSError):
            # SSLSocket's own would first make it a plain socket, on which the thread that uses it goes on unencrypted.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection. What was sent still arrives."""
        self._socket.close()

    def _wait(self, events: int, deadline: float | None) -> bool:
        left = None if deadline is None else max(0.0, deadline - now()) * 1000
        self._poll.register(self._socket.fileno(), events)
        return bool(self._poll.poll(left))


def connect(
    host: str, port: int, tls: ssl.SSLContext | None, deadline: float, server_name: str | None = None
) -> tuple[Channel, float]:
    """Connect and shake hands; returns the channel and the seconds that TCP's own round trip took.

    Parameters
    ----------
    server_name:
        Name that the server's certificate has to hold; `host` by default.

    Raises
    ------
    TimeoutError, OSError
        As for `Channel.handshake`.
    """
    started = now()
    connection = socket.create_connection((host, port), timeout=max(0.001, deadline - started))
    took = now() - started
    channel = Channel(connection, tls, (server_name or host) if tls else None)
    try:
        channel.handshake(deadline)
    except BaseException:
        channel.close()
        raise
    return channel, took

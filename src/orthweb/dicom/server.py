"""Listens for associations: a thread for each, within limits, over TLS that can be replaced while it runs."""

from __future__ import annotations

import collections
import logging
import os
import select
import socket
import ssl
import threading

from orthweb.dicom.acceptor import LOCAL_LIMIT_EXCEEDED, Acceptor, StorageService
from orthweb.dicom.limits import Limits
from orthweb.dicom.pdus import AssociateReject
from orthweb.dicom.transport import Channel, now

log = logging.getLogger(__name__)

_BACKLOG = 256
# So many may be told at the same time that there is no room for them; further ones are hung up on.
_MOST_REFUSALS = 32


class Server:
    """A DICOM server on one address. It accepts from `start` to `stop`.

    Parameters
    ----------
    host:
        IPv4 or IPv6 address.
    port:
        0 takes a free one; `port` tells which.
    tls:
        None for plain DICOM.
    """

    def __init__(
        self,
        host: str,
        port: int,
        service: StorageService,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Bind the address; raises OSError when it is taken."""
        self._service, self._tls, self._limits = service, tls, limits or Limits()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        self._listener.setblocking(False)
        self._port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._serving: dict[threading.Thread, tuple[Channel, str, bool]] = {}
        self._wake, self._woken = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._accept, name="dicom-listener")

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._port

    def start(self) -> None:
        """Accept associations."""
        self._thread.start()

    def replace_tls(self, tls: ssl.SSLContext) -> None:
        """Shake hands by another context from now on; associations in flight go on."""
        self._tls = tls

    def stop(self, seconds: float) -> int:
        """Accept nobody any more, let associations end for so long, and then cut them; returns how many were cut."""
        os.write(self._woken, b"x")
        if self._thread.ident is not None:
            self._thread.join()
        # Whoever calls now is refused by the system at once, instead of waiting for an answer.
        self._listener.close()
        deadline = now() + seconds
        for thread in list(self._serving):
            thread.join(max(0.0, deadline - now()))
        with self._lock:
            left = dict(self._serving)
        for channel, _, _ in left.values():
            channel.interrupt()
        for thread in left:
            thread.join()
        os.close(self._wake)
        os.close(self._woken)
        return len(left)

    def _accept(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if self._wake in ready:
                return
            try:
                connection, address = self._listener.accept()
            except OSError as error:
                # The client has gone again, or the process has no more file descriptors: the next one may do.
                log.warning("cannot accept a connection: %s", error)
                select.select([self._wake], [], [], 0.05)
                continue
            self._begin(connection, str(address[0]))

    def _begin(self, connection: socket.socket, address: str) -> None:
        with self._lock:
            kept = [known for _, known, refused in self._serving.values() if not refused]
            refused = len(self._serving) - len(kept)
            here = collections.Counter(kept)[address]
            full = len(kept) >= self._limits.associations or here >= self._limits.associations_per_address
            if full and refused >= _MOST_REFUSALS:
                connection.close()
                return
            try:
                channel = Channel(connection, self._tls)
            except OSError:
                connection.close()
                return
            refusal = LOCAL_LIMIT_EXCEEDED if full else None
            thread = threading.Thread(target=self._serve, args=(channel, address, refusal), name=f"dicom-{address}")
            self._serving[thread] = (channel, address, full)
            try:
                thread.start()
            except RuntimeError as error:
                # The system has no more threads for this process: the next one may do.
                log.warning("%s: cannot be served: %s", address, error)
                del self._serving[thread]
                channel.close()
                return
        if full:
            log.warning("%s: refused, %d associations in all, %d from there", address, len(kept), here)

    def _serve(self, channel: Channel, address: str, refusal: AssociateReject | None) -> None:
        try:
            try:
                channel.handshake(now() + self._limits.handshake_seconds)
            except OSError as error:
                log.info("%s: TLS handshake failed: %s", address, error)
                return
            Acceptor(channel, address, self._service, self._limits, refusal).serve()
        finally:
            channel.close()
            with self._lock:
                del self._serving[threading.current_thread()]

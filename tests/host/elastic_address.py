"""A stand-in for AWS's public addresses: what connects to one here reaches the machine that it is with."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

PORTS = (443, 11112)


@contextlib.contextmanager
def passed_on(address: str, holder: Callable[[], str | None]) -> Iterator[None]:
    """Pass connections to an address of this machine's loopback on, while the body runs.

    Parameters
    ----------
    holder:
        The address of the machine that it is with now; None where it is with none, which refuses.
    """
    over = threading.Event()
    with contextlib.ExitStack() as stack:
        for port in PORTS:
            listener = stack.enter_context(socket.create_server((address, port), backlog=128))
            listener.settimeout(0.2)
            thread = threading.Thread(target=_serve, args=(listener, port, holder, over), daemon=True)
            thread.start()
            stack.callback(thread.join)
        stack.callback(over.set)
        yield


def _serve(listener: socket.socket, port: int, holder: Callable[[], str | None], over: threading.Event) -> None:
    while not over.is_set():
        with contextlib.suppress(TimeoutError):
            near, _ = listener.accept()
            target = holder()
            try:
                if target is None:
                    raise ConnectionRefusedError
                far = socket.create_connection((target, port), 5)
            except OSError:
                near.close()
                continue
            for one, other in ((near, far), (far, near)):
                one.settimeout(None)
                threading.Thread(target=_copy, args=(one, other), daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 18):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

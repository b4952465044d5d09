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
        Gives the address of the machine that it is with; None where it is with none, which refuses. It is asked all the
        while, as AWS tells its network all the while.
    """
    over, now = threading.Event(), {"holder": holder()}

    def watch() -> None:
        while not over.wait(0.3):
            now["holder"] = holder()

    with contextlib.ExitStack() as stack:
        threads = [threading.Thread(target=watch, daemon=True)]
        for port in PORTS:
            listener = stack.enter_context(socket.create_server((address, port), backlog=128))
            listener.settimeout(0.2)
            threads.append(threading.Thread(target=_serve, args=(listener, port, now, over), daemon=True))
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
        stack.callback(over.set)
        yield


def _serve(listener: socket.socket, port: int, now: dict[str, str | None], over: threading.Event) -> None:
    while not over.is_set():
        with contextlib.suppress(TimeoutError):
            near, _ = listener.accept()
            threading.Thread(target=_pass, args=(near, now["holder"], port), daemon=True).start()


def _pass(near: socket.socket, target: str | None, port: int) -> None:
    near.settimeout(None)
    try:
        if target is None:
            raise ConnectionRefusedError
        far = socket.create_connection((target, port), 5)
    except OSError:
        near.close()
        return
    far.settimeout(None)
    for end in (near, far):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=_copy, args=(far, near), daemon=True).start()
    _copy(near, far)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 18):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

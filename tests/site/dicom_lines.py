"""A network line of the test's own that can be cut: what is sent then gets no answer, not even that nobody is there."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from harness import eventually, run
from people import need_root

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Line:
    """Two ends with an address each: `here` in this process, `there` in a network namespace."""

    here: str
    there: str
    namespace: str
    device: str

    def cut(self) -> None:
        """Let nothing through any more."""
        _ip("-n", self.namespace, "link", "set", self.device, "down")

    def mend(self) -> None:
        _ip("-n", self.namespace, "link", "set", self.device, "up")
        eventually(lambda: _carrier(self.device), 10, "the line to be up")

    def at_the_other_end(self, make: Callable[[], _T]) -> _T:
        """Make something there, such as a socket: where it was made it stays, whoever uses it."""
        made: list[_T] = []

        def inside() -> None:
            # Of this thread alone, which ends with it.
            with open(f"/run/netns/{self.namespace}") as file:
                if _libc.setns(file.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            made.append(make())

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        return made[0]


@contextlib.contextmanager
def line() -> Iterator[Line]:
    """A line that is gone afterwards."""
    need_root("making a network namespace")
    name = f"ow{secrets.token_hex(3)}"
    # For documentation and tests of networks (RFC 2544); nobody routes it.
    net = f"198.18.{random.randrange(256)}"
    made = Line(f"{net}.1", f"{net}.2", name, name)
    _ip("netns", "add", name)
    try:
        _ip("link", "add", name, "type", "veth", "peer", "name", name, "netns", name)
        _ip("addr", "add", f"{made.here}/30", "dev", name)
        _ip("-n", name, "addr", "add", f"{made.there}/30", "dev", name)
        _ip("link", "set", name, "up")
        made.mend()
        yield made
    finally:
        # Not only the namespace: that lasts as long as a connection in it waits for answers.
        run(["ip", "link", "del", name])
        _ip("netns", "del", name)


def listening_there(made: Line) -> socket.socket:
    """A server's socket at the other end."""
    return made.at_the_other_end(lambda: socket.create_server((made.there, 0)))


def _ip(*words: str) -> None:
    done = run(["ip", *words], env={**os.environ, "LC_ALL": "C"})
    assert done.status == 0, done.all


def _carrier(device: str) -> bool:
    with contextlib.suppress(OSError), open(f"/sys/class/net/{device}/operstate") as file:
        return file.read().strip() == "up"
    return False

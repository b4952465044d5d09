"""A line with delay between two network namespaces, for root: packets go through two tun devices and wait in between.

A stand-in for a long line, and for netem, which not every kernel has. TCP on both ends is the kernel's own.
"""

from __future__ import annotations

import collections
import contextlib
import fcntl
import os
import select
import struct
import subprocess
import threading
import time
from collections.abc import Iterator

# Of linux/if_tun.h.
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
# Few and large packets: a program in Python carries a gigabit of them.
_MTU = 16000
NEAR, FAR = "10.213.0.1", "10.213.0.2"


@contextlib.contextmanager
def delay_line(delay: float, bits_a_second: float) -> Iterator[tuple[str, str]]:
    """Make a line that takes `delay` seconds each way; gives the namespaces of NEAR and of FAR."""
    names = f"ow{os.getpid()}n", f"ow{os.getpid()}f"
    over = threading.Event()
    with contextlib.ExitStack() as stack:
        ends = []
        for name, address, other in ((names[0], NEAR, FAR), (names[1], FAR, NEAR)):
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "del", name)
            ends.append(_tun(name))
            stack.callback(os.close, ends[-1])
            _ip("link", "set", name, "netns", name)
            _ip("-n", name, "addr", "add", address, "peer", other, "dev", name)
            _ip("-n", name, "link", "set", name, "mtu", str(_MTU), "txqueuelen", "20000", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        carriers = [
            threading.Thread(target=_carry, args=(source, sink, delay, bits_a_second, over))
            for source, sink in (ends, reversed(ends))
        ]
        for carrier in carriers:
            carrier.start()
            stack.callback(carrier.join)
        stack.callback(over.set)
        yield names


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def _tun(name: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return fd


def _carry(source: int, sink: int, delay: float, bits_a_second: float, over: threading.Event) -> None:
    """Carry packets one way, one after the other at the line's rate, each for so long."""
    waiting: collections.deque[tuple[float, bytes]] = collections.deque()
    poll = select.poll()
    poll.register(source, select.POLLIN)
    free = 0.0
    while not over.is_set():
        left = waiting[0][0] - time.monotonic() if waiting else 0.1
        if poll.poll(max(0.0, left) * 1000):
            packet = os.read(source, 1 << 16)
            free = max(free, time.monotonic()) + len(packet) * 8 / bits_a_second
            waiting.append((free + delay, packet))
        while waiting and waiting[0][0] <= time.monotonic():
            # A packet that finds no room is lost, as on any line.
            with contextlib.suppress(OSError):
                os.write(sink, waiting.popleft()[1])

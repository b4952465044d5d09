"""Which ports of this machine are taken, and by whom; and free ones for the processes inside a site."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Container, Iterable
from pathlib import Path

from orthweb.site.files import write_file

_LISTEN = "0A"
# Below the range that the kernel hands out for outgoing connections.
_FIRST, _LAST = 20000, 30000


def listeners(port: int) -> set[str]:
    """The inodes of the sockets that listen on a TCP port of this machine, of any address."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except FileNotFoundError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rsplit(":", 1)[1], 16) == port:
                inodes.add(fields[9])
    return inodes


def holder(inodes: Container[str]) -> tuple[int, str] | None:
    """The process id and name that hold one of these sockets; None when it is not ours to see."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and any(_socket(handle) in inodes for handle in _handles(entry)):
            # Nobody's any more when it has just ended.
            with contextlib.suppress(OSError):
                return int(entry.name), (entry / "comm").read_text().strip()
    return None


def _handles(process: Path) -> list[Path]:
    """What a process holds open; nothing of another user's process, or of one that has just ended."""
    try:
        return list((process / "fd").iterdir())
    except OSError:
        return []


def _socket(handle: Path) -> str:
    """The inode of the socket behind a handle; empty for anything else, and for one that was closed meanwhile."""
    try:
        kind, _, inode = os.readlink(handle).partition(":[")
    except OSError:
        return ""
    return inode.removesuffix("]") if kind == "socket" else ""


def describe_holder(inodes: Container[str]) -> str:
    """Say who holds one of these sockets, for an error message."""
    found = holder(inodes)
    return f"{found[1]} (pid {found[0]})" if found else "another user's process"


def ensure_ports(
    path: Path, names: Iterable[str], running: Container[str], avoid: Container[int], keep: bool = True
) -> dict[str, int]:
    """Give each name a free port that it keeps over restarts.

    Parameters
    ----------
    path:
        Where the choice is kept.
    running:
        Names whose process is up: it holds its own port.
    avoid:
        Ports that belong to the site's listeners.
    keep:
        Whether a new choice is written.
    """
    try:
        kept: dict[str, int] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        kept = {}
    ports: dict[str, int] = {}
    for name in names:
        port = kept.get(name)
        if port is None or (name.split("/")[0] not in running and not _usable(port, avoid, ports.values())):
            others = {value for key, value in kept.items() if key != name} | set(ports.values())
            # Start elsewhere in each site, so that sites side by side seldom meet.
            start = _FIRST + hash_of(path, name) % (_LAST - _FIRST)
            candidates = (*range(start, _LAST), *range(_FIRST, start))
            port = next(number for number in candidates if _usable(number, avoid, others))
        ports[name] = port
    if keep and ports != kept:
        write_file(path, json.dumps(ports, indent=2) + "\n")
    return ports


def is_free(port: int) -> bool:
    """Whether nobody listens on a TCP port of this machine."""
    return not listeners(port)


def first_free(port: int, avoid: Container[int] = ()) -> int:
    """The first free port from `port` on."""
    return next(number for number in range(port, 65536) if _usable(number, avoid, ()))


def hash_of(path: Path, name: str) -> int:
    """A number that is the same in every run, for a folder and a name."""
    from zlib import crc32

    return crc32(f"{path}\0{name}".encode())


def has_ipv6() -> bool:
    """Whether this machine can listen on IPv6's loopback address."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _usable(port: int, avoid: Container[int], taken: Iterable[int]) -> bool:
    return port not in avoid and port not in set(taken) and not listeners(port)

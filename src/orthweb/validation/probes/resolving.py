"""Looks names up, all at once and for so long at most: the system's own resolver knows no time limit."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Sequence


def is_address(name: str) -> bool:
    """Whether it is an IP address and no name."""
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def resolve(names: Sequence[str], seconds: float) -> dict[str, list[str] | str]:
    """Look names up; an address is its own.

    Returns
    -------
    The addresses of each name, each once, or why there are none.
    """
    found: dict[str, list[str] | str] = {}

    def look_up(name: str) -> None:
        found[name] = _addresses(name)

    # Daemons: a resolver that hangs must not keep the command from ending.
    threads = [threading.Thread(target=look_up, args=(name,), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return {name: found.get(name, "no answer from the name server") for name in names}


def _addresses(name: str) -> list[str] | str:
    try:
        entries = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return "no answer from a name server" if error.errno == socket.EAI_AGAIN else "there is no such name"
    except UnicodeError:
        return "it is no name of a host"
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))

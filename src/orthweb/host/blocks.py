"""Chooses the addresses of a site's containers."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable
from pathlib import Path

from orthweb.errors import Failure
from orthweb.host.docker import Docker
from orthweb.site.files import write_file

# For tests between networks, and so in nobody's network: RFC 2544. Docker's own choice begins at 172.17.0.0, which
# would take addresses of many a hospital, and of the VPC of a site on AWS.
_POOL = ipaddress.IPv4Network("198.18.0.0/15")


def routes(table: Path = Path("/proc/net/route")) -> list[str]:
    """The networks that this machine has a route to, but for the one to everywhere (proc(5))."""
    found = []
    for line in table.read_text().splitlines()[1:]:
        _, destination, *_, mask, _, _, _ = line.split()
        address, bits = (int.from_bytes(bytes.fromhex(word), "little") for word in (destination, mask))
        if bits:
            found.append(str(ipaddress.IPv4Network((address, bits.bit_count()))))
    return found


def kept_block(kept: Path, docker: Docker, project: str, name: str) -> ipaddress.IPv4Network:
    """The network of a site's containers: chosen once and kept in a file. Raises Failure when none is left."""
    if not kept.exists():
        write_file(kept, f"{free_block([*docker.subnets(but=project), *routes()], name)}\n", 0o644)
    return ipaddress.IPv4Network(kept.read_text().strip())


def free_block(taken: Iterable[str], name: str) -> ipaddress.IPv4Network:
    """Choose a network of /24 for the containers of the site `name`, the same each time unless it is taken.

    Parameters
    ----------
    taken:
        Ranges of networks that the host knows.

    Raises
    ------
    Failure
        All are taken.
    """
    blocks = list(_POOL.subnets(new_prefix=24))
    others = [ipaddress.IPv4Network(text) for text in taken if ":" not in text]
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % len(blocks)
    for number in range(len(blocks)):
        block = blocks[(first + number) % len(blocks)]
        if not any(block.overlaps(other) for other in others):
            return block
    raise Failure(
        f"no network of /24 is left in {_POOL} for the containers", "'docker network prune' frees those unused"
    )

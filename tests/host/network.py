"""The network of one run of the tests: a bridge in a namespace, one end on this machine, and hosts of its own on it.

Address 1 is the bridge's namespace, where the stand-ins for AWS serve; 2 is this machine; the others are given out.
This machine's own network gains the one interface, which goes with the run; its firewall and its routes stay.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ground import Ground, sh

CLOUD, HERE, _FIRST = 1, 2, 10


@dataclass(frozen=True)
class Place:
    """A network namespace with an address."""

    namespace: str
    address: str

    @property
    def enter(self) -> tuple[str, ...]:
        """What to put before a command to run it there; all but the network is this machine's."""
        return ("nsenter", f"--net=/run/netns/{self.namespace}", "--")

    @property
    def path(self) -> Path:
        return Path("/run/netns", self.namespace)


@dataclass(frozen=True)
class Network:
    """A bridge with this machine and others on it."""

    ground: Ground
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(_FIRST), repr=False)

    @property
    def cloud(self) -> Place:
        """Where what stands in for AWS serves: the gateway and the resolver of the others."""
        return Place(self.ground.name, self.ground.address(CLOUD))

    @property
    def here(self) -> str:
        """This machine's address as the others see it."""
        return self.ground.address(HERE)

    def join(self) -> Place:
        """Make a namespace with an address of its own on the network."""
        number = next(self._numbers)
        place = Place(f"{self.ground.name}-{number}", self.ground.address(number))
        wire = f"w{number}"
        sh("ip", "netns", "add", place.namespace)
        sh("ip", "-n", self.cloud.namespace, "link", "add", wire, "type", "veth",
           "peer", "name", "eth0", "netns", place.namespace)  # fmt: skip
        sh("ip", "-n", self.cloud.namespace, "link", "set", wire, "master", "wires", "up")
        for words in (
            ("link", "set", "lo", "up"),
            ("address", "add", f"{place.address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("route", "add", "default", "via", self.cloud.address),
        ):
            sh("ip", "-n", place.namespace, *words)
        return place

    def leave(self, place: Place) -> None:
        """Remove a namespace; what runs in it must have ended."""
        sh("ip", "netns", "delete", place.namespace)


@contextlib.contextmanager
def network(ground: Ground) -> Iterator[Network]:
    """Make the network of a run; it goes with the run's ground."""
    made = Network(ground)
    name = ground.name
    sh("ip", "netns", "add", name)
    for words in (
        ("link", "set", "lo", "up"),
        ("link", "add", "wires", "type", "bridge"),
        ("address", "add", f"{made.cloud.address}/24", "dev", "wires"),
        ("link", "set", "wires", "up"),
    ):
        sh("ip", "-n", name, *words)
    sh("ip", "link", "add", name, "type", "veth", "peer", "name", "here", "netns", name)
    sh("ip", "-n", name, "link", "set", "here", "master", "wires", "up")
    sh("ip", "address", "add", f"{made.here}/24", "dev", name)
    sh("ip", "link", "set", name, "up")
    yield made

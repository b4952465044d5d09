"""Where a host of a site on AWS keeps what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class HostPaths:
    """Where a host keeps what.

    Parameters
    ----------
    memory:
        A folder on a RAM disk, for everything that is rendered: it holds secrets.
    data:
        What lasts.
    """

    memory: Path = Path("/run/orthweb")
    data: Path = Path("/var/lib/orthweb")

    @property
    def state(self) -> Path:
        """What `orthweb host status` shows."""
        return self.memory / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the command that changes the host."""
        return self.memory / "lock"

    @property
    def network(self) -> Path:
        """The network of the containers."""
        return self.data / "network"

    @property
    def applied(self) -> Path:
        """The images that the host runs, until an upgrade."""
        return self.data / "applied.json"

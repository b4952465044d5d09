"""What the host part of Orthweb needs, pinned by `make lock`: names, versions and the hashes of every wheel."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files

_ENTRY = re.compile(r"^([a-z0-9][a-z0-9-]*)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)", re.MULTILINE)


@dataclass(frozen=True)
class Pin:
    """One package of the lock file."""

    name: str
    """As PyPI normalises it: small letters, digits and hyphens."""
    version: str
    hashes: frozenset[str]
    """SHA-256 of its files for every platform, in hexadecimal digits."""

    @property
    def requirement(self) -> str:
        """As pip takes it."""
        return f"{self.name}=={self.version}"


def host_pins() -> list[Pin]:
    """Read the lock file that ships with this package."""
    text = files(__package__).joinpath("host.lock").read_text(encoding="utf-8")
    return [
        Pin(name, version, frozenset(re.findall(r"sha256:([0-9a-f]{64})", hashes)))
        for name, version, hashes in _ENTRY.findall(text)
    ]

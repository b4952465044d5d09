"""Whom a host trusts for its database: Amazon's authorities of its region, and those that its administrator added."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

# Debian's place for authorities of one's own (update-ca-certificates(8)): a database that is not Amazon's, say.
_ADDED = Path("/usr/local/share/ca-certificates")
SYSTEM = Path("/etc/ssl/certs/ca-certificates.crt")
"""All authorities that a Debian host trusts."""
_BLOCK = re.compile(
    r"^# (?P<name>[^\n]*), until [0-9-]+\n(?P<pem>-----BEGIN.*?-----END CERTIFICATE-----\n)", re.M | re.S
)


def database_authorities(region: str, added: Path = _ADDED) -> str:
    """Give the authorities in PEM.

    Parameters
    ----------
    region:
        Of RDS; of a region that is newer than this package all of Amazon's are given.
    """
    text = files("orthweb.host").joinpath("rds-authorities.pem").read_text()
    known = [(found["name"], found["pem"]) for found in _BLOCK.finditer(text)]
    of_region = [pem for name, pem in known if f" {region} " in name] or [pem for _, pem in known]
    own = [path.read_text() for path in sorted(added.glob("**/*.crt"))]
    return "".join([*of_region, *(pem if pem.endswith("\n") else pem + "\n" for pem in own)])

"""An authority of a test's own, and the certificates of those who trust it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doors import keep

from orthweb.dicom.tls import TlsFiles
from orthweb.pki import Authority, Issued, ensure_authority

HERE = ["127.0.0.1", "localhost"]
_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Circle:
    """An authority, and those who trust it."""

    folder: Path
    authority: Authority

    @property
    def trusted(self) -> Path:
        return self.folder / "ca.crt"

    def files(self, issued: Issued | None, name: str, trusted: Path | None = None) -> TlsFiles:
        """The files of one side; of a client without a certificate when there is none."""
        if issued is None:
            return TlsFiles(trusted or self.trusted)
        key, certificate = keep(issued, self.folder, name)
        return TlsFiles(trusted or self.trusted, certificate, key)

    def server(self, names: list[str] | None = None, days_ago: int = 0) -> TlsFiles:
        return self.files(self.authority.issue_server(names or HERE, **_validity(days_ago)), "server")

    def client(self, days_ago: int = 0) -> TlsFiles:
        return self.files(self.authority.issue_client("device", **_validity(days_ago)), "client")


def _validity(days_ago: int) -> dict[str, Any]:
    """Of one day, which began so many days ago."""
    return {"days": 1, "now": datetime.datetime.now(datetime.UTC) - days_ago * _DAY}


def new_circle(folder: Path) -> Circle:
    """An authority that is a month old."""
    began = datetime.datetime.now(datetime.UTC) - 30 * _DAY
    return Circle(folder, ensure_authority(folder, f"of {folder.name}", now=began))

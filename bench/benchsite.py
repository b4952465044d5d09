"""The two receivers that the measurements compare: a whole site, and one Orthanc with nothing around it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

ORTHWEB = [sys.executable, "-m", "orthweb"]
_BARE_HTTP, _BARE_DICOM = 18042, 14242


class BenchSite:
    """A site of its own in a scratch folder, up while the body runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Self:
        subprocess.run([*ORTHWEB, "init", "-C", str(self.folder), "--name", "bench"], check=True)
        subprocess.run([*ORTHWEB, "up", "-C", str(self.folder)], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(
            [*ORTHWEB, "certs", "issue", "bench", "-C", str(self.folder), "--to", str(self.folder)],
            check=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run([*ORTHWEB, "down", "--purge", "--yes", "-C", str(self.folder)], check=True)

    @property
    def dicom_port(self) -> int:
        from orthweb.site.load import load_site

        return load_site(self.folder).dicom.port

    @property
    def storescu(self) -> list[str]:
        """The command that stores through TLS, up to the files."""
        folder = self.folder
        tls = [
            "+tls",
            str(folder / "bench.key"),
            str(folder / "bench.crt"),
            "-rc",
            "+cf",
            str(folder / "ca.crt"),
        ]
        return ["storescu", "-aec", "ORTHANC", *tls, "localhost", str(self.dicom_port)]


class BareOrthanc:
    """One Orthanc without TLS, on a database of its own in the site's PostgreSQL, with the site's speed settings."""

    def __init__(self, folder: Path, site: BenchSite) -> None:
        self.folder, self.site = folder, site

    def __enter__(self) -> Self:
        self._make_database()
        state = self.site.folder / ".orthweb"
        settings = json.loads((state / "config/orthanc-1/orthanc.json").read_text())
        for option in [name for name in settings if name.startswith(("Ssl", "DicomTls"))]:
            del settings[option]
        objects = self.folder / "objects"
        objects.mkdir(parents=True)
        settings |= {
            "Name": "bare",
            "StorageDirectory": str(objects),
            "HttpPort": _BARE_HTTP,
            "DicomPort": _BARE_DICOM,
            "AuthenticationEnabled": False,
            "LuaScripts": [],
            "DatabaseServerIdentifier": "bare",
        }
        settings["PostgreSQL"]["ConnectionUri"] = self._uri
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(settings))
        os.chmod(path, 0o600)
        environment = {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(self.folder), "TCP_NODELAY": "1"}
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(["Orthanc", str(path)], env=environment, stdout=log, stderr=log)
        wait_until(self._answers)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        self.process.wait(60)

    @property
    def storescu(self) -> list[str]:
        """The command that stores without TLS, up to the files."""
        return ["storescu", "-aec", "ORTHANC", "localhost", str(_BARE_DICOM)]

    def _make_database(self) -> None:
        from orthweb.render.place import Database
        from orthweb.running.database import connect

        state = self.site.folder / ".orthweb"
        port = json.loads((state / "ports.json").read_text())["postgresql"]
        password = (state / "secrets/postgres-superuser").read_text().strip()
        ca = state / "pki/internal/ca.crt"
        with connect(Database("127.0.0.1", port), "postgres", "postgres", password, ca) as connection:
            connection.execute("CREATE DATABASE bare")
        self._uri = f"postgresql://postgres:{password}@127.0.0.1:{port}/bare?sslmode=verify-full&sslrootcert={ca}"

    def _answers(self) -> bool:
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://127.0.0.1:{_BARE_HTTP}/system")
        except urllib.error.URLError:
            return False
        return True


def wait_until(condition: Callable[[], bool], limit: float = 60) -> None:
    """Wait until `condition` holds, `limit` seconds at the most."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"waited {limit} s in vain")
        time.sleep(0.01)

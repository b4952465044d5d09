"""Real parts for the tests of the object storage: certificates, rclone, Orthanc and DCMTK."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness import free_port

import orthweb.plugins
from orthweb.pki import ensure_authority, write_private

ACCESS_KEY, SECRET_KEY = "AKIDOFTHETEST", "a-secret-of-the-test"
BUCKET = "images"
_SOURCE = Path(orthweb.plugins.__path__[0]).parents[1]


def wait_until(condition: Callable[[], Any], seconds: float, what: str) -> None:
    """Wait for a condition, and fail when it does not come about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen in {seconds} s"
        time.sleep(0.02)


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def make_certificates(folder: Path) -> None:
    """Write an authority's certificate (`ca.crt`) and a server's for 127.0.0.1 (`server.crt`, `server.key`)."""
    issued = ensure_authority(folder, "authority of the test").issue_internal(["127.0.0.1"])
    write_private(folder / "server.crt", issued.certificate_pem)
    write_private(folder / "server.key", issued.key_pem)


class Process:
    """A process of a test, ended by its process id whatever happens."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str]) -> None:
        with log.open("ab") as output:
            self.running = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        self.log = log

    def end(self, how: int = signal.SIGTERM, seconds: float = 20) -> int:
        if self.running.poll() is None:
            self.running.send_signal(how)
        try:
            return self.running.wait(seconds)
        except subprocess.TimeoutExpired:
            self.running.kill()
            raise


class S3Server:
    """rclone as `python -m orthweb.local.s3server` starts it, in a folder with the files of `make_certificates`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.objects = folder / "objects of the server"
        self.config = folder / "server.json"
        self.endpoint = f"https://127.0.0.1:{self.port}"
        self.process: Process | None = None
        keys = folder / "keys.json"
        keys.write_text(json.dumps({"AccessKey": ACCESS_KEY, "SecretKey": SECRET_KEY}))
        keys.chmod(0o600)
        self.config.write_text(
            json.dumps(
                {
                    "rclone": str(Path(sysconfig.get_path("scripts")) / "rclone"),
                    "folder": str(self.objects),
                    "address": f"127.0.0.1:{self.port}",
                    "certificate": str(folder / "server.crt"),
                    "key": str(folder / "server.key"),
                    "keys_file": str(keys),
                    "socket": str(folder / ("a long way down/" * 8) / "s3.sock"),
                }
            )
        )

    @property
    def log(self) -> str:
        return (self.folder / "s3.log").read_text()

    def launch(self) -> Process:
        command = [sys.executable, "-m", "orthweb.local.s3server", str(self.config)]
        environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": str(_SOURCE)}
        return Process(command, self.folder / "s3.log", environment)

    def start(self) -> None:
        process = self.process = self.launch()
        wait_until(lambda: accepts(self.port) or process.running.poll() is not None, 20, "the server's start")
        assert process.running.poll() is None, self.log

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.end(how)
            self.process = None

    def names(self) -> list[str]:
        """The keys in the bucket, as the server keeps them."""
        bucket = self.objects / BUCKET
        return sorted(str(path.relative_to(bucket)) for path in bucket.rglob("*") if path.is_file())


class Orthanc:
    """Orthanc with an SQLite index and the storage plugin, in a folder of its own."""

    def __init__(self, folder: Path, storage: dict[str, Any], extra: dict[str, Any]) -> None:
        folder.mkdir()
        self.folder = folder
        self.port, self.dicom_port = free_port(), free_port()
        self.process: Process | None = None
        python = next(Path("/usr/share/orthanc/plugins").glob("libOrthancPython.so"))
        (folder / "orthanc.json").write_text(
            json.dumps(
                {
                    "Name": "test",
                    "StorageDirectory": str(folder),
                    "IndexDirectory": str(folder),
                    "HttpPort": self.port,
                    "DicomPort": self.dicom_port,
                    "AuthenticationEnabled": False,
                    # What is read comes from the bucket.
                    "MaximumStorageCacheSize": 0,
                    "Plugins": [str(python)],
                    "PythonScript": str(_SOURCE / "orthweb/plugins/s3_storage.py"),
                    "AwsS3Storage": storage,
                    "OrthwebS3": extra,
                }
            )
        )

    @property
    def log(self) -> str:
        return (self.folder / "orthanc.log").read_text(errors="replace")

    def launch(self) -> Process:
        program = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        assert program, "Orthanc is not installed"
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": "/nonexistent",
            "TCP_NODELAY": "1",
            "PYTHONPATH": sysconfig.get_path("purelib"),
        }
        return Process([program, str(self.folder / "orthanc.json")], self.folder / "orthanc.log", environment)

    def start(self) -> None:
        process = self.process = self.launch()
        wait_until(lambda: accepts(self.port) or process.running.poll() is not None, 30, "Orthanc's start")
        assert process.running.poll() is None, self.log

    def stop(self, how: int = signal.SIGTERM) -> int | None:
        return None if self.process is None else self.process.end(how)

    def ask(self, path: str, data: bytes | None = None, method: str | None = None) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            content: bytes = answer.read()
        return content

    def instances(self) -> list[str]:
        held: list[str] = json.loads(self.ask("/instances"))
        return held

    def store(self, file: Path) -> str:
        """Send a file with DCMTK's storescu and give the DIMSE status of the answer, such as 0x0000."""
        command = ["storescu", "-d", "-to", "10", "-td", "120", "127.0.0.1", str(self.dicom_port), str(file)]
        environment = {**os.environ, "TCP_NODELAY": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
        said = (done.stdout + done.stderr).lower()
        assert "dimse status" in said, said
        return said.rpartition("dimse status")[2].split("0x")[1][:4]


@contextlib.contextmanager
def running(part: S3Server | Orthanc) -> Iterator[Any]:
    """Start a part, and end it in any case."""
    try:
        part.start()
        yield part
    finally:
        part.stop()

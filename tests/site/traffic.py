"""Images of the tests' own, storescu processes that send them, and a look at what each replica holds."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import io
import json
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from harness import CLIENT_ENVIRONMENT, TestSite, eventually
from slices import make_slices

# Without it DCMTK waits 40 ms after each message: an association that lasts seconds and costs no CPU.
SLOW = {name: value for name, value in CLIENT_ENVIRONMENT.items() if name != "TCP_NODELAY"}
_RETRY_SECONDS = 0.1


@dataclass(frozen=True)
class Image:
    """A CT slice in a file."""

    path: Path
    orthanc_id: str
    pixels_sha256: str


def make_images(folder: Path, count: int, side: int = 128) -> list[Image]:
    """Make slices of one series, `side` by `side` pixels of 16 bits, each with pixels of its own."""
    return [_image(path) for path in make_slices(folder, count, side, "TRAFFIC", seed=None)]


def _image(path: Path) -> Image:
    slice_ = pydicom.dcmread(path)
    # Orthanc Book, "Orthanc identifiers": SHA-1 of the four identifiers.
    uids = slice_.StudyInstanceUID, slice_.SeriesInstanceUID, slice_.SOPInstanceUID
    digest = hashlib.sha1("|".join((slice_.PatientID, *uids)).encode(), usedforsecurity=False).hexdigest()
    orthanc_id = "-".join(digest[start : start + 8] for start in range(0, 40, 8))
    return Image(path, orthanc_id, hashlib.sha256(slice_.PixelData).hexdigest())


class Transfer:
    """Images on their way: storescu processes side by side, each with its share of them.

    What counts as acknowledged is a file after whose "Sending file" storescu reported status 0000 (Success).
    """

    def __init__(
        self,
        site: TestSite,
        images: Sequence[Image],
        senders: int,
        retry: bool,
        environment: dict[str, str],
        hold_at: int,
    ) -> None:
        self._command = ["storescu", "-v", "--no-halt", *site.device()]
        self._command += ["-aec", site.description.orthanc.ae_title, site.host, str(site.dicom_port)]
        self._environment, self._retry, self._hold_at = environment, retry, hold_at
        self._by_path = {str(image.path): image for image in images}
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._released = threading.Event()
        self._processes: set[subprocess.Popen[str]] = set()
        self.acknowledged: dict[Image, float] = {}
        """When each image was acknowledged, on the monotonic clock."""
        self.troubles: list[str] = []
        """What storescu said of interrupted associations and refused images."""
        self.statuses: list[int] = []
        """Exit status of each storescu that ended by itself."""
        self._threads = [
            threading.Thread(target=self._send, args=([*self._by_path][number::senders],), daemon=True)
            for number in range(senders)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def complete(self) -> bool:
        return len(self.acknowledged) == len(self._by_path)

    @property
    def running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def reach(self, count: int, limit: float = 30) -> None:
        """Wait until `count` images are acknowledged."""
        what = f"{count} acknowledged images, not {len(self.acknowledged)}: {self.troubles}"
        eventually(lambda: len(self.acknowledged) >= count, limit, what)

    def finish(self, limit: float = 60) -> None:
        """Wait until every sender is done."""
        eventually(lambda: not self.running, limit, "the senders to be done")

    def release(self) -> None:
        """Let senders go on that stopped at `hold_at`."""
        self._released.set()

    def stop(self) -> None:
        """End the processes that still run."""
        self._ended.set()
        self._released.set()
        with self._lock:
            for process in self._processes:
                process.kill()
        for thread in self._threads:
            thread.join(10)

    def acknowledged_after(self, moment: float) -> int:
        return sum(when > moment for when in self.acknowledged.values())

    def _send(self, paths: list[str]) -> None:
        while pending := [path for path in paths if self._by_path[path] not in self.acknowledged]:
            self._associate(pending)
            if not self._retry or self._ended.wait(_RETRY_SECONDS):
                return

    def _associate(self, paths: list[str]) -> None:
        with self._lock:
            if self._ended.is_set():
                return
            process = subprocess.Popen(
                [*self._command, *paths],
                env=self._environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            self._processes.add(process)
        assert process.stderr is not None
        sending = ""
        for line in process.stderr:
            if found := re.match(r"I: Sending file: (.*)", line):
                sending = found[1]
            elif line.startswith("I: Received Store Response (Success)"):
                self.acknowledged[self._by_path[sending]] = time.monotonic()
                self._hold(process)
            elif re.match(r"[EF]: |I: Received Store Response", line):
                self.troubles.append(line.strip())
        with self._lock:
            self._processes.remove(process)
            self.statuses.append(process.wait())
        process.stderr.close()

    def _hold(self, process: subprocess.Popen[str]) -> None:
        if self._hold_at <= len(self.acknowledged) and not self._released.is_set():
            process.send_signal(signal.SIGSTOP)
            self._released.wait()
            process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def sending(
    site: TestSite,
    images: Sequence[Image],
    senders: int = 4,
    retry: bool = True,
    environment: dict[str, str] = CLIENT_ENVIRONMENT,
    hold_at: int = sys.maxsize,
) -> Iterator[Transfer]:
    """Images that are sent while the body runs; no process is left afterwards.

    With `hold_at` the senders stand still once so many images are acknowledged, until they are released: the
    transfer is sure to outlast what the body does, however busy the machine is.
    """
    transfer = Transfer(site, images, senders, retry, environment, hold_at)
    try:
        yield transfer
    finally:
        transfer.stop()


class Replica:
    """One Orthanc server, asked past the proxy: with the proxy's certificate and a user's password."""

    def __init__(self, site: TestSite, name: str, password: str) -> None:
        internal = site.state / "pki/internal"
        context = ssl.create_default_context(cafile=str(internal / "ca.crt"))
        context.load_cert_chain(internal / "envoy.crt", internal / "envoy.key")
        port = json.loads((site.state / "ports.json").read_text())[f"{name}/http"]
        self._connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
        self._headers = {"Authorization": "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()}

    def get(self, path: str) -> bytes:
        self._connection.request("GET", path, headers=self._headers)
        response = self._connection.getresponse()
        body = response.read()
        assert response.status == 200, f"{path}: {response.status} {body!r}"
        return body

    def json(self, path: str) -> Any:
        return json.loads(self.get(path))

    def close(self) -> None:
        self._connection.close()


def replica_names(site: TestSite) -> list[str]:
    return [f"orthanc-{number + 1}" for number in range(site.description.orthanc.replicas)]


def assert_kept(site: TestSite, images: Sequence[Image], replicas: Sequence[str] = ()) -> None:
    """Every replica knows every image, and each image has the pixels that were sent; the replicas read them in turn."""
    assert images
    password = site.password()
    names = replicas or replica_names(site)
    for number, name in enumerate(names):
        replica = Replica(site, name, password)
        with contextlib.closing(replica):
            lost = {image.orthanc_id for image in images} - set(replica.json("/instances"))
            assert not lost, f"{name} does not know {len(lost)} of {len(images)} acknowledged images"
            for image in images[number :: len(names)]:
                kept = pydicom.dcmread(io.BytesIO(replica.get(f"/instances/{image.orthanc_id}/file")))
                assert hashlib.sha256(kept.PixelData).hexdigest() == image.pixels_sha256, f"{name}: {image}"

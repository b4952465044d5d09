"""A stand-in for an archive, on Orthweb's own receiver, that answers as a test says; and `orthweb send` to it."""

from __future__ import annotations

import math
import os
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pydicom
from harness import CLIENT_ENVIRONMENT, ORTHWEB, Done, run
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from orthweb.dicom.reception import Sink, StoreRequest
from orthweb.dicom.statuses import SUCCESS

CT = Path(str(get_testdata_file("CT_small.dcm")))


class Archive:
    """What an archive of the test's own got, and what it answers: `decide` says it by the instances so far."""

    def __init__(self, decide: Callable[[Counter[str], str], int] | None = None) -> None:
        self.asked: Counter[str] = Counter()
        self.stored: Counter[str] = Counter()
        self.hold_after: float = math.inf
        """How many instances it takes before it waits for `go_on`."""
        self.go_on = threading.Event()
        self.decide = decide or (lambda asked, uid: SUCCESS)

    def open_sink(self, request: StoreRequest) -> Sink | int:
        self.asked[request.sop_instance] += 1
        status = self.decide(self.asked, request.sop_instance)
        return status or _Counting(self, request.sop_instance)


class _Counting:
    def __init__(self, archive: Archive, uid: str) -> None:
        self._archive, self._uid = archive, uid

    def write(self, views: Sequence[memoryview]) -> None:
        pass

    def finish(self) -> int:
        if self._archive.stored.total() >= self._archive.hold_after:
            self._archive.go_on.wait(60)
        self._archive.stored[self._uid] += 1
        return SUCCESS

    def discard(self) -> None:
        pass


def send(folder: Path, port: int, *words: str | Path, **options: Any) -> Done:
    """Send without TLS to an archive of this machine; what the command remembers lies in `folder`."""
    return run(command(port, *words), env=environment(folder), **options)


def command(port: int, *words: str | Path) -> list[str]:
    return [*ORTHWEB, "send", "--plain", "--to", f"127.0.0.1:{port}", "--called", "ANY", *map(str, words)]


def environment(folder: Path) -> dict[str, str]:
    source = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    # A folder without a site: the commands don't look for one elsewhere.
    return {**CLIENT_ENVIRONMENT, "XDG_STATE_HOME": str(folder / "state"), "ORTHWEB_SITE": str(folder), **source}


def make_images(folder: Path, count: int) -> list[Path]:
    """Write so many small CT slices; returns their paths."""
    template = pydicom.dcmread(CT)
    paths = []
    for number in range(count):
        template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        path = folder / f"{number:02}.dcm"
        path.parent.mkdir(exist_ok=True)
        template.save_as(path)
        paths.append(path)
    return paths


def uid_of(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)

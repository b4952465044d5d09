"""`orthweb get` interrupted by a person, the archive or a full disk: no half file, and the same command goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom.data
import pytest
from harness import ORTHWEB, eventually, run
from odd_archive import Peer, brought, holding, odd_archive, remains, sending
from people import need_root
from pydicom import Dataset, dcmread

TEST_FILES = Path(pydicom.data.__file__).parent / "test_files"
STUDY = sorted((TEST_FILES / "dicomdirtests/98892003/MR700").iterdir())


@pytest.fixture(scope="module")
def images() -> list[Dataset]:
    """A series, as pynetdicom sends it: decoded."""
    return [dcmread(file) for file in STUDY]


def begin(peer: Peer, folder: Path) -> subprocess.Popen[str]:
    """Start `get` and go on."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    environment |= {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    command = [*ORTHWEB, "get", str(folder), *peer.options, "--patient-name", "*"]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_is_interrupted_leaves_no_half_file_and_goes_on(
    folder: Path, images: list[Dataset], how: signal.Signals
) -> None:
    # Large enough that the second can't be whole before the signal comes.
    large = dcmread(STUDY[1])
    large.PixelData, large.Rows, large.Columns, large.NumberOfFrames = bytes(200 << 20), 1024, 1024, 100
    both = [images[0], large]
    with odd_archive(find=holding(both), get=sending(both)) as peer:
        process = begin(peer, folder)
        try:
            eventually(lambda: any(path.stat().st_size > 1 << 20 for path in remains(folder)), 60, "half a file")
            process.send_signal(how)
            _, said = process.communicate(timeout=30)
        finally:
            process.kill()
            process.wait()
        assert process.returncode != 0
        assert "Traceback" not in said
        assert [dcmread(file).SOPInstanceUID for file in brought(folder)] == [images[0].SOPInstanceUID]
        if how == signal.SIGKILL:
            (left,) = remains(folder)
            # Nobody has written to it for longer than an association may be silent.
            os.utime(left, (0, time.time() - 3600))
        else:
            assert "interrupted: the same command goes on from here" in said
            assert not remains(folder)
    large.PixelData, large.NumberOfFrames = bytes(2 << 20), 1
    with odd_archive(find=holding(both), get=sending(both)) as peer:
        done = peer("get", folder, "--patient-name", "*", "--json")
        assert json.loads(done.out)["instances"]["arrived"] == 1, done.all
    assert len(brought(folder)) == 2
    assert not remains(folder)


def test_an_archive_that_goes_away_in_the_middle_is_told_and_the_same_command_goes_on(
    folder: Path, images: list[Dataset]
) -> None:
    def aborting(event: Any) -> Iterator[Any]:
        yield len(images)
        yield 0xFF00, images[0]
        event.assoc.abort()
        yield 0xFF00, images[1]

    with odd_archive(find=holding(images), get=aborting) as peer:
        done = peer("get", folder, "--patient-name", "*")
        assert done.status == 1
        assert "ODD at 127.0.0.1" in done.err and "aborted" in done.err
        assert len(brought(folder)) == 1
        assert not remains(folder)
    with odd_archive(find=holding(images), get=sending(images)) as peer:
        assert peer("get", folder, "--patient-name", "*").status == 0
    assert len(brought(folder)) == len(images)


def test_a_full_disk_is_said_in_one_line_and_told_to_the_archive(folder: Path, images: list[Dataset]) -> None:
    need_root("mounting a small disk for the test")
    large = dcmread(STUDY[1])
    large.PixelData, large.Rows, large.Columns, large.NumberOfFrames = bytes(4 << 20), 1024, 1024, 2
    both, heard = [images[0], large], list[Any]()
    small = folder / "small"
    small.mkdir()
    assert run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", small]).status == 0
    try:
        with odd_archive(find=holding(both), get=sending(both), heard=heard) as peer:
            done = peer("get", small, "--patient-name", "*")
        assert done.status == 1
        assert done.err.splitlines()[-1].startswith(f"orthweb: {small}: No space left on device: make room")
        assert "Traceback" not in done.err
        assert [dcmread(file).SOPInstanceUID for file in brought(small)] == [images[0].SOPInstanceUID]
        assert not remains(small)
    finally:
        assert run(["umount", small]).status == 0
    stored = [message.command_set.Status for message in heard if type(message).__name__ == "C_STORE_RSP"]
    assert stored == [0x0000, 0xA700]

"""Files that cannot be sent: the association goes on where nothing of them had been, and ends where some had."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

import pytest
from dicom_local_user import CT_STORAGE
from dicom_peers import parts, peer, receiving, whole
from dicom_samples import Sample, elements, make, uid_of

from orthweb.dicom.errors import NotAccepted
from orthweb.dicom.folder import into_folder
from orthweb.dicom.outbox import FileChanged
from orthweb.dicom.part10 import FileHead, NotDicom
from orthweb.dicom.store import Storer
from orthweb.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN

KEY = CT_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN
MB = 1 << 20


@pytest.fixture
def small(tmp_path: Path) -> Sample:
    return make(tmp_path, "small", elements("small", b"1234"), EXPLICIT_VR_LITTLE_ENDIAN)


@pytest.fixture
def large(tmp_path: Path) -> Sample:
    return make(tmp_path, "large", elements("large", bytes(4 * MB)), EXPLICIT_VR_LITTLE_ENDIAN)


def test_a_file_that_is_none_or_not_wanted_leaves_the_association_as_it_is(
    folder: Path, tmp_path: Path, small: Sample
) -> None:
    (tmp_path / "text.dcm").write_text("no DICOM file")
    other = make(tmp_path, "other", elements("other", b"1234"), "1.2.3.4")
    with receiving(into_folder(folder)) as server, Storer(peer(server.port), [KEY]) as storer:
        with pytest.raises(FileNotFoundError):
            storer.store(tmp_path / "missing.dcm")
        with pytest.raises(IsADirectoryError):
            storer.store(tmp_path)
        with pytest.raises(NotDicom, match="not a DICOM file"):
            storer.store(tmp_path / "text.dcm")
        with pytest.raises(NotAccepted, match=r"1\.2\.3\.4"):
            storer.store(other.path)
        assert storer.store(small.path) == 0
    assert whole(folder) == {uid_of("small")}


def test_a_file_that_became_shorter_before_it_was_sent_is_not_sent(folder: Path, large: Sample) -> None:
    os.truncate(large.path, large.head.size - 1)
    with receiving(into_folder(folder)) as server, Storer(peer(server.port), [KEY]) as storer:
        with pytest.raises(FileChanged):
            storer.store(large.path, large.head)
        assert not storer.usable
    assert whole(folder) == set()


def test_of_a_file_that_becomes_shorter_while_it_is_sent_nothing_is_kept(folder: Path, large: Sample) -> None:
    with receiving(into_folder(folder)) as server, Storer(peer(server.port), [KEY]) as storer:
        with pytest.raises(FileChanged):
            storer.store(large.path, progress=lambda _: os.truncate(large.path, 2 * MB))
        assert not storer.usable
    assert whole(folder) == set()
    assert parts(folder) == []


def test_of_a_file_that_cannot_be_read_to_its_end_nothing_is_kept(folder: Path, tmp_path: Path) -> None:
    # A disk with a bad block: memory that has lost the file behind it reads as one does.
    path = tmp_path / "mapped"
    path.write_bytes(bytes(4 * MB))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 4 * MB) as memory:
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        os.truncate(path, 2 * MB)
        head = FileHead(CT_STORAGE, uid_of("bad"), EXPLICIT_VR_LITTLE_ENDIAN, start, start + 4 * MB)
        with receiving(into_folder(folder)) as server, Storer(peer(server.port), [KEY]) as storer:
            with pytest.raises(OSError, match="Input/output error"):
                storer.store("/proc/self/mem", head)
            assert not storer.usable
    assert whole(folder) == set()
    assert parts(folder) == []

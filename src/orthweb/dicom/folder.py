"""Keeps received instances as DICOM files in a folder."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from orthweb.dicom.part10 import file_meta
from orthweb.dicom.reception import OpenSink, StoreRequest
from orthweb.dicom.statuses import SUCCESS

INVALID_SOP_INSTANCE = 0x0117
PART = ".part"
"""What the name of a file ends with that isn't whole; it begins with a dot."""

# PS3.5 9.1, but for leading zeros, which some devices write.
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID = 64
_numbers = itertools.count()
# IOV_MAX of Linux and macOS.
_MOST_VIEWS = 1024


class FileSink:
    """One instance, written to a file of a passing name and renamed when it is whole.

    Parameters
    ----------
    folder:
        Where it is written; on the same file system as where it will stand.
    place:
        Says where the whole file belongs; its folder has to be there.
    """

    def __init__(self, request: StoreRequest, folder: Path, place: Callable[[Path], Path], durable: bool) -> None:
        self._place, self._durable = place, durable
        self._part = folder / f".{request.sop_instance}.{os.getpid()}.{next(_numbers)}{PART}"
        self._fd = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        head = file_meta(
            request.sop_class, request.sop_instance, request.transfer_syntax, request.sender.calling_ae_title
        )
        self._head: memoryview | None = memoryview(head)

    def write(self, views: Sequence[memoryview]) -> None:
        """Write bytes of the dataset, the first of them after the file meta information."""
        left = list(views) if self._head is None else [self._head, *views]
        self._head, at = None, 0
        while at < len(left):
            done = os.writev(self._fd, left[at : at + _MOST_VIEWS])
            while at < len(left) and done >= len(left[at]):
                done -= len(left[at])
                at += 1
            if done:
                left[at] = left[at][done:]

    def finish(self) -> int:
        """Bring the file to its name, and both to the disk when `durable`."""
        if self._head is not None:
            self.write([])
        if self._durable:
            os.fdatasync(self._fd)
        fd, self._fd = self._fd, -1
        os.close(fd)
        target = self._place(self._part)
        os.rename(self._part, target)
        if self._durable:
            folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        return SUCCESS

    def discard(self) -> None:
        """Remove what was written."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)
        self._part.unlink(missing_ok=True)


def into_folder(folder: Path, durable: bool = True) -> OpenSink:
    """Keep every instance as FOLDER/UID.dcm; one that comes again replaces what was there.

    Parameters
    ----------
    durable:
        Answer success only when file and name are on the disk.
    """

    def open_sink(request: StoreRequest) -> FileSink | int:
        if not valid_uid(request.sop_instance):
            return INVALID_SOP_INSTANCE
        target = folder / f"{request.sop_instance}.dcm"
        return FileSink(request, folder, lambda _: target, durable)

    return open_sink


def valid_uid(uid: str) -> bool:
    """A UID can be trusted to be a name of a file, and nothing else (PS3.5 9.1)."""
    return len(uid) <= _LONGEST_UID and _UID.fullmatch(uid) is not None

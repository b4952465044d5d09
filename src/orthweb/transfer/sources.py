"""Finds the DICOM files that a person means: files, folders, DICOMDIRs and lists of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orthweb.dicom.part10 import FileHead, NotDicom, read_head
from orthweb.dicom.uids import MEDIA_STORAGE_DIRECTORY
from orthweb.errors import InputError


@dataclass(frozen=True, slots=True)
class Instance:
    """A file to send, as it was when it was looked at."""

    path: str
    head: FileHead
    modified: int
    """Time of the last change, in nanoseconds."""


@dataclass
class Found:
    """What was found; `skipped` are paths with the reason in words."""

    instances: list[Instance] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def find(paths: Iterable[str], looked: Callable[[int], None] = lambda count: None) -> Found:
    """Look at every file that `paths` mean, once, and in the order of the names.

    Parameters
    ----------
    looked:
        Called with the number of files after each.

    Raises
    ------
    InputError
        A path does not exist, or a folder cannot be read.
    """
    found, seen = Found(), set()
    for path in paths:
        for name in _files(path):
            real = os.path.realpath(name)
            if real in seen:
                continue
            seen.add(real)
            _look(name, found)
            looked(len(seen))
    return found


def read_list(lines: Iterable[str]) -> list[str]:
    """Paths from a list, one a line; empty lines mean nothing."""
    return [line.rstrip("\r\n") for line in lines if line.strip()]


def _files(path: str) -> Iterator[str]:
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file or folder", "check the name")
    if not os.path.isdir(path):
        yield from _referenced(path) if _is_directory_file(path) else [path]
        return
    for folder, folders, names in os.walk(path, onerror=_unreadable):
        folders.sort()
        yield from (os.path.join(folder, name) for name in sorted(names))


def _unreadable(error: OSError) -> None:
    raise InputError(f"{error.filename}: {error.strerror}", "make it readable, or leave it out")


def _look(name: str, found: Found) -> None:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        found.skipped.append((name, error.strerror or str(error)))
        return
    try:
        head = read_head(fd)
        if head.sop_class == MEDIA_STORAGE_DIRECTORY:
            found.skipped.append((name, "a DICOMDIR; give its path to send the files that it lists"))
        else:
            found.instances.append(Instance(name, head, os.fstat(fd).st_mtime_ns))
    except NotDicom as error:
        found.skipped.append((name, str(error)))
    except OSError as error:
        found.skipped.append((name, error.strerror or str(error)))
    finally:
        os.close(fd)


def _is_directory_file(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        # Looking at it will say why.
        return False
    try:
        return read_head(fd).sop_class == MEDIA_STORAGE_DIRECTORY
    except (NotDicom, OSError):
        return False
    finally:
        os.close(fd)


def _referenced(path: str) -> Iterator[str]:
    """The files that a DICOMDIR lists (PS3.3 F.3: Referenced File ID), relative to its folder."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        directory = pydicom.dcmread(path)
        records = list(directory.get("DirectoryRecordSequence", []))
    except (InvalidDicomError, EOFError, KeyError, ValueError, OSError) as error:
        raise InputError(f"{path}: this DICOMDIR cannot be read ({error})", "give the folder instead") from None
    root = Path(path).parent
    for record in records:
        components = record.get("ReferencedFileID")
        if components is None:
            continue
        parts = [components] if isinstance(components, str) else list(components)
        yield str(_in_any_case(root, parts))


def _in_any_case(root: Path, parts: list[str]) -> Path:
    """A file by the name in the DICOMDIR, which is upper case; file systems often show another case."""
    path = root
    for part in parts:
        exact = path / part
        if not exact.exists() and path.is_dir():
            same = [entry for entry in os.listdir(path) if entry.upper() == part.upper()]
            exact = path / same[0] if same else exact
        path = exact
    return path

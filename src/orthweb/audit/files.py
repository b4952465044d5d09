"""Looks at, reads and removes objects that are files, without leaving the storage's folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from orthweb.audit.objects import Listed, Missing, Seen, Unreadable
from orthweb.audit.pace import PIECE, Pace

_GONE = (FileNotFoundError, NotADirectoryError)
UuidOf = Callable[[str], str | None]
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# A pipe in an object's place must not keep whoever opens it waiting.
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


def listed(folder: int, path: str, uuid_of: UuidOf) -> list[Listed]:
    """List an open folder in the order of UUIDs.

    Parameters
    ----------
    path:
        What the folder's files are called by: their names with this before.
    uuid_of:
        Gives the UUID that a file's name tells; an empty text for one that is not Orthanc's, None for one to leave out.

    Raises
    ------
    OSError
        It cannot be listed.
    """
    with os.scandir(folder) as entries:
        found = [(uuid, entry) for entry in entries if (uuid := uuid_of(entry.name)) is not None]
    found.sort(key=_first)
    return [_listed(entry, path + entry.name, uuid) for uuid, entry in found]


def look(root: Path, name: str) -> Seen:
    """Look at a file as Orthanc would find it, links and all; raises as `Storage.look` does."""
    try:
        info = os.stat(root / name)
        if not stat.S_ISREG(info.st_mode):
            raise Missing
        return Seen(info.st_size, time.time() - info.st_mtime, _linked(root, name))
    except _GONE:
        raise Missing from None
    except OSError as error:
        raise Unreadable(error.strerror) from None


def md5(root: Path, name: str, pace: Pace) -> str:
    """Read a file and give its MD5; raises as `Storage.md5` does."""
    digest, piece = hashlib.md5(usedforsecurity=False), bytearray(PIECE)
    view = memoryview(piece)
    try:
        handle = os.open(root / name, _FILE)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise Missing
            while count := os.readv(handle, [piece]):
                digest.update(view[:count])
                pace.take(count)
            # What an audit read once would push what the site needs out of the memory.
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)
    except _GONE:
        raise Missing from None
    except OSError as error:
        raise Unreadable(error.strerror) from None
    return digest.hexdigest()


def remove(root: Path, name: str, least_age: float) -> bool:
    """Remove a file; nothing that is reached through a link below `root`. Raises as `Storage.remove` does."""
    try:
        with _parent(root, name) as (folder, last):
            info = os.stat(last, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(info.st_mode) or time.time() - info.st_mtime < least_age:
                return False
            os.unlink(last, dir_fd=folder)
            return True
    except FileNotFoundError:
        raise Missing from None
    except NotADirectoryError:
        # A link, or something else that Orthanc did not put there.
        return False
    except OSError as error:
        raise Unreadable(error.strerror) from None


def shown(name: str) -> str:
    """Make a file's name a text: it may be none."""
    return os.fsencode(name).decode(errors="backslashreplace")


def printable(text: str) -> str:
    """Escape what would control a terminal."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _first(found: tuple[str, os.DirEntry[str]]) -> str:
    return found[0]


def _listed(entry: os.DirEntry[str], name: str, uuid: str) -> Listed:
    if not uuid:
        return Listed(name, "")
    try:
        info = entry.stat()
    except FileNotFoundError:
        # Just deleted, or a link to nowhere: the second look tells.
        return Listed(name, "")
    except OSError as error:
        return Listed(name, "", trouble=error.strerror or "cannot be looked at")
    return Listed(name, uuid if stat.S_ISREG(info.st_mode) else "", info.st_size)


def _linked(root: Path, name: str) -> bool:
    try:
        with _parent(root, name) as (folder, last):
            return stat.S_ISLNK(os.stat(last, dir_fd=folder, follow_symlinks=False).st_mode)
    except NotADirectoryError:
        # What a link answers that must not be followed.
        return True


@contextlib.contextmanager
def _parent(root: Path, name: str) -> Iterator[tuple[int, str]]:
    """Open the folder that holds a file, step by step and through no link; the root itself may be one."""
    *folders, last = name.split("/")
    handle = os.open(root, FOLDER)
    try:
        for folder in folders:
            below = os.open(folder, FOLDER | os.O_NOFOLLOW, dir_fd=handle)
            os.close(handle)
            handle = below
        yield handle, last
    finally:
        os.close(handle)

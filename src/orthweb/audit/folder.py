"""A folder of objects as Orthanc lays it out: `ab/cd/abcd….`"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path

from orthweb.audit import files
from orthweb.audit.objects import UUID, Listed, Seen
from orthweb.audit.pace import Pace
from orthweb.errors import Failure

_TWO = re.compile(r"[0-9a-f]{2}")


class Folder:
    """A storage in a folder.

    Links are followed, as Orthanc does: who moved a part of the storage to another disk finds nothing missing. What no
    row knows behind one may be somebody else's, and is never removed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def address(self) -> str:
        """The folder."""
        return str(self._root)

    def name(self, uuid: str, filetype: int) -> str:
        """Name the file of an attachment, as `FilesystemStorage::GetPath` of Orthanc does."""
        return f"{uuid[:2]}/{uuid[2:4]}/{uuid}"

    def listed(self, after: str) -> Generator[Listed, None, None]:
        """Go through the tree in order; no more than the names of one folder at a time are in memory."""
        try:
            top = os.open(self._root, files.FOLDER)
        except OSError as error:
            raise Failure(
                f"{self._root}: {error.strerror}", "mount or bring back the folder of the DICOM objects"
            ) from None
        try:
            for first in sorted(os.listdir(top)):
                if not _TWO.fullmatch(first):
                    yield Listed(first, "")
                elif first >= after[:2]:
                    yield from _within(top, first, after)
        finally:
            os.close(top)

    def look(self, name: str) -> Seen:
        """Look at one file."""
        return files.look(self._root, name)

    def there(self, name: str) -> bool:
        """Whether there is something of this name."""
        return os.path.lexists(self._root / name)

    def md5(self, name: str, pace: Pace) -> str:
        """Read one file."""
        return files.md5(self._root, name, pace)

    def remove(self, name: str, least_age: float) -> bool:
        """Remove one file, and leave its folders: Orthanc may be about to store into them."""
        return files.remove(self._root, name, least_age)


def _within(top: int, first: str, after: str) -> Iterator[Listed]:
    try:
        folder = os.open(first, files.FOLDER, dir_fd=top)
        try:
            for second in sorted(os.listdir(folder)):
                if not _TWO.fullmatch(second):
                    yield Listed(f"{first}/{second}", "")
                elif first + second >= after[:4]:
                    yield from _objects(folder, second, first + second, after)
        finally:
            os.close(folder)
    except OSError as error:
        yield from _trouble(first, error)


def _objects(above: int, folder: str, start: str, after: str) -> Iterator[Listed]:
    """List the folder of the objects whose UUIDs begin with `start`; Orthanc would look for no others there."""
    path = f"{start[:2]}/{start[2:]}"

    def uuid_of(name: str) -> str | None:
        if UUID.fullmatch(name) is None or not name.startswith(start):
            return ""
        return name if name > after else None

    try:
        handle = os.open(folder, files.FOLDER, dir_fd=above)
        try:
            yield from files.listed(handle, f"{path}/", uuid_of)
        finally:
            os.close(handle)
    except OSError as error:
        yield from _trouble(path, error)


def _trouble(path: str, error: OSError) -> Iterator[Listed]:
    """Tell of a folder that cannot be looked into; one that has just been removed is no trouble."""
    if isinstance(error, NotADirectoryError):
        yield Listed(path, "")
    elif not isinstance(error, FileNotFoundError):
        yield Listed(path, "", trouble=error.strerror or "cannot be looked into")

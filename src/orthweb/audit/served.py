"""The folder in which the embedded S3-compatible server keeps a bucket: all objects beside each other.

The server itself cannot be asked. rclone (as of 1.75) lists from what it remembers, so that it still names an object
that was deleted on the disk; and it reads every object of the bucket for each page of a list.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

from orthweb.audit import files
from orthweb.audit.keys import Keys
from orthweb.audit.objects import Listed, Missing, Seen, Unreadable
from orthweb.audit.pace import Pace
from orthweb.errors import Failure
from orthweb.plugins.s3_bucket import Bucket
from orthweb.plugins.s3_settings import Settings
from orthweb.plugins.s3_wire import BucketError

_NAMES_AT_ONCE = 200_000
_SLICES = 256


class Served:
    """A storage in the folder of a bucket.

    Parameters
    ----------
    folder:
        Where the server keeps its buckets, by their names.
    settings:
        How Orthanc reaches the bucket.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._keys = Keys(settings)
        self._root = folder / settings.bucket / self._keys.root
        self._bucket = Bucket(settings)

    @property
    def address(self) -> str:
        """The folder."""
        return str(self._root)

    def name(self, uuid: str, filetype: int) -> str:
        """Name the file of an attachment."""
        return self._keys.name(uuid, filetype)

    def listed(self, after: str) -> Generator[Listed, None, None]:
        """Go through the folder in order.

        It may hold millions of files: it is gone through several times, each time for a range of UUIDs, so that the
        names in memory stay few.
        """
        try:
            folder = os.open(self._root, files.FOLDER)
            try:
                with os.scandir(folder) as entries:
                    count = sum(1 for _ in entries)
                step = max(1, _SLICES * _NAMES_AT_ONCE // max(count, _NAMES_AT_ONCE))
                for start in range(0, _SLICES, step):
                    yield from files.listed(folder, "", self._range(start, start + step, after))
            finally:
                os.close(folder)
        except OSError as error:
            raise Failure(f"{self._root}: {error.strerror}", "mount or bring back the folder of the bucket") from None

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
        """Remove an object through the server, which would go on naming it, and from the disk if it knew none."""
        seen = files.look(self._root, name)
        if seen.linked or seen.age < least_age:
            return False
        try:
            self._bucket.delete(self._keys.prefix + name)
        except BucketError as error:
            raise Unreadable(str(error)) from None
        with contextlib.suppress(Missing):
            files.remove(self._root, name, least_age)
        return True

    def _range(self, start: int, end: int, after: str) -> files.UuidOf:
        first, last = f"{start:02x}", f"{end:02x}" if end < _SLICES else "g"

        def uuid_of(name: str) -> str | None:
            uuid = self._keys.uuid(name)
            if not uuid:
                return "" if start == 0 else None
            return uuid if first <= uuid[:2] < last and uuid > after else None

        return uuid_of

"""What an audit sees of a storage: objects in the order of their UUIDs, and each of them by itself."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import NamedTuple, Protocol

from orthweb.audit.pace import Pace

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
"""Orthanc writes them so, in lower case."""


class Listed(NamedTuple):
    """Something in the storage, as a listing tells it.

    Parameters
    ----------
    name:
        Path below the folder, or key.
    uuid:
        Empty for what is not Orthanc's, which comes in any order.
    size:
        In bytes.
    md5:
        In hexadecimal, as the storage states it; empty where it does not.
    trouble:
        Why it cannot be looked at; empty where it can.
    """

    name: str
    uuid: str
    size: int = 0
    md5: str = ""
    trouble: str = ""


class Seen(NamedTuple):
    """One object, looked at by itself.

    Parameters
    ----------
    age:
        Seconds since it was written, by the clock of the storage where that tells it.
    linked:
        It lies behind a symbolic link, so perhaps not in the storage at all.
    """

    size: int
    age: float
    linked: bool = False


class Missing(Exception):
    """There is no such object."""


class Unreadable(Exception):
    """The object is there and cannot be read; the text says why."""


class Storage(Protocol):
    """A place that holds the objects."""

    @property
    def address(self) -> str:
        """Where it is, as a person reads it; also tells one storage from another."""
        ...

    def name(self, uuid: str, filetype: int) -> str:
        """Name the object that a row asks for, as Orthanc does."""
        ...

    def listed(self, after: str) -> Generator[Listed, None, None]:
        """Go through all objects with a UUID greater than `after`, in ascending order of UUIDs.

        Raises
        ------
        Failure
            The storage is not there, or refuses.
        """
        ...

    def look(self, name: str) -> Seen:
        """Look at one object.

        Raises
        ------
        Missing
            It is not there, or is no object.
        Unreadable
            The storage has trouble with it.
        """
        ...

    def there(self, name: str) -> bool:
        """Whether something that is not Orthanc's is still there; raises Unreadable."""
        ...

    def md5(self, name: str, pace: Pace) -> str:
        """Read one object and give the MD5 of all of it, in hexadecimal; raises as `look` does, and Ended."""
        ...

    def remove(self, name: str, least_age: float) -> bool:
        """Remove an object that is at least so many seconds old; False when it is not, or may lie elsewhere.

        Raises
        ------
        Missing
            It is not there.
        Unreadable
            The storage does not remove it.
        """
        ...

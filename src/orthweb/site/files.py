"""Writes files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orthweb.errors import InputError


class Ownership(Protocol):
    """Whose the files of a site are that its processes read."""

    @property
    def file_owner(self) -> tuple[int, int] | None:
        """Owner of what the processes read or write; None when that is the caller anyway."""

    @property
    def passing_owner(self) -> tuple[int, int] | None:
        """Owner of folders in which only the caller makes files; None for the caller."""

    @property
    def passing_mode(self) -> int:
        """Mode of those folders."""


@dataclass(frozen=True)
class Callers:
    """All files are the caller's."""

    file_owner: tuple[int, int] | None = None
    passing_owner: tuple[int, int] | None = None
    passing_mode: int = 0o700


def write_file(path: Path, content: str | bytes, mode: int = 0o600, owner: tuple[int, int] | None = None) -> None:
    """Write `content` to `path` in one step: a reader sees the old file or the new one, also after a power cut.

    Parameters
    ----------
    mode:
        Permission bits, set before the file has its name.
    owner:
        User and group id; the caller's own when None.
    """
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename is None:
            # A full disk is told of a handle, which has no name.
            error.filename = str(path)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def ensure_folder(path: Path, mode: int = 0o700, owner: tuple[int, int] | None = None) -> None:
    """Make a folder, or give an existing one the right mode and owner; a link in its place is refused.

    Raises
    ------
    InputError
        Something that is not a folder has the name.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise InputError(f"{path}: is not a folder ({error.strerror})", "move it elsewhere") from None
    try:
        if owner is not None:
            os.fchown(handle, *owner)
        os.fchmod(handle, mode)
    finally:
        os.close(handle)

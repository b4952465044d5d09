"""Removes what validations have stored, also what a run left that was killed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from orthweb.validation.target import WebDoor
from orthweb.validation.test_data import TestData
from orthweb.validation.web_client import WebClient

_PREFIX = "validation-"
_SECONDS = 20.0


class NotRemoved(Exception):
    """Test data is still in the site; the text says why."""


def remove_study(door: WebDoor, study: str) -> None:
    """Remove a study by Orthanc's identifier and see that it is gone; raises NotRemoved."""
    try:
        client = WebClient.of_door(door)
        path = f"/studies/{study}"
        client.request("DELETE", path, timeout=_SECONDS)
        left = client.get(path, timeout=_SECONDS).status
    except OSError as error:
        raise NotRemoved(f"{door.address}: {error.strerror or error}") from None
    if left != 404:
        raise NotRemoved(f"{door.address}{path} answers {left} after it was deleted")


class Ledger:
    """Notes what a run has stored until it is removed again: a file that is locked as long as the run lasts."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._handle: int | None = None
        self._path: Path | None = None

    def note(self, data: TestData) -> None:
        """Write down what will have to be removed; on disk before anything is stored."""
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = self._state / f"{_PREFIX}{data.study}.json"
        self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        os.write(self._handle, json.dumps({"study": data.orthanc_study}).encode())
        os.fsync(self._handle)

    def forget(self) -> None:
        """What was noted is removed."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """End the run; what is still noted is for the next one to remove."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def remove_leftovers(state: Path, door: WebDoor) -> list[str]:
    """Remove what runs left that were killed; returns why something is still there, a line each."""
    troubles = []
    for path, study in _abandoned(state):
        try:
            remove_study(door, study)
        except NotRemoved as error:
            troubles.append(str(error))
        else:
            path.unlink(missing_ok=True)
    return troubles


def _abandoned(state: Path) -> Iterator[tuple[Path, str]]:
    """The notes of runs that are over, each locked while it is looked at."""
    for path in sorted(state.glob(f"{_PREFIX}*.json")):
        with contextlib.suppress(FileNotFoundError), path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # Its run goes on.
                continue
            try:
                study = str(json.load(file)["study"])
            except (ValueError, LookupError, TypeError):
                # Killed while it was written: before anything was stored.
                path.unlink(missing_ok=True)
                continue
            yield path, study

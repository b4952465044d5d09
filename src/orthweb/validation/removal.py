"""Removes what validations have stored, also what a run left that was killed.

A run notes its study before it stores anything, in a file that it holds locked until it ends. So the next run knows
what a killed one left, and leaves alone what a run beside it is using. A site that has not answered a store may keep
what was sent when it wakes up, so such a study is looked for again in every run of the next day.

The name of a note says how it stands: `open` while the site may owe an answer, `answered` when it owes none, and
`watched` when the study was removed and may come again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orthweb.errors import Failure, OrthwebError
from orthweb.validation.probes.web_client import WebClient
from orthweb.validation.samples.test_data import TestData
from orthweb.validation.target import Target, WebDoor

_SECONDS = 10.0
# Several Orthanc servers on one index can make each other fail for a moment.
_BUSY_SECONDS = 5.0
_PAUSE_SECONDS = 0.2
# What was sent and not answered is mostly there by then.
_LATE_SECONDS = 2.0
_REMEMBERED_SECONDS = 86400.0
_OPEN, _ANSWERED, _WATCHED = "open", "answered", "watched"
_NOTE = re.compile(rf"study-(?P<study>[0-9a-f-]{{44}})\.(?P<state>{_OPEN}|{_ANSWERED}|{_WATCHED})")


class NotRemoved(Exception):
    """Test data is still in the site; the text says why."""


class SiteDown(NotRemoved):
    """The web port does not answer, so that nothing else can be removed either."""


def remove_study(door: WebDoor, study: str) -> bool:
    """Remove a study by Orthanc's identifier and see that it is gone; says whether it was there.

    Raises
    ------
    NotRemoved
        It is still there, or nobody knows.
    """
    path = f"/studies/{study}"
    if door.credentials is None:
        raise NotRemoved(f"{door.address}{path}: no user of the web page was given to remove it with")
    end = time.monotonic() + _BUSY_SECONDS
    found = False
    try:
        client = WebClient.of_door(door)
        while True:
            answer = client.request("DELETE", path, timeout=_SECONDS).status
            if answer == 200:
                found, answer = True, client.get(path, timeout=_SECONDS).status
            if answer == 404:
                return found
            if time.monotonic() > end or answer in (401, 403):
                raise NotRemoved(f"{door.address}{path} answers {answer} when it is deleted")
            time.sleep(_PAUSE_SECONDS)
    except OSError as error:
        raise SiteDown(f"{door.address}: {error.strerror or error}") from None
    except OrthwebError as error:
        raise NotRemoved(str(error)) from None


def remove_late_study(door: WebDoor, study: str) -> None:
    """Remove a study of which more may be on its way, as `remove_study`, and wait a little for what is late."""
    end = time.monotonic() + _LATE_SECONDS
    remove_study(door, study)
    while time.monotonic() < end:
        time.sleep(_PAUSE_SECONDS)
        remove_study(door, study)


class Ledger:
    """The note of one run."""

    def __init__(self, target: Target) -> None:
        self._folder = _folder(target)
        self._handle: int | None = None
        self._path: Path | None = None

    @property
    def noted(self) -> bool:
        """Something has to be removed."""
        return self._path is not None

    def note(self, data: TestData) -> None:
        """Write down what will have to be removed; on disk before anything is stored. Raises Failure."""
        path = self._folder / f"study-{data.orthanc_study}.{_OPEN}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _scanning(self._folder):
                # Named and locked in one, or another run would take it for one that was left.
                self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                fcntl.flock(self._handle, fcntl.LOCK_EX)
            self._path = path
            _to_disk(self._folder)
        except OSError as error:
            self.close()
            raise Failure(
                f"nothing was stored: {error.filename or path}: {error.strerror}", "let your account write there"
            ) from None

    def forget(self) -> None:
        """What was noted is removed."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None

    def answered(self) -> None:
        """The site has answered every store: once what is noted is removed, it will not come again."""
        if self._path is not None:
            self._path = _as(self._path, _ANSWERED)

    def watch(self) -> None:
        """What was noted is removed, and may come again."""
        if self._path is not None:
            self._path = _as(self._path, _WATCHED)

    def close(self) -> None:
        """End the run; what is still noted is for the next one to remove."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


@dataclass
class Leftovers:
    """What earlier runs had left: how many studies were removed now, and why others are still there."""

    removed: int = 0
    troubles: list[str] = field(default_factory=list)


def remove_leftovers(target: Target) -> Leftovers:
    """Remove what runs left that were killed, or that could not remove it."""
    found = Leftovers()
    with contextlib.ExitStack() as held:
        try:
            notes = _abandoned(_folder(target), held)
        except OSError as error:
            found.troubles.append(f"what earlier runs left cannot be looked for: {error.filename}: {error.strerror}")
            return found
        for note in notes:
            try:
                found.removed += remove_study(target.web, note.study)
            except NotRemoved as error:
                # What was removed before may never come again.
                if note.state != _WATCHED:
                    found.troubles.append(str(error))
                if isinstance(error, SiteDown):
                    break
            else:
                if note.state == _ANSWERED or note.age > _REMEMBERED_SECONDS:
                    note.path.unlink(missing_ok=True)
                else:
                    _as(note.path, _WATCHED)
    return found


@dataclass(frozen=True)
class _Note:
    """What a run left, and how many seconds ago it was noted."""

    path: Path
    study: str
    state: str
    age: float


def _folder(target: Target) -> Path:
    """Where the runs on this site have their notes; a site of somebody else has no folder of its own."""
    if target.inside is not None:
        return target.state
    return target.state / re.sub(r"[^0-9A-Za-z.-]", "_", f"{target.web.host}-{target.web.port}")


def _abandoned(folder: Path, held: contextlib.ExitStack) -> list[_Note]:
    """The notes of runs that are over, each locked as long as `held` is; raises OSError."""
    if not folder.exists():
        return []
    with _scanning(folder):
        candidates = [(path, _NOTE.fullmatch(path.name)) for path in sorted(folder.iterdir())]
        ages = [(path, match, _claim(path, held)) for path, match in candidates if match]
    notes = [_Note(path, match["study"], match["state"], age) for path, match, age in ages if age is not None]
    # What is certainly still there comes first: nobody is told of the others while the site is down.
    return sorted(notes, key=lambda note: note.state == _WATCHED)


def _claim(path: Path, held: contextlib.ExitStack) -> float | None:
    """Lock a note; returns its age in seconds, or None while its run goes on or when it has just ended."""
    try:
        file = held.enter_context(path.open())
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):
        return None
    return time.time() - os.fstat(file.fileno()).st_mtime


@contextlib.contextmanager
def _scanning(folder: Path) -> Iterator[None]:
    """One run at a time makes a note or looks for those of others."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _as(path: Path, state: str) -> Path:
    """Rename a note; returns its path."""
    # Where that can't be done, the study is only looked for more often than needed.
    with contextlib.suppress(OSError):
        return path.rename(path.with_suffix(f".{state}"))
    return path


def _to_disk(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

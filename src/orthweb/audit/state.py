"""Keeps what an audit has found and how far it is, in a file, so that an interrupted one goes on."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from enum import IntEnum
from pathlib import Path
from typing import Any

from orthweb.audit.findings import Finding, Kind
from orthweb.errors import Failure
from orthweb.site.files import ensure_folder

_SECONDS_BETWEEN = 0.5
_VERSION = 1
_KINDS = {kind.word: kind for kind in Kind}
_FIELDS = [field.name for field in fields(Finding) if field.name != "number"]
_COLUMNS = ", ".join(_FIELDS)
_TABLES = (
    "CREATE TABLE IF NOT EXISTS progress (written TEXT NOT NULL)",
    f"CREATE TABLE IF NOT EXISTS findings (number INTEGER PRIMARY KEY, stage INTEGER NOT NULL, {_COLUMNS})",
    # What is not Orthanc's has no place in the order, and is met again after an interruption.
    "CREATE UNIQUE INDEX IF NOT EXISTS by_name ON findings (name, coalesce(row, -1), coalesce(filetype, -1))",
    "CREATE INDEX IF NOT EXISTS by_stage ON findings (stage, kind)",
)
_ADD = f"INSERT OR IGNORE INTO findings (stage, {_COLUMNS}) VALUES (?{', ?' * len(_FIELDS)})"  # noqa: S608
_SETTLE = f"UPDATE findings SET stage = ?, {', '.join(f'{name} = ?' for name in _FIELDS)} WHERE number = ?"  # noqa: S608
_FIND = f"SELECT number, {_COLUMNS} FROM findings WHERE stage = ? AND kind = ? AND number > ? ORDER BY number LIMIT ?"  # noqa: S608


class Stage(IntEnum):
    """What has become of a finding."""

    SUSPECTED = 0
    """The first look saw it; it has to be looked at again."""
    CONFIRMED = 1
    DROPPED = 2
    """At the second look there was nothing wrong."""
    REMOVING = 3
    """An orphan that is being deleted."""
    REMOVED = 4


@dataclass
class Progress:
    """How far an audit is.

    Parameters
    ----------
    begun:
        Seconds since 1970.
    position:
        Everything up to this UUID has been compared.
    compared:
        The first look at everything is over.
    rows, objects, pairs:
        How many were compared, and how many of them belong together.
    without_md5:
        Rows in which Orthanc keeps none, so that none could be compared.
    bytes:
        How many were read for MD5s.
    seconds:
        How long it took, without the time between an interruption and going on.
    """

    begun: float
    position: str = ""
    compared: bool = False
    rows: int = 0
    objects: int = 0
    pairs: int = 0
    without_md5: int = 0
    bytes: int = 0
    seconds: float = 0


class State:
    """The record of one audit; made by `opened`."""

    def __init__(self, database: sqlite3.Connection, subject: str) -> None:
        self._database, self._subject = database, subject
        self.resumed = False
        """An audit that was interrupted goes on."""
        self.finished = False
        """Set it when all is told: the record goes, and the next audit begins anew."""
        self.progress = Progress(time.time())
        self._saved_at = time.monotonic()
        for statement in _TABLES:
            database.execute(statement)
        for (written,) in database.execute("SELECT written FROM progress"):
            held = json.loads(written)
            # One that has not come anywhere, such as when the site was down, has nothing to go on with.
            if held.pop("subject") == [_VERSION, subject] and (held["position"] or held["compared"]):
                self.progress, self.resumed = Progress(**held), True
        if not self.resumed:
            database.execute("DELETE FROM findings")

    def add(self, findings: Iterable[Finding]) -> None:
        """Remember findings of the first look."""
        self._database.executemany(_ADD, [(Stage.SUSPECTED, *_values(finding)) for finding in findings])

    def settle(self, stage: Stage, findings: Iterable[Finding]) -> None:
        """Write down what findings have turned out to be."""
        self._database.executemany(_SETTLE, [(stage, *_values(one), one.number) for one in findings])

    def portions(self, stage: Stage, kind: Kind, most: int = 500) -> Iterator[list[Finding]]:
        """Go through the findings of a stage and kind; they may be settled meanwhile."""
        last = 0
        while found := self._database.execute(_FIND, (stage, kind.word, last, most)).fetchall():
            yield [_finding(row) for row in found]
            last = found[-1][0]

    def count(self, stage: Stage) -> Counter[Kind]:
        """How many findings of each kind are at a stage."""
        counted = self._database.execute("SELECT kind, count(*) FROM findings WHERE stage = ? GROUP BY kind", (stage,))
        return Counter({_KINDS[kind]: number for kind, number in counted})

    def again(self) -> None:
        """Have all that was confirmed looked at once more."""
        self._database.execute("UPDATE findings SET stage = ? WHERE stage = ?", (Stage.SUSPECTED, Stage.CONFIRMED))

    def save_sometimes(self) -> bool:
        """Write it to the file when that was not done for a while; returns whether it was done."""
        if time.monotonic() - self._saved_at < _SECONDS_BETWEEN:
            return False
        self.save()
        return True

    def save(self) -> None:
        """Write it to the file: an audit that is killed from now on goes on from here."""
        now = time.monotonic()
        self.progress.seconds += now - self._saved_at
        self._saved_at = now
        written = json.dumps({"subject": [_VERSION, self._subject], **asdict(self.progress)})
        self._database.execute("DELETE FROM progress")
        self._database.execute("INSERT INTO progress VALUES (?)", (written,))
        self._database.execute("COMMIT")
        self._database.execute("BEGIN")


@contextmanager
def opened(path: Path, subject: str, restart: bool = False) -> Iterator[State]:
    """Open the record of an audit, which nobody else can open while the body runs.

    Parameters
    ----------
    path:
        An SQLite file of mode 0600; it and its folder are made when they are missing.
    subject:
        What is audited: the record of another subject is not gone on with.
    restart:
        Forget what is there.

    Raises
    ------
    Failure
        Another audit has it, it is damaged, or it cannot be written.
    """
    ensure_folder(path.parent)
    try:
        with _database(path) as database:
            if restart and database.execute("SELECT name FROM sqlite_master WHERE name = 'progress'").fetchone():
                database.execute("DELETE FROM progress")
            state = State(database, subject)
            try:
                yield state
            finally:
                # After some errors SQLite has undone what was not saved yet.
                if database.in_transaction:
                    state.save()
                if state.finished:
                    path.unlink()
    except sqlite3.Error as error:
        raise _told(path, error) from None


@contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    database = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        # The kernel lets go of the lock when the process ends, however it ends.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("BEGIN EXCLUSIVE")
        yield database
    finally:
        database.close()


def _told(path: Path, error: sqlite3.Error) -> Failure:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Failure("another audit of this site is running", "wait until it is done, then try again")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Failure(f"{path}: is damaged", "remove it, and the audit begins anew")
    return Failure(f"{path}: {error}", "make room there, and give the same command again")


def _values(finding: Finding) -> list[object]:
    kind, name, *others = [getattr(finding, field) for field in _FIELDS]
    # A file's name may be no text at all.
    return [kind.word, os.fsencode(name), *others]


def _finding(row: tuple[Any, ...]) -> Finding:
    held = dict(zip(["number", *_FIELDS], row, strict=True))
    return Finding(**{**held, "kind": _KINDS[held["kind"]], "name": os.fsdecode(held["name"])})

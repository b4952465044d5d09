"""Remembers what the destination accepted, so that a send that was interrupted goes on and sends nothing twice."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from orthweb.errors import Failure
from orthweb.transfer.sources import Instance

Key = tuple[str, int, int]


def _key(instance: Instance) -> Key:
    """What tells a file from another, and from itself after a change."""
    return os.path.abspath(instance.path), instance.head.size, instance.modified


class Journal:
    """The record of one send, a file of JSON lines; it is gone once everything was accepted.

    Parameters
    ----------
    folder:
        Where journals lie; made when it is missing.
    destination:
        Whom it goes to, as a person reads it.
    paths:
        What was asked for: the same words for the same destination have the same journal.
    again:
        Forget what is there.
    """

    def __init__(self, folder: Path, destination: str, paths: Sequence[str], again: bool = False) -> None:
        """Open it; raises Failure when another process is sending by it."""
        meant = json.dumps([destination, sorted(os.path.abspath(path) for path in paths)])
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / f"{hashlib.sha256(meant.encode()).hexdigest()[:16]}.journal"
        self._file = self._path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise Failure(
                f"the same files are already being sent to {destination}", "wait for the other command to end"
            ) from None
        if again:
            self._file.truncate(0)
        self._accepted = self._read()

    def accepted(self, instance: Instance) -> bool:
        """An earlier run that did not finish had this file accepted."""
        return _key(instance) in self._accepted

    def record(self, instance: Instance) -> None:
        """The destination accepted this file. A process that dies after this does not lose it."""
        path, size, modified = _key(instance)
        line = json.dumps({"path": path, "size": size, "modified": modified}) + "\n"
        # One write, unbuffered: two threads' lines don't mix.
        os.write(self._file.fileno(), line.encode())

    def close(self, complete: bool) -> None:
        """End the record; it stays unless everything was accepted."""
        if complete:
            self._path.unlink(missing_ok=True)
        self._file.close()

    def _read(self) -> set[Key]:
        accepted = set()
        self._file.seek(0)
        for line in self._file:
            try:
                entry = json.loads(line)
                accepted.add((str(entry["path"]), int(entry["size"]), int(entry["modified"])))
            except (ValueError, KeyError, TypeError):
                # The last line of a process that was killed; that instance is sent again.
                os.write(self._file.fileno(), b"\n")
        return accepted

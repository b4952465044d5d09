"""Looks at every suspicion a second time, so that a site in use is not told of what was only on its way.

Rows and objects are read one after the other, while Orthanc stores and deletes. What can go wrong by that, and why it
does not:

- *A store.* Orthanc writes the object first and its row later; each has a UUID of its own that is never used again. So
  an object may have no row yet. If the row is there at the second look, nothing was wrong. If not, the object is called
  young until it is an hour old. A store takes seconds; one that waits for the database ends when that is away.
- *A deletion.* The row goes first and the object later; of a large study the objects may take minutes. So a row may
  have been read whose object is gone since. At the second look the object is looked at first and the row after it: a
  row that is still there after its object was not, is missing it. In the other order a deletion in between would look
  like a loss.
- *Objects whose rows are gone*, and which Orthanc is about to delete, look like orphans. So orphans are looked at again
  after a pause, and as long as some of them vanish a deletion is going on: it is waited for.
- *An object that Orthanc compresses or replaces* gets a new UUID: it is a store and a deletion.
- *Temporary files* are not Orthanc's; those that have vanished by the second look are not told of.
- *An orphan that is to be deleted* is looked up in the index once more, right before. A row that comes in between would
  belong to a store of more than an hour, such as one of an Orthanc that was stopped with SIGSTOP and goes on. It
  can't be told from an interrupted one; the hour is what keeps it from happening.
- *Clocks.* The age of an object in a bucket is told by the server's own clock. A file from the future is young.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from orthweb.audit.compare import missing, other_md5, other_size, unreadable
from orthweb.audit.findings import Finding, Kind
from orthweb.audit.index import Index, Row
from orthweb.audit.objects import UUID, Missing, Seen, Storage, Unreadable
from orthweb.audit.pace import Pace
from orthweb.audit.readers import Readers
from orthweb.audit.state import Stage, State

LEAST_AGE = 3600.0
"""Seconds after which nobody is storing an object any more."""
_PAUSE_SECONDS = 2.0
_PORTION = 5000


class _Sight(NamedTuple):
    seen: Seen | None = None
    md5: str = ""
    trouble: str = ""


def look_again(state: State, index: Index, storage: Storage, pace: Pace, readers: Readers) -> None:
    """Look at every suspicion again, and settle it."""
    for kind in Kind:
        for portion in state.portions(Stage.SUSPECTED, kind, _PORTION):
            # The objects first, and then the rows: see above.
            sights = readers.each(lambda finding: _sight(finding, storage, pace), portion)
            rows = index.owned({finding.row for finding in portion if finding.row is not None})
            if unknown := {finding.uuid for finding in portion if finding.uuid and finding.row is None}:
                rows |= index.known(unknown)
            judged = [
                (finding, _judge(finding, sight, rows.get(finding.uuid, ()), storage))
                for finding, sight in zip(portion, sights, strict=True)
            ]
            state.settle(Stage.CONFIRMED, [replace(new, number=old.number) for old, new in judged if new is not None])
            state.settle(Stage.DROPPED, [old for old, new in judged if new is None])
            state.save_sometimes()
    _await_deletions(state, storage, pace, readers)
    state.save()


def names(row: Row, finding: Finding, storage: Storage) -> bool:
    """Whether this row asks for the object of a finding."""
    return finding.row in (None, row.owner) and storage.name(row.uuid, row.filetype) == finding.name


def _await_deletions(state: State, storage: Storage, pace: Pace, readers: Readers) -> None:
    while state.count(Stage.CONFIRMED)[Kind.ORPHAN] or state.count(Stage.CONFIRMED)[Kind.YOUNG]:
        time.sleep(_PAUSE_SECONDS)
        vanished = False
        for kind in (Kind.ORPHAN, Kind.YOUNG):
            for portion in state.portions(Stage.CONFIRMED, kind):
                sights = readers.each(lambda finding: _sight(finding, storage, pace), portion)
                gone = [
                    finding
                    for finding, sight in zip(portion, sights, strict=True)
                    if sight.seen is None and not sight.trouble
                ]
                state.settle(Stage.DROPPED, gone)
                state.save_sometimes()
                vanished = vanished or bool(gone)
        if not vanished:
            return


def _sight(finding: Finding, storage: Storage, pace: Pace) -> _Sight:
    try:
        if not finding.uuid:
            return _Sight(Seen(0, 0) if storage.there(finding.name) else None)
        # A row may say anything: what is no UUID is no object's name, and may lead elsewhere.
        if not UUID.fullmatch(finding.uuid):
            return _Sight()
        seen = storage.look(finding.name)
        read = finding.kind is Kind.MD5 or (finding.kind is Kind.UNREADABLE and finding.row is not None)
        return _Sight(seen, storage.md5(finding.name, pace) if read else "")
    except Missing:
        return _Sight()
    except Unreadable as error:
        return _Sight(trouble=str(error))


def _judge(finding: Finding, sight: _Sight, rows: Sequence[Row], storage: Storage) -> Finding | None:
    """Say what a finding has turned out to be; None when nothing is wrong."""
    if not finding.uuid:
        return finding if sight.seen or sight.trouble else None
    row = next((row for row in rows if names(row, finding, storage)), None)
    if row is None:
        # A row that is gone took its object with it, or will.
        return None if finding.row is not None else _unknown(finding, sight)
    if sight.trouble:
        return unreadable(row, finding.name, sight.trouble)
    if sight.seen is None:
        return missing(row, finding.name)
    if sight.seen.size != row.size:
        return other_size(row, finding.name, sight.seen.size)
    if sight.md5 and row.md5 and sight.md5 != row.md5:
        return other_md5(row, finding.name, sight.md5)
    return None


def _unknown(finding: Finding, sight: _Sight) -> Finding | None:
    if sight.trouble:
        return replace(finding, kind=Kind.UNREADABLE, detail=sight.trouble)
    if sight.seen is None:
        return None
    if sight.seen.linked:
        return replace(finding, kind=Kind.FOREIGN, detail="behind a symbolic link")
    young = sight.seen.age < LEAST_AGE
    return replace(finding, kind=Kind.YOUNG if young else Kind.ORPHAN, size=sight.seen.size)

"""One audit: a first look at everything, and a second one at all that did not fit."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from orthweb.audit.compare import compare
from orthweb.audit.index import Index
from orthweb.audit.objects import Storage
from orthweb.audit.pace import Pace
from orthweb.audit.readers import Readers, reading_at
from orthweb.audit.reading import proved
from orthweb.audit.second_look import look_again
from orthweb.audit.state import State

Told = Callable[[str, int, int], None]
"""Hears what is being done, how many rows are done, and of how many."""


@dataclass(frozen=True)
class Settings:
    """How an audit goes about it.

    Parameters
    ----------
    md5:
        Also compare MD5s, for which every object is read.
    rate:
        Bytes a second that are read at most; 0 for no limit.
    """

    md5: bool = False
    rate: float = 0


def audit(state: State, index: Index, storage: Storage, settings: Settings, told: Told) -> None:
    """Audit a site, or go on where `state` says that it was interrupted.

    Raises
    ------
    Failure
        The storage cannot be gone through.
    psycopg.Error
        The index cannot be read.
    """
    pace = Pace(settings.rate)
    with reading_at(pace) as readers:
        if state.progress.compared:
            # What was confirmed before an interruption may be long ago.
            state.again()
        else:
            _compare(state, index, storage, settings, pace, readers, told)
        told("looking again", state.progress.rows, state.progress.rows)
        look_again(state, index, storage, pace, readers)


def _compare(
    state: State, index: Index, storage: Storage, settings: Settings, pace: Pace, readers: Readers, told: Told
) -> None:
    progress = state.progress
    left, _ = index.totals(progress.position)
    total, read_before = progress.rows + left, progress.bytes
    told("comparing", progress.rows, total)
    with closing(index.rows(progress.position)) as rows, closing(storage.listed(progress.position)) as objects:
        for match in proved(compare(rows, objects, storage, settings.md5), storage, pace, readers):
            if match.uuid:
                progress.position = match.uuid
                progress.rows += match.rows
                progress.objects += match.objects
                progress.pairs += match.pairs
                progress.without_md5 += match.without_md5
            if match.findings:
                state.add(match.findings)
            progress.bytes = read_before + pace.bytes
            if state.save_sometimes():
                told("comparing", progress.rows, total)
    progress.compared = True
    state.save()

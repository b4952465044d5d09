"""Reads the objects that only their MD5 can prove, several at a time, and hands matches on in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial

from orthweb.audit.compare import Match, missing, other_md5, unreadable
from orthweb.audit.findings import Finding
from orthweb.audit.index import Row
from orthweb.audit.objects import Missing, Storage, Unreadable
from orthweb.audit.pace import Pace
from orthweb.audit.readers import Readers, Reading

_MOST_WAITING = 64


def proved(matches: Iterator[Match], storage: Storage, pace: Pace, readers: Readers) -> Iterator[Match]:
    """Read what is unread in matches, and add what that finds.

    They come in their order, each with all that belongs to it: who stops after one of them has nothing left to read
    before it.
    """
    waiting: deque[tuple[Match, list[Reading[Finding | None]]]] = deque()
    for match in matches:
        if not match.unread and not waiting:
            yield match
            continue
        waiting.append((match, [readers.ask(partial(_prove, row, name, storage, pace)) for row, name in match.unread]))
        while len(waiting) > _MOST_WAITING or (waiting and all(reading.done() for reading in waiting[0][1])):
            yield _complete(*waiting.popleft())
    while waiting:
        yield _complete(*waiting.popleft())


def _complete(match: Match, readings: list[Reading[Finding | None]]) -> Match:
    found = [finding for reading in readings if (finding := reading.result()) is not None]
    return match._replace(findings=[*match.findings, *found])


def _prove(row: Row, name: str, storage: Storage, pace: Pace) -> Finding | None:
    try:
        md5 = storage.md5(name, pace)
    except Missing:
        return missing(row, name)
    except Unreadable as error:
        return unreadable(row, name, str(error))
    return None if md5 == row.md5 else other_md5(row, name, md5)

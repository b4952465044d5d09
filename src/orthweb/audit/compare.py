"""Puts rows and objects together, both in the order of their UUIDs, and says what does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from orthweb.audit.findings import Finding, Kind
from orthweb.audit.index import Row
from orthweb.audit.objects import Listed, Storage
from orthweb.errors import Failure


class Match(NamedTuple):
    """All that has one UUID.

    Parameters
    ----------
    uuid:
        Empty for what is not Orthanc's, which comes in between.
    rows, objects, pairs:
        How many there are, and how many of them belong together.
    without_md5:
        Pairs whose row keeps no MD5.
    findings:
        What does not fit.
    unread:
        Pairs that fit as far as can be seen without reading the object.
    """

    uuid: str
    rows: int
    objects: int
    pairs: int
    without_md5: int
    findings: Sequence[Finding]
    unread: Sequence[tuple[Row, str]]


def compare(rows: Iterator[Row], objects: Iterator[Listed], storage: Storage, with_md5: bool) -> Iterator[Match]:
    """Go through both; no more is in memory than what has one UUID.

    Raises
    ------
    Failure
        The storage lists its objects in another order.
    """
    row, thing, last = next(rows, None), next(objects, None), ""
    while row is not None or thing is not None:
        if thing is not None and not thing.uuid:
            yield _foreign(thing)
            thing = next(objects, None)
            continue
        if row is None or thing is None:
            uuid = row.uuid if row is not None else thing.uuid if thing is not None else ""
        else:
            uuid = min(row.uuid, thing.uuid)
        if uuid < last:
            raise Failure(f"{storage.address}: lists {uuid} after {last}", "an audit needs them in order")
        mine, theirs, last = [], [], uuid
        while row is not None and row.uuid == uuid:
            mine.append(row)
            row = next(rows, None)
        while thing is not None and thing.uuid == uuid:
            theirs.append(thing)
            thing = next(objects, None)
        yield _match(uuid, mine, theirs, storage, with_md5)


def missing(row: Row, name: str) -> Finding:
    """Say that a row's object is not there."""
    return Finding(Kind.MISSING, name, row.uuid, row.owner, row.filetype, row.size, None, row.md5)


def other_size(row: Row, name: str, size: int) -> Finding:
    """Say that a row's object has another size."""
    return Finding(Kind.SIZE, name, row.uuid, row.owner, row.filetype, row.size, size, row.md5)


def other_md5(row: Row, name: str, md5: str) -> Finding:
    """Say that a row's object has another MD5."""
    return Finding(Kind.MD5, name, row.uuid, row.owner, row.filetype, row.size, row.size, row.md5, md5)


def unreadable(row: Row, name: str, why: str) -> Finding:
    """Say that a row's object can't be read."""
    return Finding(Kind.UNREADABLE, name, row.uuid, row.owner, row.filetype, row.size, None, row.md5, detail=why)


def _match(uuid: str, rows: list[Row], objects: list[Listed], storage: Storage, with_md5: bool) -> Match:
    if len(rows) == len(objects) == 1 and not with_md5:
        # All but a few of a million.
        (row,), (only,) = rows, objects
        if only.size == row.size and only.name == storage.name(uuid, row.filetype):
            return Match(uuid, 1, 1, 1, 0, (), ())
    found: list[Finding] = []
    unread: list[tuple[Row, str]] = []
    pairs = without_md5 = 0
    known = set()
    for row in rows:
        name = storage.name(row.uuid, row.filetype)
        thing = next((one for one in objects if one.name == name), None)
        if thing is None:
            found.append(missing(row, name))
            continue
        pairs += 1
        known.add(name)
        if thing.size != row.size:
            found.append(other_size(row, name, thing.size))
        elif with_md5 and not row.md5:
            without_md5 += 1
        elif with_md5 and thing.md5 != row.md5:
            unread.append((row, name))
    if len(known) < len(objects):
        unknown = [one for one in objects if one.name not in known]
        found += [Finding(Kind.ORPHAN, one.name, one.uuid, size=one.size) for one in unknown]
    return Match(uuid, len(rows), len(objects), pairs, without_md5, found, unread)


def _foreign(thing: Listed) -> Match:
    kind = Kind.UNREADABLE if thing.trouble else Kind.FOREIGN
    return Match("", 0, 0, 0, 0, [Finding(kind, thing.name, detail=thing.trouble)], [])

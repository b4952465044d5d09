"""Rows and objects that come in order are put together, whatever is missing on either side."""

from __future__ import annotations

import uuid
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthweb.audit.compare import compare
from orthweb.audit.findings import Kind
from orthweb.audit.folder import Folder
from orthweb.audit.index import Row
from orthweb.audit.objects import Listed
from orthweb.errors import Failure

STORAGE = Folder(Path("/nowhere"))


def name(number: int) -> str:
    return str(uuid.UUID(int=number << 64))


def row(number: int, size: int = 1, md5: str = "m") -> Row:
    return Row(name(number), 1, number, size, md5)


def thing(number: int, size: int = 1) -> Listed:
    return Listed(STORAGE.name(name(number), 1), name(number), size)


NUMBERS = st.dictionaries(st.integers(0, 30), st.integers(1, 3))


@given(NUMBERS, NUMBERS, st.booleans(), st.lists(st.integers(0, 30)))
def test_every_difference_is_found_and_nothing_else(
    rows: dict[int, int], objects: dict[int, int], with_md5: bool, foreign: list[int]
) -> None:
    listed = [thing(number, size) for number, size in sorted(objects.items())]
    for place in foreign:
        listed.insert(place, Listed(f"foreign {place}", ""))
    mine = (row(number, size) for number, size in sorted(rows.items()))
    matches = list(compare(mine, iter(listed), STORAGE, with_md5))
    found = [(finding.kind, finding.uuid) for match in matches for finding in match.findings]
    both = rows.keys() & objects.keys()
    expected = [(Kind.MISSING, name(number)) for number in rows.keys() - objects.keys()]
    expected += [(Kind.ORPHAN, name(number)) for number in objects.keys() - rows.keys()]
    expected += [(Kind.SIZE, name(number)) for number in both if rows[number] != objects[number]]
    expected += [(Kind.FOREIGN, "")] * len(foreign)
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert sum(match.rows for match in matches) == len(rows)
    assert sum(match.objects for match in matches) == len(objects)
    assert sum(match.pairs for match in matches) == len(both)
    unread = {row.uuid for match in matches for row, _ in match.unread}
    assert unread == {name(number) for number in both if with_md5 and rows[number] == objects[number]}
    positions = [match.uuid for match in matches if match.uuid]
    assert positions == sorted(set(positions))


def test_several_rows_of_one_uuid_share_its_object() -> None:
    [match] = compare(iter([row(1), row(1), row(1, 2)]), iter([thing(1)]), STORAGE, False)
    assert (match.rows, match.objects, match.pairs) == (3, 1, 3)
    assert [finding.kind for finding in match.findings] == [Kind.SIZE]


def test_an_object_whose_stated_md5_is_the_rows_needs_no_reading() -> None:
    def objects() -> Generator[Listed, None, None]:
        yield thing(1)._replace(md5="m")
        yield thing(2)._replace(md5="another")
        yield thing(3)

    matches = compare(iter([row(1), row(2), row(3, md5="")]), objects(), STORAGE, True)
    assert [(len(match.unread), match.without_md5) for match in matches] == [(0, 0), (1, 0), (0, 1)]


def test_what_cannot_be_looked_into_is_unreadable_and_not_foreign() -> None:
    [match] = compare(iter([]), iter([Listed("ab", "", trouble="Input/output error")]), STORAGE, False)
    assert [(finding.kind, finding.detail) for finding in match.findings] == [(Kind.UNREADABLE, "Input/output error")]


def test_objects_in_no_order_are_refused_rather_than_missed() -> None:
    with pytest.raises(Failure, match="in order"):
        list(compare(iter([]), iter([thing(2), thing(1)]), STORAGE, False))

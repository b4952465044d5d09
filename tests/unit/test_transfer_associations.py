"""How many associations a send opens, and how what it needs is spread over them."""

from __future__ import annotations

import pytest

from orthweb.dicom.store import grouped
from orthweb.transfer.policy import MOST_ASSOCIATIONS, associations_for


@pytest.mark.parametrize(
    ("round_trip", "expected"), [(0.0, 4), (0.001, 4), (0.006, 6), (0.02, 11), (0.04, 16), (0.3, 16)]
)
def test_a_longer_round_trip_gets_more_associations(round_trip: float, expected: int) -> None:
    assert associations_for(round_trip) == expected


def test_associations_never_exceed_the_most() -> None:
    assert max(associations_for(millisecond / 1000) for millisecond in range(2000)) == MOST_ASSOCIATIONS


def test_contexts_are_spread_over_as_few_associations_as_hold_them() -> None:
    keys = [(f"1.2.{number}", "1.2.840.10008.1.2.1") for number in range(300)]
    groups = grouped([*keys, *keys])
    assert [len(group) for group in groups] == [128, 128, 44]
    assert [key for group in groups for key in group] == keys

"""Several threads look at objects at once, and give what they see in order; an end is an end."""

from __future__ import annotations

import threading

import pytest

from orthweb.audit.objects import Missing
from orthweb.audit.pace import Ended, Pace
from orthweb.audit.readers import reading_at


def test_what_is_seen_comes_in_the_order_in_which_it_was_asked_for() -> None:
    last_is_done = threading.Event()

    def look(number: int) -> int:
        # The first waits for the last, which another thread looks at.
        assert number or last_is_done.wait(30)
        if number == 3:
            last_is_done.set()
        return number * number

    with reading_at(Pace()) as readers:
        assert readers.each(look, range(4)) == [0, 1, 4, 9]


def test_what_looking_raises_is_raised_where_it_is_waited_for() -> None:
    def look(number: int) -> int:
        if number == 1:
            raise Missing
        return number

    with reading_at(Pace()) as readers:
        asked = [readers.ask(lambda number=number: look(number)) for number in range(3)]  # type: ignore[misc]
        assert asked[0].result() == 0
        with pytest.raises(Missing):
            asked[1].result()
        assert asked[2].result() == 2


def test_an_interruption_ends_who_reads_and_leaves_what_was_not_begun() -> None:
    pace, begun, left = Pace(rate=1), threading.Event(), list[int]()

    def read(number: int) -> None:
        left.append(number)
        begun.set()
        # A day's worth at this rate.
        pace.take(86_400)

    def interrupted() -> None:
        with reading_at(pace) as readers:
            asked.extend(readers.ask(lambda number=number: read(number)) for number in range(100))  # type: ignore[misc]
            assert begun.wait(30)
            raise KeyboardInterrupt

    asked: list[object] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert 0 < len(left) < 100
    with pytest.raises(Ended):
        pace.take(1)

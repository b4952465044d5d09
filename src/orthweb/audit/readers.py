"""Threads that look at objects and read them, several at a time; a person may interrupt whoever waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from orthweb.audit.pace import Pace

# So that the disk has always something to read while MD5s are being made.
_THREADS = 4
_MOST_SECONDS = 5.0

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Reading(Generic[_Result]):
    """What a thread has been asked for."""

    def __init__(self, ask: Callable[[], _Result]) -> None:
        self._ask = ask
        self._answer: SimpleQueue[tuple[_Result | None, BaseException | None]] = SimpleQueue()

    def done(self) -> bool:
        """Whether it is there."""
        return not self._answer.empty()

    def result(self) -> _Result:
        """Wait for it; raises what looking for it raised."""
        result, error = self._answer.get()
        if error is not None:
            raise error
        return result  # type: ignore[return-value]

    def answer(self) -> None:
        """Find it."""
        try:
            self._answer.put((self._ask(), None))
        except BaseException as error:
            # It is the waiting thread's to handle.
            self._answer.put((None, error))


class Readers:
    """A few threads.

    A Future of the standard library would do but for Ctrl-C: between taking a lock and the block that gives it back, an
    interruption leaves it locked, and the threads wait for ever. A SimpleQueue has no such moment.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[Reading[Any] | None] = SimpleQueue()
        self._closed = False
        # A server that hangs must not keep the command from ending.
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(_THREADS)]
        for thread in self._threads:
            thread.start()

    def ask(self, look: Callable[[], _Result]) -> Reading[_Result]:
        """Have a thread call `look`."""
        reading = Reading(look)
        self._asked.put(reading)
        return reading

    def each(self, look: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
        """Have the threads look at each of these, and give what they see in the same order."""
        return [reading.result() for reading in [self.ask(partial(look, item)) for item in items]]

    def close(self) -> None:
        """End the threads; what they have not begun is left."""
        self._closed = True
        for _ in self._threads:
            self._asked.put(None)
        for thread in self._threads:
            thread.join(_MOST_SECONDS)

    def _run(self) -> None:
        while (reading := self._asked.get()) is not None and not self._closed:
            reading.answer()


@contextmanager
def reading_at(pace: Pace) -> Iterator[Readers]:
    """Threads that read at a pace while the body runs; none of them goes on afterwards."""
    readers = Readers()
    try:
        yield readers
    finally:
        pace.end()
        readers.close()

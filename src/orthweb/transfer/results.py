"""What became of each instance, and the count of it while it goes on."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from orthweb.transfer.sources import Instance


class Outcome(Enum):
    """What became of an instance."""

    ACCEPTED = "accepted"
    WARNING = "accepted with a warning"
    BEFORE = "accepted by an earlier run"
    REFUSED = "refused"
    NOT_SENT = "not sent"

    @property
    def good(self) -> bool:
        """The destination has it."""
        return self in (Outcome.ACCEPTED, Outcome.WARNING, Outcome.BEFORE)


@dataclass(frozen=True, slots=True)
class Result:
    """One instance's outcome, with the reason in words where there is one to give."""

    instance: Instance
    outcome: Outcome
    reason: str = ""
    status: int | None = None


class Tally:
    """Counts results and bytes; any thread may add to it."""

    def __init__(self, total: int, total_bytes: int) -> None:
        self.total, self.total_bytes = total, total_bytes
        self.results: list[Result] = []
        self.trouble = ""
        """What the destination's trouble is at the moment, in words."""
        self.last_trouble = ""
        """What it was the last time, also when that is over."""
        self.associations = 0
        """The most that were open at a time."""
        self._lock = threading.Lock()
        self._bytes = 0

    def add(self, result: Result) -> None:
        """An instance is done with."""
        with self._lock:
            self.results.append(result)

    def close(self, instances: Iterable[Instance], reason: str) -> None:
        """The send is over: what has no result was not sent."""
        with self._lock:
            known = {result.instance.path for result in self.results}
            left = (instance for instance in instances if instance.path not in known)
            self.results.extend(Result(instance, Outcome.NOT_SENT, reason) for instance in left)

    def moved(self, count: int) -> None:
        """Bytes were handed to the network; negative when they have to go again."""
        with self._lock:
            self._bytes += count

    @property
    def bytes(self) -> int:
        """Bytes of datasets that went out, without those that have to go again."""
        return self._bytes

    def counts(self) -> Counter[Outcome]:
        """How many instances came to what."""
        with self._lock:
            return Counter(result.outcome for result in self.results)

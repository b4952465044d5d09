"""Sends instances over several associations at once, and tries again while the destination's trouble lasts."""

from __future__ import annotations

import collections
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orthweb.dicom.errors import AssociationAborted, AssociationRejected, DicomError, NotAccepted
from orthweb.dicom.outbox import FileChanged
from orthweb.dicom.part10 import NotDicom
from orthweb.dicom.requestor import Peer
from orthweb.dicom.statuses import Verdict, verdict, words
from orthweb.dicom.store import ContextKey, Storer, context_key, grouped
from orthweb.dicom.transport import now
from orthweb.transfer.policy import associations_for, error_is_final, judged_as
from orthweb.transfer.results import Outcome, Result, Tally
from orthweb.transfer.sources import Instance

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
# The association went down with an instance so often, or it was refused for now so often while others were accepted:
# it is the instance's own doing. Orthanc answers "out of resources" to an instance without a Study Instance UID.
_MOST_ABORTS = 3
_MOST_TRIES = 3
# For a worker to end after an interruption; one that waits for a name's resolution can't be ended.
_LAST_WORDS_SECONDS = 3


@dataclass(frozen=True)
class Settings:
    """How to send.

    Parameters
    ----------
    associations:
        How many at once; None chooses by the round trip.
    retry_seconds:
        How long the destination's trouble may last without one instance being accepted.
    """

    associations: int | None = None
    retry_seconds: float = 120


class Unreachable(Exception):
    """The destination cannot be sent to, and another try would not help, or helped for too long."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass
class _Task:
    instance: Instance
    aborts: int = 0
    tries: int = 0
    others_before: int = 0
    """Instances that had been accepted when this one was refused for now for the first time."""


class Sending:
    """One send. `run` may be interrupted: what is done stays done, and the tally says what."""

    def __init__(
        self,
        peer: Peer,
        instances: Sequence[Instance],
        tally: Tally,
        settings: Settings,
        accepted: Callable[[Instance], None],
    ) -> None:
        self._peer, self._tally, self._settings, self._accepted = peer, tally, settings, accepted
        self._by_context: dict[ContextKey, list[Instance]] = {}
        for instance in instances:
            self._by_context.setdefault(context_key(instance.head), []).append(instance)
        self._tasks: collections.deque[_Task] = collections.deque()
        self._keys: list[ContextKey] = []
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._in_hand = 0
        self._open: set[Storer] = set()
        self._trouble_since: float | None = None
        self._good = 0
        self._ended: Exception | None = None

    def run(self) -> None:
        """Send everything.

        Raises
        ------
        Unreachable
            The destination's trouble lasted too long, or is not one that passes.
        """
        for keys in grouped(self._by_context):
            self._keys = keys
            self._tasks.extend(_Task(instance) for key in keys for instance in self._by_context[key])
            self._run_group()
            if self._ended is not None:
                raise Unreachable(self._ended)

    def stop(self) -> None:
        """End every association at once; `run` returns soon after."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
            for storer in self._open:
                storer.interrupt()

    def _run_group(self) -> None:
        first = threading.Thread(target=self._work, args=(True,), name="send-1", daemon=True)
        threads = [first]
        first.start()
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._open or not self._busy())
                wanted = self._wanted()
            for number in range(1, wanted):
                thread = threading.Thread(target=self._work, args=(False,), name=f"send-{number + 1}", daemon=True)
                threads.append(thread)
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.5)
        except BaseException:
            self.stop()
            for thread in threads:
                thread.join(_LAST_WORDS_SECONDS)
            raise

    def _wanted(self) -> int:
        if self._settings.associations is not None:
            wanted = self._settings.associations
        else:
            times = [storer.requestor.negotiation_seconds for storer in self._open]
            wanted = associations_for(min(times, default=0))
        return max(1, min(wanted, len(self._tasks) + self._in_hand))

    def _busy(self) -> bool:
        return bool(self._tasks or self._in_hand) and not self._stopping.is_set()

    def _work(self, first: bool) -> None:
        """One association after the other, until nothing is left to do."""
        while True:
            with self._changed:
                # Another worker's instance may come back.
                self._changed.wait_for(lambda: self._tasks or not self._busy())
                if not self._busy():
                    self._changed.notify_all()
                    return
            try:
                well = self._associate()
            except (OSError, DicomError) as error:
                if self._open and isinstance(error, AssociationRejected) and not first:
                    # The destination takes no more associations than it has: those that are there go on.
                    return
                self._trouble(error, error_is_final(error))
                well = False
            if not well:
                self._stopping.wait(self._pause())

    def _pause(self) -> float:
        """Seconds before the next try: the longer the trouble lasts, the more."""
        longest = min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, self._trouble_seconds() / 4))
        return longest * random.uniform(0.5, 1)  # noqa: S311 - spreads the tries, no secret

    def _trouble_seconds(self) -> float:
        """For how long nothing was accepted since something went wrong."""
        since = self._trouble_since
        return 0 if since is None else now() - since

    def _associate(self) -> bool:
        """Send over one association until nothing is left, or the destination is in trouble: then it returns False."""
        with Storer(self._peer, self._keys) as storer:
            with self._changed:
                self._open.add(storer)
                self._tally.associations = max(self._tally.associations, len(self._open))
                self._changed.notify_all()
            try:
                while storer.usable and (task := self._take()) is not None:
                    try:
                        again = self._send(storer, task)
                    except BaseException:
                        self._put_back(task)
                        raise
                    if again is None:
                        self._finished()
                        continue
                    self._put_back(task)
                    self._trouble(DicomError(again), final=False)
                    return False
            finally:
                with self._changed:
                    self._open.discard(storer)
                    self._changed.notify_all()
        return True

    def _take(self) -> _Task | None:
        with self._changed:
            self._changed.wait_for(lambda: self._tasks or not self._busy())
            if not self._busy():
                return None
            self._in_hand += 1
            return self._tasks.popleft()

    def _put_back(self, task: _Task) -> None:
        with self._changed:
            self._in_hand -= 1
            self._tasks.append(task)
            self._changed.notify_all()

    def _finished(self) -> None:
        with self._changed:
            self._in_hand -= 1
            if not self._busy():
                self._changed.notify_all()

    def _send(self, storer: Storer, task: _Task) -> str | None:
        """Send one instance and record what came of it; returns in words why to try again, or None."""
        moved = 0

        def progress(count: int) -> None:
            nonlocal moved
            moved += count
            self._tally.moved(count)

        instance, result = task.instance, None
        try:
            status = storer.store(instance.path, instance.head, progress)
        except NotAccepted as error:
            result = Result(instance, Outcome.REFUSED, str(error))
        except NotDicom as error:
            result = Result(instance, Outcome.NOT_SENT, str(error))
        except OSError as error:
            result = Result(instance, Outcome.NOT_SENT, error.strerror or str(error))
        except FileChanged:
            result = Result(instance, Outcome.NOT_SENT, "the file became shorter while it was sent")
        except AssociationAborted as error:
            self._tally.moved(-moved)
            task.aborts += 1
            if task.aborts < _MOST_ABORTS or self._stopping.is_set():
                raise
            result = Result(instance, Outcome.REFUSED, f"the association ended with it each time: {error}")
        else:
            judged = verdict(status)
            if judged is Verdict.AGAIN:
                self._tally.moved(-moved)
                task.tries += 1
                if task.tries == 1:
                    task.others_before = self._good
                if task.tries < _MOST_TRIES or self._good == task.others_before:
                    return words(status)
                judged = Verdict.REFUSED
            result = judged_as(instance, judged, status)
        if result.outcome.good:
            self._accepted(instance)
            with self._changed:
                self._good += 1
                self._trouble_since, self._tally.trouble = None, ""
        self._tally.add(result)
        return None

    def _trouble(self, error: Exception, final: bool) -> None:
        """Give up when it is not one that passes, or has lasted too long."""
        with self._changed:
            # Not since the last instance was accepted: a large one may have been on its way for long.
            self._trouble_since = self._trouble_since or now()
            self._tally.trouble = self._tally.last_trouble = str(error)
        if final or self._trouble_seconds() > self._settings.retry_seconds:
            with self._changed:
                if not self._stopping.is_set():
                    self._ended = error
            self.stop()

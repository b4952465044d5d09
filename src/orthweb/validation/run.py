"""Runs checks: independent ones at the same time, dependent ones after what they need, each for so long at most."""

from __future__ import annotations

import datetime
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from orthweb.errors import OrthwebError
from orthweb.validation.check import Check, Report, Result, Status
from orthweb.validation.look import Ended, Exhibits, Finding, Look, Skipped
from orthweb.validation.removal import (
    Ledger,
    Leftovers,
    NotRemoved,
    remove_late_study,
    remove_leftovers,
    remove_study,
)
from orthweb.validation.samples.test_data import PATIENT_NAME, TestData
from orthweb.validation.target import Target

_MOST_AT_ONCE = 12
# Those that are storing when a run is interrupted may come to their end, so that nothing arrives after the removal.
_LAST_STORES_SECONDS = 5.0
_UP = "see that the site is up: 'orthweb status'"


def _unreachable(_look: Look) -> str:
    raise AssertionError("the run itself looks")


REMOVED = Check("data.removed", "Nothing of the validation is left in the site.", _unreachable)
"""The run makes it itself, when all others are done."""


def validate(
    target: Target, checks: Sequence[Check], heard: Callable[[Result], None] = lambda result: None, keep: bool = False
) -> Report:
    """Make all checks.

    Parameters
    ----------
    checks:
        In an order in which what a check needs comes before it. What they need and isn't here counts as left out.
    heard:
        Called with each result as it comes, from this thread.
    keep:
        Leave the test data in the site.
    """
    started, began = datetime.datetime.now(datetime.UTC), time.monotonic()
    exhibits = Exhibits()
    results: list[Result] = []

    def keep_result(result: Result) -> None:
        results.append(result)
        heard(result)

    ledger = Ledger(target)
    # A check that hangs may still be writing there.
    with tempfile.TemporaryDirectory(prefix="orthweb-", ignore_cleanup_errors=True) as scratch:
        data = TestData(Path(scratch), (lambda data: None) if keep else ledger.note)
        try:
            _Run(target, data, exhibits).make(checks, keep_result)
        finally:
            try:
                removed = _to_its_end(target, data, ledger, interrupted=sys.exception() is not None)
            finally:
                ledger.close()
            if removed is not None:
                keep_result(removed)
    order = {check.id: number for number, check in enumerate(checks)}
    return Report(
        site=target.name,
        environment=target.environment,
        owner=target.owner,
        address=target.web.address,
        started=started,
        seconds=time.monotonic() - began,
        results=tuple(sorted(results, key=lambda result: order.get(result.check.id, len(order)))),
        versions=dict(sorted(exhibits.versions.items())),
        certificates=tuple(exhibits.certificates[use] for use in sorted(exhibits.certificates)),
        image=exhibits.image,
    )


def _to_its_end(target: Target, data: TestData, ledger: Ledger, interrupted: bool) -> Result | None:
    """Leave nothing behind; who interrupts that is heard after it, and at once the second time."""
    try:
        return _removed(target, data, ledger, interrupted)
    except KeyboardInterrupt:
        if not interrupted:
            _removed(target, data, ledger, interrupted=True)
        raise


def _removed(target: Target, data: TestData, ledger: Ledger, interrupted: bool) -> Result | None:
    """Remove what the run has stored and noted, and what others have left; None when there was nothing to remove."""
    began = time.monotonic()
    done, troubles, leftovers = [], [], Leftovers()
    data.end(_LAST_STORES_SECONDS)
    try:
        if ledger.noted:
            _remove(target, data, ledger)
            done.append("the test study is deleted and gone")
        if not interrupted:
            leftovers = remove_leftovers(target)
    except NotRemoved as error:
        troubles.append(str(error))
    troubles += leftovers.troubles
    if leftovers.removed:
        done.append(f"test studies that earlier runs had left are deleted: {leftovers.removed}")
    seconds = time.monotonic() - began
    if troubles:
        remedy = f"the next validation tries again; or delete the patient {PATIENT_NAME} on the web page"
        return Result(REMOVED, Status.FAILED, "; ".join(dict.fromkeys(troubles)), remedy, seconds=seconds)
    if data.uncertain and ledger.noted:
        message = "the test study is deleted, but the site left a store without an answer: it may still come"
        return Result(REMOVED, Status.WARNING, message, "the next validation looks for it again", seconds=seconds)
    return Result(REMOVED, Status.PASSED, "; ".join(done), seconds=seconds) if done else None


def _remove(target: Target, data: TestData, ledger: Ledger) -> None:
    if data.uncertain:
        remove_late_study(target.web, data.orthanc_study)
        ledger.watch()
    else:
        ledger.answered()
        remove_study(target.web, data.orthanc_study)
        ledger.forget()


class _Run:
    """One run: which checks are under way, and what has come of the others."""

    def __init__(self, target: Target, data: TestData, exhibits: Exhibits) -> None:
        self._target, self._data, self._exhibits = target, data, exhibits
        self._ended: queue.Queue[Result] = queue.Queue()
        self._deadlines: dict[str, tuple[float, Check]] = {}
        self._known: dict[str, Result] = {}

    def make(self, checks: Sequence[Check], heard: Callable[[Result], None]) -> None:
        waiting = list(checks)
        chosen = {check.id for check in checks}
        while waiting or self._deadlines:
            for check in [check for check in waiting if self._may_begin(check, chosen)]:
                reason = self._why_not(check, chosen)
                if reason is not None:
                    waiting.remove(check)
                    self._take(Result(check, Status.SKIPPED, reason), heard)
                elif len(self._deadlines) < _MOST_AT_ONCE:
                    waiting.remove(check)
                    self._begin(check)
            if self._deadlines:
                self._wait(heard)

    def _may_begin(self, check: Check, chosen: Iterable[str]) -> bool:
        return all(need.id in self._known or need.id not in chosen for need in check.needs)

    def _why_not(self, check: Check, chosen: Iterable[str]) -> str | None:
        if check.inside and self._target.inside is None:
            return "it needs an inside view of the site"
        for need in check.needs:
            if need.id not in chosen:
                return f"it needs {need.id}, which was left out"
            status = self._known[need.id].status
            if not status.good:
                return f"it needs {need.id}, which {'failed' if status is Status.FAILED else 'was skipped'}"
        return None

    def _begin(self, check: Check) -> None:
        # Daemons: one that hangs must not keep the command from ending.
        thread = threading.Thread(target=self._look, args=(check,), name=check.id, daemon=True)
        self._deadlines[check.id] = (time.monotonic() + check.limit, check)
        thread.start()

    def _look(self, check: Check) -> None:
        self._ended.put(made(check, Look(self._target, self._data, self._exhibits, check.limit)))

    def _wait(self, heard: Callable[[Result], None]) -> None:
        soonest = min(deadline for deadline, _ in self._deadlines.values())
        try:
            result = self._ended.get(timeout=max(0.0, soonest - time.monotonic()))
        except queue.Empty:
            for deadline, check in list(self._deadlines.values()):
                if deadline <= time.monotonic():
                    self._take(_too_long(check), heard)
            return
        # One that comes after its time is over was told already.
        if result.check.id in self._deadlines:
            self._take(result, heard)

    def _take(self, result: Result, heard: Callable[[Result], None]) -> None:
        self._deadlines.pop(result.check.id, None)
        self._known[result.check.id] = result
        heard(result)


def made(check: Check, look: Look) -> Result:
    """Make one check now, in this thread, and say what came of it."""
    began = time.monotonic()
    message = ""
    try:
        message = check.look(look)
    except Ended:
        pass
    except Skipped as skipped:
        if not look.findings:
            return Result(check, Status.SKIPPED, str(skipped), evidence=tuple(look.evidence))
    except OrthwebError as error:
        look.wrong(error.message, error.remedy or _UP)
    except OSError as error:
        look.wrong(error.strerror or str(error) or type(error).__name__, _UP)
    except Exception as error:
        look.wrong(
            f"the check itself broke off: {type(error).__name__}: {error}", "this is a fault in Orthweb: report it"
        )
    seconds = time.monotonic() - began
    findings, evidence = tuple(look.findings), tuple(look.evidence)
    if not findings:
        return Result(check, Status.PASSED, message, evidence=evidence, seconds=seconds)
    worst = _worst(findings)
    status = Status.FAILED if worst.serious else Status.WARNING
    return Result(check, status, worst.message, worst.remedy, findings, evidence, seconds)


def _worst(findings: Sequence[Finding]) -> Finding:
    return next((finding for finding in findings if finding.serious), findings[0])


def _too_long(check: Check) -> Result:
    remedy = "see 'orthweb status', and how busy the machine and the network are"
    return Result(check, Status.FAILED, f"no end after {check.limit:g} s", remedy, seconds=check.limit)

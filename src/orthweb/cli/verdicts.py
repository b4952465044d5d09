"""Shows what comes of checks while they are made, in the order of the report, and what has changed since."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orthweb.cli.console import stderr, stdout

if TYPE_CHECKING:
    from rich.status import Status as Spinner

    from orthweb.validation import Check, Report, Result, Status

_MARKS = {"passed": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "bold red"), "skipped": ("-", "dim")}


class Verdicts:
    """Prints results as soon as all that come before them are there; on request only those that aren't well."""

    def __init__(self, checks: Sequence[Check], troubles_only: bool = False) -> None:
        self._troubles_only = troubles_only
        self._console = stdout()
        self._awaited = [check.id for check in checks]
        self._early: dict[str, Result] = {}
        self._subject = ""
        self._width = max((len(name) for name in self._awaited), default=0)
        self._spinner: Spinner | None = None

    @contextmanager
    def watching(self) -> Iterator[Verdicts]:
        """Show how far it is while the body runs, on a terminal."""
        # Results and the spinner on one console, so that they don't write over each other.
        console = self._console if self._console.is_terminal else stderr()
        if not console.is_terminal:
            yield self
            return
        with console.status("validating") as self._spinner:
            yield self

    def take(self, result: Result) -> None:
        """Take a result; what waited for it is printed as well."""
        if result.check.id not in self._awaited:
            # Of the run itself, after all others.
            self._print(result)
            return
        self._early[result.check.id] = result
        while self._awaited and self._awaited[0] in self._early:
            self._print(self._early.pop(self._awaited.pop(0)))
        if self._spinner is not None:
            waiting = len(self._awaited) - len(self._early)
            self._spinner.update(f"{waiting} more checks, among them {self._awaited[0]}" if waiting else "tidying up")

    def _print(self, result: Result) -> None:
        if self._troubles_only and result.status.value in ("passed", "skipped"):
            return
        if result.check.subject != self._subject and self._console.is_terminal:
            self._subject = result.check.subject
            self._console.print(f"\n[bold]{self._subject}[/]")
        for line in _lines(result, self._width, self._console.is_terminal):
            self._console.print(line)


def summary(report: Report) -> None:
    """Print how many checks came to what, and what that means."""
    from orthweb.validation import Status

    counts = ", ".join(f"{report.count(status)} {_plural(status, report.count(status))}" for status in Status)
    verdict = "the site is well" if report.good else "the site is not well"
    if report.good and report.count(Status.WARNING):
        verdict = "the site works, and something is to be looked at"
    console = stdout()
    console.print(f"\n{report.site}: {verdict}" if console.is_terminal else f"{report.site}: {verdict}", markup=False)
    console.print(f"{counts} in {report.seconds:.1f} s", markup=False)


def changes(before: Iterable[Result], after: Iterable[Result]) -> list[Result]:
    """What came to something else than before: another status, or another thing to do."""
    known = {result.check.id: (result.status, result.remedy) for result in before}
    return [result for result in after if known.get(result.check.id) != (result.status, result.remedy)]


def show_changes(changed: Sequence[Result], when: datetime.datetime) -> None:
    """Print what has changed, with the time of the validation."""
    console = stdout()
    width = max((len(result.check.id) for result in changed), default=0)
    for result in changed:
        first, *rest = _lines(result, width, console.is_terminal)
        console.print(f"{when.astimezone():%H:%M:%S}", end=" ")
        for line in (first, *rest):
            console.print(line)


def show_list(checks: Sequence[Check]) -> None:
    """Print every check with what it proves."""
    console = stdout()
    for check in checks:
        notes = ", ".join([*(["seconds"] if check.slow else []), *(["inside view"] if check.inside else [])])
        console.print(f"{check.id:<{max(len(each.id) for each in checks)}}  {check.proves}", markup=False, end="")
        console.print(f" [dim]({notes})[/]" if notes else "")


def list_dict(check: Check) -> dict[str, Any]:
    """A check as plain values, for scripts."""
    return {
        "id": check.id,
        "subject": check.subject,
        "proves": check.proves,
        "needs": [need.id for need in check.needs],
        "inside": check.inside,
        "slow": check.slow,
        "limit": check.limit,
        "guide": check.guide,
    }


def _lines(result: Result, width: int, terminal: bool) -> list[Any]:
    """A result as renderables: its row, and under it what is wrong and what to do about it."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    mark, style = _MARKS[result.status.value]
    if not terminal:
        lines: list[Any] = [Text(f"{result.status.value:<8} {result.check.id:<{width}} {result.message}")]
        for message, remedy in _troubles(result):
            said = f"{message}: " if message != result.message else ""
            lines.append(Text(f"{'':8} {'':<{width}} {said}{remedy}"))
        return lines
    row = Table.grid(padding=(0, 1), expand=True)
    row.add_column(width=1)
    row.add_column(width=width)
    row.add_column(ratio=1)
    row.add_column(width=7, justify="right", style="dim")
    row.add_row(Text(mark, style), Text(result.check.id, style), Text(result.message), _duration(result.seconds))
    lines = [row]
    for message, remedy in _troubles(result):
        if message != result.message:
            lines.append(Padding(Text(message), (0, 0, 0, width + 3)))
        lines.append(Padding(Text(f"→ {remedy}", style), (0, 0, 0, width + 3)))
    return lines


def _troubles(result: Result) -> list[tuple[str, str]]:
    found = [(finding.message, finding.remedy) for finding in result.findings]
    return found or ([(result.message, result.remedy)] if result.remedy else [])


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _plural(status: Status, count: int) -> str:
    return "warnings" if status.value == "warning" and count != 1 else status.value

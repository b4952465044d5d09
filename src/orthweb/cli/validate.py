"""`orthweb validate`: every checkpoint of a site, shown as they come; as JSON, JUnit XML or a page to mail."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orthweb.cli.console import JsonOption, print_json, stderr, stdout
from orthweb.cli.shared_options import takes
from orthweb.cli.target import TargetMaker, target
from orthweb.cli.verdicts import Verdicts, changes, list_dict, show_changes, show_list, summary
from orthweb.errors import InputError

if TYPE_CHECKING:
    from orthweb.validation import Check, Report, Result

OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="CHECK", help="Only this check or subject, and what it needs; may be repeated."),
]
SkipOption = Annotated[
    list[str] | None, typer.Option("--skip", metavar="CHECK", help="Leave out this check or subject; may be repeated.")
]
QuickOption = Annotated[bool, typer.Option("--quick", help="Leave out the checks that take seconds by their nature.")]
KeepOption = Annotated[bool, typer.Option("--keep", help="Leave the test data in the site.")]
HtmlOption = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write a page with all evidence, to read or to mail.")
]
JunitOption = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML, for a build server.")
]
ListOption = Annotated[bool, typer.Option("--list", help="Show every check with what it proves, and make none.")]
WatchOption = Annotated[
    float | None,
    typer.Option("--watch", metavar="SECONDS", min=1, help="Repeat after so many seconds, and print changes only."),
]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(takes(site=target)(validate))


def validate(
    site: TargetMaker,
    only: OnlyOption = None,
    skip: SkipOption = None,
    quick: QuickOption = False,
    keep: KeepOption = False,
    listing: ListOption = False,
    watch: WatchOption = None,
    html: HtmlOption = None,
    junit: JunitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check every part of a site from outside, as a device and a browser see it, and from inside where it may.

    What is stored for it is marked as test data and removed again. The exit status is 1 when a check failed.
    """
    from orthweb.validation import select

    checks = select(only or (), skip or (), quick)
    if listing:
        print_json([list_dict(check) for check in checks]) if as_json else show_list(checks)
        return
    reports = [(path, kind) for path, kind in ((html, "html"), (junit, "junit")) if path is not None]
    for path, kind in reports:
        _check_writable(f"--{kind}", path)
    if watch is not None:
        _watch(site, checks, watch, keep, reports, as_json)
        return
    report = _shown(site, checks, keep, as_json)
    _write(report, reports)
    if as_json:
        _print_json(report)
    else:
        summary(report)
        for path, _ in reports:
            stdout().print(f"wrote {path}", markup=False)
    if not report.good:
        raise typer.Exit(1)


def validate_quickly(folder: Path, page: Path) -> Report:
    """Validate the site of a folder without what takes seconds; print what isn't well and how many checks were made.

    Parameters
    ----------
    page:
        Where to write the report.
    """
    from orthweb.validation import select

    checks = select(quick=True)
    site = target(site=folder)
    with Verdicts(checks, troubles_only=True).watching() as verdicts:
        report = _made(site, checks, False, verdicts.take)
    _write(report, [(page, "html")])
    summary(report)
    return report


def _shown(site: TargetMaker, checks: Sequence[Check], keep: bool, quiet: bool) -> Report:
    if quiet:
        return _made(site, checks, keep, lambda result: None)
    with Verdicts(checks).watching() as verdicts:
        return _made(site, checks, keep, verdicts.take)


def _made(site: TargetMaker, checks: Sequence[Check], keep: bool, heard: Callable[[Result], None]) -> Report:
    from orthweb.validation import validate as run

    with tempfile.TemporaryDirectory(prefix="orthweb-") as scratch:
        return run(site(Path(scratch)), checks, heard, keep)


def _watch(
    site: TargetMaker,
    checks: Sequence[Check],
    seconds: float,
    keep: bool,
    reports: Sequence[tuple[Path, str]],
    as_json: bool,
) -> None:
    """Validate again and again until somebody interrupts it; the exit status is the last report's."""
    from orthweb.validation.reports.json_report import result_dict

    before: Report | None = None
    try:
        while True:
            report = _shown(site, checks, keep, as_json or before is not None)
            # From now on it is the last one, also for somebody who interrupts the printing.
            earlier, before = before, report
            _write(report, reports)
            if earlier is None:
                _print_json(report) if as_json else summary(report)
            else:
                changed = changes(earlier.results, report.results)
                if not as_json:
                    show_changes(changed, report.started)
                elif changed:
                    date = report.started.isoformat(timespec="seconds")
                    print_json({"date": date, "changes": [result_dict(result) for result in changed]})
            _pause(seconds)
    except KeyboardInterrupt:
        # How a person ends this: nothing was left half done.
        if before is None:
            raise
        if not before.good:
            raise typer.Exit(1) from None


def _pause(seconds: float) -> None:
    console = stderr()
    if not console.is_terminal:
        time.sleep(seconds)
        return
    with console.status(f"again in {seconds:g} s"):
        time.sleep(seconds)


def _check_writable(option: str, path: Path) -> None:
    """Say before everything else that a report can't be written; raises InputError."""
    folder = path.parent
    if not folder.is_dir():
        raise InputError(f"{option}: {path}: there is no folder {folder}", "make it, or name another file")
    if path.is_dir():
        raise InputError(f"{option}: {path}: is a folder", "name a file")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise InputError(f"{option}: {path}: may not be written by you", "name another file")


def _write(report: Report, reports: Sequence[tuple[Path, str]]) -> None:
    for path, kind in reports:
        from orthweb.validation.reports import to_html, to_junit

        made = {"html": to_html, "junit": to_junit}
        path.write_text(made[kind](report), encoding="utf-8")


def _print_json(report: Report) -> None:
    from orthweb.validation.reports import to_dict

    print_json(to_dict(report))

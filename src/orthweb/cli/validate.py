"""`orthweb validate`: every checkpoint of a site, as they come; as a table, JSON, JUnit XML or a page."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orthweb.cli.console import JsonOption, SiteOption, print_json, site_at, stdout

if TYPE_CHECKING:
    from orthweb.validation import Result

OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="CHECK", help="Only these checks or subjects, and what they need."),
]
SkipOption = Annotated[
    list[str] | None, typer.Option("--skip", metavar="CHECK", help="Leave out these checks or subjects.")
]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(validate)


def validate(
    only: OnlyOption = None,
    skip: SkipOption = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out the checks that take seconds.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the test data in the site.")] = False,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Check every part of the site from outside, and from inside where this machine runs it.

    The exit status is 1 when a check failed.
    """
    from orthweb.local.target import local_target
    from orthweb.validation import select
    from orthweb.validation import validate as run
    from orthweb.validation.reports import to_dict

    checks = select(only or (), skip or (), quick)
    described, paths = site_at(site)
    with tempfile.TemporaryDirectory(prefix="orthweb-") as scratch:
        target = local_target(described, paths, Path(scratch))
        report = run(target, checks, (lambda result: None) if as_json else _print, keep)
    if as_json:
        print_json(to_dict(report))
    if not report.good:
        raise typer.Exit(1)


def _print(result: Result) -> None:
    stdout().print(f"{result.status.value:8} {result.check.id:24} {result.message}", markup=False)

"""`orthweb setup`: the system packages, before anything runs."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from orthweb.cli.console import stderr


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(setup)


def setup(
    s3: Annotated[
        bool, typer.Option("--s3", help="Also what a site that keeps its objects in a bucket needs.")
    ] = False,
    tests: Annotated[bool, typer.Option("--tests", help="Also what Orthweb's own tests need.")] = False,
) -> None:
    """Install the system packages that a site needs, through apt; `up` does this by itself.

    The distribution's own Orthanc and PostgreSQL services are not started, and those of a person are left alone.
    """
    from orthweb.local.packages import ensure, ensure_test_packages, site_packages

    def say(line: str) -> None:
        stderr().print(line, markup=False)

    if tests:
        ensure_test_packages(say)
    else:
        ensure(site_packages(s3, os.geteuid() == 0), say)

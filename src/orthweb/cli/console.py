"""What a person sees: Rich on a terminal, plain lines elsewhere; errors as one line, exit status by kind."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from orthweb.local.engine import Engine
    from orthweb.site.model import Site
    from orthweb.site.paths import SitePaths

SiteOption = Annotated[
    Path,
    typer.Option(
        "-C",
        "--site",
        envvar="ORTHWEB_SITE",
        help="Folder of the site, which holds orthweb.yaml.",
        show_default="this folder",
        metavar="FOLDER",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def stdout() -> Console:
    """The console for results."""
    from rich.console import Console

    return Console(highlight=False, emoji=False, soft_wrap=not sys.stdout.isatty())


def stderr() -> Console:
    """The console for progress, warnings and errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, emoji=False, soft_wrap=not sys.stderr.isatty())


def print_json(data: Any) -> None:
    """Print data as JSON."""
    import json

    sys.stdout.write(json.dumps(data, indent=2, default=str) + "\n")


def report(error: BaseException) -> None:
    """Print an error as a person reads it."""
    console = stderr()
    for line in str(error).splitlines():
        console.print(f"[bold red]orthweb:[/] {escape(line)}" if console.is_terminal else f"orthweb: {escape(line)}")


def warn(line: str) -> None:
    """Print a warning."""
    console = stderr()
    console.print(f"[yellow]warning:[/] {escape(line)}" if console.is_terminal else f"warning: {escape(line)}")


def amount(count: int) -> str:
    """So many bytes as a person reads them."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"


def site_at(folder: Path) -> tuple[Site, SitePaths]:
    """Load the site that `folder` describes; raises InputError."""
    from orthweb.site.load import load_site
    from orthweb.site.paths import SitePaths

    root = Path(os.path.abspath(folder))
    return load_site(root), SitePaths(root)


@contextmanager
def changing(folder: Path, command: str) -> Iterator[Engine]:
    """Hold the site's lock, show progress and record the command in the site's history while the body changes it."""
    from orthweb.local.engine import Engine, Voice
    from orthweb.site.history import recorded
    from orthweb.site.lock import site_lock

    site, paths = site_at(folder)
    console = stderr()
    with site_lock(paths, command), recorded(paths, command):
        if not console.is_terminal:
            yield Engine(site, paths, Voice(lambda line: console.print(escape(line)), warn, lambda _: None))
            return
        with console.status(command) as status:
            voice = Voice(
                say=lambda line: console.print(f"[green]✓[/] {escape(line)}"),
                warn=warn,
                step=lambda line: status.update(escape(line)),
            )
            yield Engine(site, paths, voice)


def escape(text: str) -> str:
    """Text that Rich prints as it is, whatever brackets it holds."""
    from rich.markup import escape

    return escape(text)

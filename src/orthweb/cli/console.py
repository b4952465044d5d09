"""What a person sees: Rich on a terminal, plain lines elsewhere; errors as one line, exit status by kind."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orthweb.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from orthweb.host.own import OwnHost
    from orthweb.local.engine import Engine
    from orthweb.site.model import Site
    from orthweb.site.paths import SitePaths
    from orthweb.site.voice import Voice

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
HERE = "ORTHWEB_HERE"
"""Set when a copy of a site on AWS is meant, on this machine."""
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
    """Load the site that `folder` describes, as one on this machine where `--here` is given; raises InputError."""
    from orthweb.site.load import load_site
    from orthweb.site.paths import SitePaths

    root = Path(os.path.abspath(folder))
    site = load_site(root)
    return site.model_copy(update={"aws": None}) if HERE in os.environ else site, SitePaths(root)


def site_here(
    folder: Path, command: str, instead: str = "'orthweb apply' and 'orthweb destroy' are for that"
) -> tuple[Site, SitePaths]:
    """Load a site that runs on this machine.

    Parameters
    ----------
    instead:
        What a person may want of a site on AWS.

    Raises
    ------
    InputError
        It is on AWS; or as `site_at`.
    """
    site, paths = site_at(folder)
    if site.aws is not None:
        raise InputError(
            f"{command}: this site is on AWS: {instead}", f"'orthweb --here {command}' means a copy on this machine"
        )
    return site, paths


@contextmanager
def changing(folder: Path, command: str, engine: str | None = None) -> Iterator[Engine | OwnHost]:
    """Let the body change the site on this machine, as `locked`, and show what is being done.

    Parameters
    ----------
    engine:
        What brings it up; when None the one that did before, and the native one the first time.
    """
    from orthweb.site.mark import COMPOSE, NATIVE, engine_of

    site, paths = site_here(folder, command)
    with locked(site, paths, command, progress=True) as voice:
        if (engine or engine_of(paths) or NATIVE) == COMPOSE:
            from orthweb.host.own import OwnHost

            yield OwnHost(site, paths, voice)
        else:
            from orthweb.local.engine import Engine

            yield Engine(site, paths, voice)


@contextmanager
def locked(site: Site, paths: SitePaths, command: str, progress: bool = False) -> Iterator[Voice]:
    """Hold the site's lock and record the command in the site's history while the body changes it.

    Gives how it is heard; with `progress` what is being done now is shown on a terminal.
    """
    from orthweb.site.history import recorded
    from orthweb.site.lock import site_lock

    with site_lock(paths, command), recorded(paths, command), speaking(command if progress else None) as voice:
        yield voice


@contextmanager
def speaking(doing: str | None) -> Iterator[Voice]:
    """Give how a command is heard: lines that stay, and on a terminal one that tells what is `doing`, unless None."""
    from orthweb.site.voice import Voice

    console = stderr()
    if not console.is_terminal:
        yield Voice(lambda line: console.print(escape(line)), warn, lambda _: None)
        return
    status = console.status(doing or "")
    voice = Voice(
        say=lambda line: console.print(f"[green]✓[/] {escape(line)}"),
        warn=warn,
        step=lambda line: status.update(escape(line)),
    )
    with nullcontext() if doing is None else status:
        yield voice


def escape(text: str) -> str:
    """Text that Rich prints as it is, whatever brackets it holds."""
    from rich.markup import escape

    return escape(text)

"""`orthweb up | down | restart`: the site on this machine."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orthweb.cli.console import SiteOption, changing, site_here, stderr, stdout
from orthweb.errors import InputError
from orthweb.site.mark import COMPOSE, NATIVE

if TYPE_CHECKING:
    from orthweb.site.paths import SitePaths

DrainOption = Annotated[
    float,
    typer.Option(
        "--drain",
        min=0,
        max=3600,
        metavar="SECONDS",
        help="How long associations in flight may take to finish.",
    ),
]


class Made(StrEnum):
    """What brings a site up on this machine."""

    native = NATIVE
    compose = COMPOSE


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(up)
    app.command()(down)
    app.command()(restart)


def up(
    site: SiteOption = Path("."),
    at_boot: Annotated[bool, typer.Option("--at-boot", help="Also register the site as a systemd service.")] = False,
    engine: Annotated[
        Made | None,
        typer.Option(
            "--engine",
            help="native: Debian's packages, supervised here; compose: containers, with Docker.",
            show_default="the one that brought it up before, else native",
        ),
    ] = None,
) -> None:
    """Bring the site up on this machine, or make what runs equal to orthweb.yaml.

    Installs what is missing through apt, starts PostgreSQL, the Orthanc servers and Envoy, and waits until they are
    healthy. With --engine compose they are containers, which Docker also starts again after a reboot. A second call
    changes only what differs.
    """
    from orthweb.local.boot import ensure_at_boot, require_systemd
    from orthweb.running.overview import addresses

    if at_boot:
        require_systemd()
    with changing(site, "up", engine.value if engine else None) as made:
        made.up()
        if at_boot:
            ensure_at_boot(made.site, made.paths, made.voice.say)
    console = stdout()
    console.print(f"{made.site.name} is up" + ("." if made.changed else "; nothing had to change."))
    for line in addresses(made.site, made.paths):
        console.print(f"  {line}")


def down(
    site: SiteOption = Path("."),
    purge: Annotated[
        bool, typer.Option("--purge", help="Also delete all data, keys and passwords of the site.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --purge.")] = False,
    drain: DrainOption = 10,
) -> None:
    """Stop the site: Envoy first, once associations have finished, and PostgreSQL last. The data stays.

    With --purge the site's .orthweb folder goes too, with every image in it.
    """
    described, paths = site_here(site, "down")
    if not paths.state.exists():
        stderr().print(f"{described.name} is not up: nothing to stop")
        return
    if purge:
        _refuse_to_forget(paths)
    if purge and not yes:
        _confirm(described.name, paths.state)
    with changing(site, "down --purge" if purge else "down") as engine:
        stopped = engine.down(drain)
        if purge:
            engine.purge()
    verb = "is down" if stopped else "is not up: nothing to stop"
    stderr().print(f"{described.name} {verb}" + (f"; {paths.state} is deleted" if purge else ""))


def restart(
    service: Annotated[
        str | None,
        typer.Argument(help="One service; all of them one after another when left out.", metavar="SERVICE"),
    ] = None,
    site: SiteOption = Path("."),
    drain: DrainOption = 10,
) -> None:
    """Restart one service of the site, or all of them one after another."""
    with changing(site, f"restart {service or ''}".strip()) as engine:
        engine.restart(service, drain)


def _refuse_to_forget(paths: SitePaths) -> None:
    from orthweb.aws.workspace import holds_resources

    if holds_resources(paths):
        raise InputError(
            f"--purge: {paths.terraform} is all that knows of the site on AWS", "take that away with 'orthweb destroy'"
        )


def _confirm(name: str, folder: Path) -> None:
    if not sys.stdin.isatty():
        raise InputError(f"--purge: deletes {folder} with every image in it", "add --yes if that is meant")
    if typer.prompt(f"This deletes {folder} with every image in it. Type the site's name to go on") != name:
        raise InputError("--purge: the name does not match", "nothing was deleted")

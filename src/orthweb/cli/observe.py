"""`orthweb status | logs | password`: how the site on this machine is."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orthweb.cli.console import JsonOption, SiteOption, print_json, site_at, site_here, stdout
from orthweb.errors import Failure, InputError
from orthweb.site.mark import COMPOSE, engine_of

if TYPE_CHECKING:
    from rich.table import Table

    from orthweb.site.model import Site
    from orthweb.site.paths import SitePaths


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(status)
    app.command()(logs)
    app.command()(password)


def status(site: SiteOption = Path("."), as_json: JsonOption = False) -> None:
    """Show every process, replica, listener and certificate, and the disk; of a site on AWS, what it has there.

    The exit status is 1 when one of them is not well.
    """
    described, paths = site_at(site)
    if described.aws is not None:
        from orthweb.cli.aws_status import show_status

        if not show_status(site, as_json):
            raise typer.Exit(1)
        return
    state = _collect(described, paths)
    if as_json:
        print_json(state)
    else:
        _show(state)
    if not state["healthy"]:
        raise typer.Exit(1)


def logs(
    service: Annotated[
        str | None,
        typer.Argument(help="One service, such as orthanc-1; all when left out.", metavar="SERVICE"),
    ] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on showing what is written.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many lines of each log to show first.")] = 20,
    site: SiteOption = Path("."),
) -> None:
    """Show the logs of the site's services: the processes' own, and web and dicom, which say who connected."""
    described, paths = site_here(site, "logs", "'orthweb connect --log' follows the start of a host")
    if engine_of(paths) == COMPOSE:
        _show_containers_logs(described, paths, service, follow, lines)
        return
    found = {path.stem: path for path in sorted(paths.logs.glob("*.log"))} if paths.logs.exists() else {}
    if not found:
        raise Failure(f"{paths.logs}: no logs yet", "start the site with 'orthweb up'")
    if service is not None and service not in found:
        raise InputError(f"{service}: no such log", f"there are {', '.join(found)}")
    chosen = {service: found[service]} if service else found
    positions = {}
    for name, path in chosen.items():
        text = path.read_bytes()
        positions[name] = len(text)
        shown = text.decode(errors="replace").splitlines()
        for line in shown[max(0, len(shown) - lines) :]:
            _print_line(name, line, len(chosen) > 1)
    # Ctrl-C is how a person ends this: nothing was interrupted.
    with contextlib.suppress(KeyboardInterrupt):
        while follow:
            time.sleep(0.3)
            for name, path in chosen.items():
                positions[name] = _print_new(name, path, positions[name], len(chosen) > 1)


def password(
    user: Annotated[str | None, typer.Argument(help="User; the first one when left out.", metavar="USER")] = None,
    site: SiteOption = Path("."),
) -> None:
    """Show the password of a user of the web page."""
    from orthweb.site.secrets import read_users

    described, paths = site_at(site)
    wanted = user or described.orthanc.users[0]
    users = read_users(paths)
    if wanted not in described.orthanc.users:
        raise InputError(f"{wanted}: no such user", f"orthanc.users has {', '.join(described.orthanc.users)}")
    if wanted not in users:
        raise Failure(f"{wanted}: has no password yet", "'orthweb up' makes one")
    sys.stdout.write(users[wanted] + "\n")


def _collect(described: Site, paths: SitePaths) -> dict[str, Any]:
    if engine_of(paths) == COMPOSE:
        from orthweb.host.own_status import own_status

        return own_status(described, paths)
    from orthweb.local.status import status as native_status

    return native_status(described, paths)


def _show_containers_logs(described: Site, paths: SitePaths, service: str | None, follow: bool, lines: int) -> None:
    from orthweb.host.own import OwnHost
    from orthweb.site.voice import Voice

    host = OwnHost(described, paths, Voice(lambda _: None, lambda _: None, lambda _: None))
    with contextlib.suppress(KeyboardInterrupt):
        host.logs(service, follow, lines)


def _print_new(name: str, path: Path, position: int, named: bool) -> int:
    size = path.stat().st_size
    with open(path, "rb") as file:
        # Smaller than before: it was rotated.
        file.seek(position if size >= position else 0)
        text = file.read()
        complete = text[: text.rfind(b"\n") + 1]
        for line in complete.decode(errors="replace").splitlines():
            _print_line(name, line, named)
        return (position if size >= position else 0) + len(complete)


def _print_line(name: str, line: str, named: bool) -> None:
    sys.stdout.write(f"{name}: {line}\n" if named else f"{line}\n")
    sys.stdout.flush()


def _show(state: dict[str, Any]) -> None:
    console = stdout()
    verdict = "healthy" if state["healthy"] else ("not healthy" if state["up"] else "down")
    console.print(
        f"[bold]{state['name']}[/] ({state['environment']}) is [{'green' if state['healthy'] else 'red'}]{verdict}[/]"
    )
    for line in state["addresses"]:
        console.print(f"  {line}")
    services = _table("SERVICE", "STATE", "PID", "UP FOR", "MEMORY")
    for row in state["services"]:
        services.add_row(
            row["name"],
            row["state"],
            str(row["pid"] or "-"),
            _duration(row["uptime_s"]),
            f"{row['memory_mb']} MB",
        )
    console.print(services)
    replicas = _table("REPLICA", "HEALTHY", "VERSION", "WEB", "DICOM")
    for row in state["replicas"]:
        marks = [_yes(row[key]) for key in ("healthy", "web", "dicom")]
        replicas.add_row(row["name"], marks[0], row["version"] or "-", marks[1], marks[2])
    if state["replicas"]:
        console.print(replicas)
    others = _table("LISTENER", "PORT", "OPEN", "BY")
    for row in state["listeners"]:
        others.add_row(row["field"], str(row["port"]), _yes(row["open"]), row["by"] or "-")
    console.print(others)
    certificates = _table("CERTIFICATE", "SUBJECT", "DAYS LEFT")
    for row in state["certificates"]:
        certificates.add_row(row["use"], row["subject"], str(row["days_left"]))
    console.print(certificates)
    disk = state["disk"]
    short = "" if disk["enough"] else ", which is too little"
    console.print(f"disk: {disk['free_gb']} GB free of {disk['total_gb']} GB{short}")


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    return Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)


def _yes(value: bool) -> str:
    return "[green]yes[/]" if value else "[red]no[/]"


def _duration(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 172800 else f"{seconds // 86400} days"

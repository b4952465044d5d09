"""`orthweb audit`: every row of the index against every object in the storage."""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orthweb.cli.console import JsonOption, SiteOption, amount, site_here, stderr, stdout
from orthweb.errors import Failure, InputError
from orthweb.site.mark import COMPOSE, engine_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from orthweb.audit.index import Index
    from orthweb.audit.objects import Storage
    from orthweb.audit.run import Settings
    from orthweb.audit.state import State
    from orthweb.site.model import Site
    from orthweb.site.paths import SitePaths
    from orthweb.validation.target import Inside

# A third to a tenth of what disks of servers give.
_RATE = 50.0
_MEGABYTE = 1e6
# So many are named of each kind; --json has all.
_MOST_NAMES = 20


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(audit)


def audit(
    md5: Annotated[
        bool, typer.Option("--md5", help="Also read every object and compare its MD5; takes as long as the disk does.")
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="MB/S", help="Read so much a second at most for --md5; 0 for no limit.", show_default=f"{_RATE:g}"
        ),
    ] = None,
    delete_orphans: Annotated[
        bool,
        typer.Option("--delete-orphans", help="Delete objects older than an hour that no row knows at either look."),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete them also when they are more than the index knows.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew, also when an interrupted audit could go on.")
    ] = False,
    site: SiteOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Compare the index with the storage: objects that are missing, of another size, or known to no row.

    Sizes are compared unless --md5 is given. What is interrupted goes on with the same command. The exit status is 1
    when something is missing, different, or left over from an interrupted store.
    """
    settings = _settings(md5, rate)
    if yes and not delete_orphans:
        raise InputError("--yes: there is nothing to agree to", "it goes with --delete-orphans")
    from orthweb.audit.index import connected
    from orthweb.audit.place import open_storage
    from orthweb.audit.report import good
    from orthweb.audit.run import audit as run
    from orthweb.audit.state import opened

    described, paths = site_here(site, "audit", "its index and bucket are reached by its hosts alone")
    inside, address = _inside(described, paths)
    storage = open_storage(inside.storage, paths.bucket)
    record = paths.state / "audit" / ("md5.sqlite" if md5 else "sizes.sqlite")
    schemas = [replica.configuration.get("PostgreSQL", {}).get("Schema") for replica in inside.replicas]
    with (
        opened(record, storage.address, restart) as state,
        connected(inside.database, next(filter(None, schemas), None)) as index,
    ):
        if state.resumed:
            since = time.strftime("%Y-%m-%d %H:%M", time.localtime(state.progress.begun))
            stderr().print(f"going on with the audit of {since}, which was interrupted", markup=False)
        with _progress(state) as show:
            run(state, index, storage, settings, show)
        if delete_orphans:
            _delete(state, index, storage, paths, yes)
        heading = {"site": described.name, "storage": storage.address, "compared": "md5" if md5 else "size"}
        (_print_json if as_json else _print)(state, index, address, heading)
        state.finished = True
        if not good(state):
            raise typer.Exit(1)


def _settings(md5: bool, rate: float | None) -> Settings:
    from orthweb.audit.run import Settings

    if rate is not None and not (math.isfinite(rate) and rate >= 0):
        raise InputError(f"--rate: {rate:g} is no rate", "give MB a second, or 0 for no limit")
    if rate is not None and not md5:
        raise InputError(f"--rate: {rate:g}: no object is read to compare sizes", "it goes with --md5")
    return Settings(md5, (_RATE if rate is None else rate) * _MEGABYTE)


def _inside(described: Site, paths: SitePaths) -> tuple[Inside, str]:
    """Give the view from inside of the site, and the address of its web page."""
    from orthweb.host.own_target import own_target
    from orthweb.local.target import local_target

    describe = own_target if engine_of(paths) == COMPOSE else local_target
    with tempfile.TemporaryDirectory(prefix="orthweb-") as scratch:
        target = describe(described, paths, Path(scratch))
    if target.inside is None:
        raise Failure(f"{described.name}: its index and storage can't be reached from here", "audit it where it runs")
    return target.inside, target.web.address


def _delete(state: State, index: Index, storage: Storage, paths: SitePaths, yes: bool) -> None:
    from orthweb.audit.findings import Kind
    from orthweb.audit.removal import refuse_to_empty, remove_orphans
    from orthweb.audit.state import Stage
    from orthweb.site.history import recorded
    from orthweb.site.lock import site_lock

    found = state.count(Stage.CONFIRMED)[Kind.ORPHAN] + state.count(Stage.REMOVING)[Kind.ORPHAN]
    if not found:
        return
    if not yes:
        refuse_to_empty(state)
    command = "audit --delete-orphans"
    # Only now: what took hours up to here changed nothing, and did not have to keep others waiting.
    with site_lock(paths, command), recorded(paths, command), _progress(state) as show:
        remove_orphans(state, index, storage, lambda done: show("deleting", done, found))


@contextmanager
def _progress(state: State) -> Iterator[Callable[[str, int, int], None]]:
    """Show how far it is on a terminal, and nothing elsewhere."""
    console = stderr()
    if not console.is_terminal:
        yield lambda what, done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("asking", total=None)

        def show(what: str, done: int, total: int) -> None:
            read = f", {amount(state.progress.bytes)} read" if state.progress.bytes else ""
            progress.update(task, completed=done, total=total, description=what + read)

        yield show


def _print(state: State, index: Index, address: str, heading: dict[str, str]) -> None:
    from orthweb.audit.findings import Kind
    from orthweb.audit.report import details, figures
    from orthweb.audit.state import Stage

    console, told = stdout(), figures(state)
    how = f"MD5s compared, {amount(told['bytes_read'])} read" if heading["compared"] == "md5" else "sizes compared"
    counts = f"{told['rows']} rows, {told['objects']} objects"
    console.print(f"{heading['site']}: {counts}, {how} in {told['seconds']} s", markup=False)
    for kind in Kind:
        if told[kind.word]:
            console.print(f"  {told[kind.word]} {kind.word}: {kind.meaning}", markup=False)
            for finding in details(state, index, address, kind, most=_MOST_NAMES):
                console.print(f"    {_line(finding)}", markup=False)
            if told[kind.word] > _MOST_NAMES:
                console.print(f"    and {told[kind.word] - _MOST_NAMES} more; --json names them all", markup=False)
            console.print(f"    -> {kind.remedy}", markup=False)
    if told["deleted"]:
        console.print(f"  {told['deleted']} orphans deleted", markup=False)
        for finding in details(state, index, address, Kind.ORPHAN, Stage.REMOVED, _MOST_NAMES):
            console.print(f"    {finding['name']}", markup=False)
    if told["without_md5"]:
        console.print(f"  {told['without_md5']} rows without an MD5: only their sizes were compared", markup=False)
    if told["good"]:
        console.print("  all is well", markup=False)


def _line(finding: dict[str, Any]) -> str:
    """A finding as a person reads it: the object, what is wrong with it, whose it is."""
    from orthweb.audit.files import printable

    said = [finding["name"]]
    if finding["kind"] == "size":
        said.append(f"{finding['size']} bytes instead of {finding['stated_size']}")
    if finding["kind"] == "md5":
        said.append(f"{finding['md5']} instead of {finding['stated_md5']}")
    if "detail" in finding:
        said.append(finding["detail"])
    if "address" in finding:
        said.append(f"PatientID {finding.get('PatientID') or '(none)'}")
        said.append(finding["address"])
    return printable(", ".join(said))


def _print_json(state: State, index: Index, address: str, heading: dict[str, str]) -> None:
    """Print all as one object, finding by finding: there may be a million."""
    from orthweb.audit.findings import Kind
    from orthweb.audit.report import details, figures
    from orthweb.audit.state import Stage

    write, before = sys.stdout.write, "\n"
    write("{\n")
    for name, value in {**heading, **figures(state)}.items():
        write(f"  {json.dumps(name)}: {json.dumps(value)},\n")
    write('  "findings": [')
    for stage in (Stage.CONFIRMED, Stage.REMOVED):
        for kind in Kind:
            for finding in details(state, index, address, kind, stage):
                write(f"{before}    {json.dumps({**finding, 'deleted': stage is Stage.REMOVED})}")
                before = ",\n"
    write("\n  ]\n}\n")

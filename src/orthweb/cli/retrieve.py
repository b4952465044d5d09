"""`orthweb get`: images of an archive into a folder, or to a device that the archive knows."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orthweb.cli.console import JsonOption, amount, print_json, stderr, stdout
from orthweb.cli.criteria import criteria
from orthweb.cli.destination import Destination, ae_title, destination
from orthweb.cli.query import calling
from orthweb.cli.shared_options import takes
from orthweb.errors import Failure, InputError

if TYPE_CHECKING:
    from orthweb.dicom.keys import Criteria
    from orthweb.transfer.download import Download
    from orthweb.transfer.moving import Moves

Show = Callable[[int, int, str], None]
# So many failures are shown; --json has all.
_MOST_FAILURES = 10
_SECONDS_BETWEEN = 0.1


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(get)


@takes(wanted=criteria, peer=destination)
def get(
    wanted: Criteria,
    peer: Destination,
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Where to put them, as STUDY/SERIES/INSTANCE.dcm.")
    ] = Path("."),
    again: Annotated[bool, typer.Option("--again", help="Also get what is in the folder already.")] = False,
    move_to: Annotated[
        str | None,
        typer.Option(metavar="AET", help="Have the archive send them to a device that it knows instead (C-MOVE)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Get images from an archive (C-GET): each as the archive keeps it, none that is in the folder already.

    What is interrupted goes on with the same command. The exit status is 1 when one instance is missing in the end.
    """
    from orthweb.dicom.keys import Criteria

    if wanted == Criteria():
        raise InputError(
            "nothing says what to get", "give --study, --patient-id or another of the options under --help"
        )
    if move_to is None:
        _download(peer, wanted, folder, again, as_json)
    else:
        _move(peer, wanted, ae_title("--move-to", move_to), as_json)


def _download(peer: Destination, wanted: Criteria, folder: Path, again: bool, as_json: bool) -> None:
    from orthweb.transfer.download import Download
    from orthweb.transfer.plan import plan

    _ensure_writable(folder)
    # What goes wrong with an instance is told in the end, in other words.
    logging.getLogger("orthweb.dicom").addHandler(logging.NullHandler())
    started = time.monotonic()
    with _progress() as show:
        with calling(peer):
            planned = plan(peer.peer, wanted, lambda done, total: show(done, total, "looking at series"))
        download = Download(peer.peer, folder, planned, again)
        download.told = lambda: show(len(download.arrived), download.wanted, f"getting  {amount(download.bytes)}")
        problem: Failure | None = None
        try:
            with calling(peer):
                download.run()
        except Failure as failure:
            problem = failure
    seconds = time.monotonic() - started
    if as_json:
        print_json(_summary(download, peer, seconds))
    else:
        _show(download, seconds)
    if download.trouble is not None:
        full = download.trouble.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "make room there" if full else "see that it can be written to"
        raise Failure(f"{folder}: {download.trouble.strerror}", f"{advice}, and give the same command again")
    if problem is not None:
        raise problem
    if not download.good:
        raise typer.Exit(1)


def _ensure_writable(folder: Path) -> None:
    from orthweb.dicom.folder import PART

    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".orthweb.{time.time_ns()}{PART}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written to: {error.strerror}", "give another folder") from None


def _show(download: Download, seconds: float) -> None:
    plan, console = download.plan, stdout()
    if not plan.series and not download.failures:
        stderr().print("nothing found", markup=False)
        return
    of = f"{_count(len(plan.series), 'series', 'series')} of {_count(plan.studies, 'study', 'studies')}"
    came = len(download.arrived)
    if came or not download.good:
        wanted = _count(max(download.wanted, came), "instance")
        rate = came / seconds if seconds else 0
        speed = f"{amount(download.bytes)} in {seconds:.1f} s, {rate:.0f} instances/s"
        console.print(f"{came} of {wanted} came, {of}: {speed}", markup=False)
    if download.there:
        console.print(f"{_count(download.there, 'instance')} of {of} were in {download.folder} already", markup=False)
    _show_failures(list(download.failures.values()))
    if download.absent:
        stderr().print(f"{_count(download.absent, 'instance')} did not come", markup=False)
    if not plan.complete:
        stderr().print("the archive did not tell all that it has: look for something narrower", markup=False)


def _show_failures(failures: list[str]) -> None:
    for failure in failures[:_MOST_FAILURES]:
        stderr().print(failure, markup=False)
    if len(failures) > _MOST_FAILURES:
        stderr().print(f"and {len(failures) - _MOST_FAILURES} more; --json names them all", markup=False)


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _summary(download: Download, peer: Destination, seconds: float) -> dict[str, Any]:
    return {
        "source": peer.name,
        "folder": str(download.folder),
        "studies": download.plan.studies,
        "series": len(download.plan.series),
        "instances": {
            "announced": download.plan.total,
            "there_before": download.there,
            "arrived": len(download.arrived),
            "absent": download.absent,
        },
        "bytes": download.bytes,
        "seconds": round(seconds, 3),
        "failures": list(download.failures.values()),
    }


def _move(peer: Destination, wanted: Criteria, title: str, as_json: bool) -> None:
    from orthweb.transfer.moving import Moves, move_all, to_move

    moves, problem = Moves(), None
    with _progress() as show:
        with calling(peer):
            keys, complete = to_move(peer.peer, wanted)
        try:
            with calling(peer):
                move_all(peer.peer, keys, title, moves, lambda: show(moves.moved, len(keys), _moving(moves)))
        except Failure as failure:
            problem = failure
    if as_json:
        counts = {"completed": moves.completed, "warning": moves.warning, "failed": moves.failed}
        told = {"source": peer.name, "destination": title, "requests": len(keys)}
        print_json({**told, "instances": counts, "failures": moves.failures})
    elif keys:
        sent = _count(moves.completed + moves.warning, "instance")
        stdout().print(f"{peer.name} sent {sent} to {title}", markup=False)
        _show_failures(moves.failures)
    else:
        stderr().print("nothing found", markup=False)
    if not complete:
        stderr().print("the archive did not tell all that it has: look for something narrower", markup=False)
    if problem is not None:
        raise problem
    if moves.failures or moves.failed or not complete:
        raise typer.Exit(1)


def _moving(moves: Moves) -> str:
    done = moves.completed + moves.warning + moves.current.completed + moves.current.warning
    return f"moving  {_count(done, 'instance')}"


@contextmanager
def _progress() -> Iterator[Show]:
    """Show how far it is on a terminal, and nothing elsewhere: done, of how many, and what is being done."""
    console = stderr()
    if not console.is_terminal:
        yield lambda done, total, what: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task, shown = progress.add_task("asking", total=None), 0.0

        def show(done: int, total: int, what: str) -> None:
            nonlocal shown
            if time.monotonic() - shown > _SECONDS_BETWEEN:
                shown = time.monotonic()
                progress.update(task, completed=done, total=total, description=what)

        yield show

"""`orthweb send`: DICOM files to this site or another archive."""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orthweb.cli.console import JsonOption, amount, print_json, stderr, stdout
from orthweb.cli.destination import Destination, destination
from orthweb.cli.shared_options import takes
from orthweb.errors import InputError

if TYPE_CHECKING:
    from rich.progress import Progress

    from orthweb.transfer.results import Tally
    from orthweb.transfer.sending import Sending
    from orthweb.transfer.sources import Found, Instance

# So many names are shown of each kind; --json has all.
_MOST_NAMES = 10


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(send)


@takes(peer=destination)
def send(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Files, folders, DICOMDIRs; - for a list of them on standard input."),
    ],
    peer: Destination,
    associations: Annotated[
        int | None,
        typer.Option(min=1, max=64, metavar="N", help="Associations at once; chosen by the round trip by default."),
    ] = None,
    retry_for: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="How long the archive's trouble may last before giving up."),
    ] = 120,
    again: Annotated[
        bool, typer.Option("--again", help="Also send what an earlier run that did not finish had accepted.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Send DICOM files with C-STORE, over TLS, several at once.

    What is interrupted goes on with the same command, and sends nothing twice. The exit status is 1 when one instance
    was not accepted.
    """
    from orthweb.transfer.journal import Journal
    from orthweb.transfer.results import Outcome, Result, Tally
    from orthweb.transfer.sending import Sending, Settings
    from orthweb.transfer.sources import find, read_list

    meant = [path for word in paths for path in (read_list(sys.stdin) if word == "-" else [word])]
    found = find(meant)
    if not found.instances:
        _show_skipped(found)
        raise InputError(f"{' '.join(paths)}: no DICOM file in it", "give DICOM files, or folders that hold some")
    journal = Journal(peer.state, peer.name, meant, again)
    before = [instance for instance in found.instances if journal.accepted(instance)]
    left = [instance for instance in found.instances if not journal.accepted(instance)]
    tally = Tally(len(found.instances), sum(instance.head.dataset_length for instance in left))
    for instance in before:
        tally.add(Result(instance, Outcome.BEFORE))
    sending = Sending(peer.peer, left, tally, Settings(associations, retry_for), journal.record)
    started = time.monotonic()
    complete = False
    reason = "interrupted"
    try:
        reason = _run(sending, tally, peer)
        complete = all(result.outcome.good for result in tally.results) and len(tally.results) == tally.total
    finally:
        journal.close(complete)
        tally.close(left, reason)
        seconds = time.monotonic() - started
        if as_json:
            print_json(_summary(tally, found, peer, seconds))
        else:
            _show(tally, found, peer, seconds)
    if not complete:
        raise typer.Exit(1)


def _run(sending: Sending, tally: Tally, peer: Destination) -> str:
    """Send with progress; returns why the rest was not sent, if it wasn't."""
    from orthweb.transfer.sending import Unreachable

    console = stderr()
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(tally, peer, over), name="progress")
    watcher.start()
    try:
        sending.run()
    except Unreachable as error:
        from orthweb.dicom.troubles import explain

        message, remedy = explain(error.cause, peer.peer)
        line = f"{peer.name}: {message}"
        over.set()
        watcher.join()
        console.print(f"orthweb: {line}{': ' + remedy if remedy else ''}", markup=False)
        return message
    finally:
        over.set()
        watcher.join()
    return ""


def _watch(tally: Tally, peer: Destination, over: threading.Event) -> None:
    """Show how far it is: a bar on a terminal, elsewhere only what the destination's trouble is."""
    console = stderr()
    if not console.is_terminal:
        told, ended = "", False
        while not ended:
            ended = over.wait(0.2)
            # Also one that was over between two looks; what a send ends with is told by the command itself.
            if tally.last_trouble != told and not (ended and tally.trouble):
                told = tally.last_trouble
                console.print(f"{peer.name}: {told}; trying again", markup=False)
        return
    with _progress() as progress:
        task = progress.add_task("sending", total=tally.total_bytes, instances="", trouble="")
        while not over.wait(0.1):
            _update(progress, task, tally)
        _update(progress, task, tally)


def _progress() -> Progress:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[instances]}"),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("[yellow]{task.fields[trouble]}"),
        console=stderr(),
        transient=True,
    )


def _update(progress: Progress, task: Any, tally: Tally) -> None:
    from rich.markup import escape

    done = sum(tally.counts().values())
    progress.update(
        task, completed=tally.bytes, instances=f"{done}/{tally.total}", trouble=escape(tally.trouble)
    )  # fmt: skip


def _summary(tally: Tally, found: Found, peer: Destination, seconds: float) -> dict[str, Any]:
    return {
        "destination": peer.name,
        "associations": tally.associations,
        "instances": {outcome.name.lower(): count for outcome, count in tally.counts().items()},
        "bytes": tally.bytes,
        "seconds": round(seconds, 3),
        "results": [
            {
                "path": result.instance.path,
                "sop_instance": result.instance.head.sop_instance,
                "outcome": result.outcome.name.lower(),
                "status": None if result.status is None else f"{result.status:04X}H",
                "reason": result.reason,
            }
            for result in tally.results
        ],
        "skipped": [{"path": path, "reason": reason} for path, reason in found.skipped],
    }


def _show(tally: Tally, found: Found, peer: Destination, seconds: float) -> None:
    from orthweb.transfer.results import Outcome

    console = stdout()
    _show_skipped(found)
    counts = tally.counts()
    rate = (counts[Outcome.ACCEPTED] + counts[Outcome.WARNING]) / seconds if seconds else 0
    number = f"{tally.associations} association{'' if tally.associations == 1 else 's'}"
    console.print(
        f"{peer.name}: {amount(tally.bytes)} in {seconds:.1f} s over {number}, {rate:.0f} instances/s",
        markup=False,
    )
    by_reason: dict[tuple[Outcome, str], list[Instance]] = defaultdict(list)
    for result in tally.results:
        by_reason[result.outcome, result.reason].append(result.instance)
    for outcome in Outcome:
        for (known, reason), instances in by_reason.items():
            if known is outcome:
                console.print(f"  {len(instances)} {outcome.value}{': ' + reason if reason else ''}", markup=False)
                if not outcome.good:
                    _show_names([instance.path for instance in instances])
    if any(not outcome.good for outcome in counts):
        stderr().print("the same command sends what is missing", markup=False)


def _show_skipped(found: Found) -> None:
    console = stderr()
    for path, reason in found.skipped[:_MOST_NAMES]:
        console.print(f"skipped {path}: {reason}", markup=False)
    more = len(found.skipped) - _MOST_NAMES
    if more > 0:
        console.print(f"skipped {more} more; --json names them all", markup=False)


def _show_names(names: list[str]) -> None:
    console = stdout()
    for name in names[:_MOST_NAMES]:
        console.print(f"    {name}", markup=False)
    if len(names) > _MOST_NAMES:
        console.print(f"    and {len(names) - _MOST_NAMES} more; --json names them all", markup=False)

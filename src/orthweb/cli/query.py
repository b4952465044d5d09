"""`orthweb echo | find`: whether an archive answers, and what it has."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from orthweb.cli.console import JsonOption, print_json, stderr, stdout, warn
from orthweb.cli.criteria import criteria
from orthweb.cli.destination import Destination, destination
from orthweb.cli.shared_options import takes
from orthweb.errors import Failure, InputError

if TYPE_CHECKING:
    from pydicom import Dataset

    from orthweb.dicom.keys import Criteria
    from orthweb.dicom.requestor import Requestor

Level = Literal["patient", "study", "series", "image"]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(echo)
    app.command()(find)


@contextmanager
def calling(peer: Destination, asks: bool = True) -> Iterator[None]:
    """Turn what goes wrong between the peer and us into one line for a person; raises Failure.

    Parameters
    ----------
    asks:
        The peer is asked for what it has, which archives tell only to those that they know.
    """
    from orthweb.dicom.errors import AssociationAborted, DicomError

    try:
        yield
    except (DicomError, OSError) as error:
        from orthweb.dicom.troubles import explain

        message, remedy = explain(error, peer.peer)
        if asks and isinstance(error, AssociationAborted):
            title = peer.peer.calling_ae_title
            remedy = f"it may answer only AE titles that it lists, so have {title} listed (a site: orthanc.modalities)"
        raise Failure(f"{peer.name}: {message}", remedy) from None


@takes(peer=destination)
def echo(
    peer: Destination,
    count: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="So many times on one association.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Ask an archive whether it is there (C-ECHO), and say how the association came about.

    The exit status is 1 when it is not, with the reason in words.
    """
    from orthweb.dicom.requestor import Requestor
    from orthweb.dicom.statuses import SUCCESS, words
    from orthweb.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

    times: list[float] = []
    with calling(peer, asks=False):
        proposal = (VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN))
        started = time.perf_counter()
        with Requestor(peer.peer, [proposal]) as requestor:
            set_up = (time.perf_counter() - started) * 1000
            for _ in range(count):
                began = time.perf_counter()
                status = requestor.echo()
                times.append((time.perf_counter() - began) * 1000)
                if status != SUCCESS:
                    raise Failure(f"{peer.name}: answers C-ECHO with {words(status)}")
    if as_json:
        measured = {"set_up_ms": round(set_up, 3), "echo_ms": [round(each, 3) for each in times]}
        print_json(_negotiated(peer, requestor) | measured)
        return
    facts = f"{_facts(requestor)}, association in {set_up:.1f} ms"
    stdout().print(f"{peer.name} answers{_round_trips(times)}: {facts}", markup=False)


@takes(wanted=criteria, peer=destination)
def find(
    wanted: Criteria,
    peer: Destination,
    level: Annotated[Level, typer.Option(help="What to list.")] = "study",
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Stop after so many matches.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List what an archive has (C-FIND): patients, studies, series or images.

    Without an option that says what to look for, everything is listed. The exit status is 0 also when that is nothing.
    """
    from orthweb.cli.matches import as_data, show

    _check_level(level, wanted)
    with calling(peer):
        matches, complete = _matches(peer, level, wanted, limit)
    if as_json:
        print_json([as_data(match) for match in matches])
    elif matches:
        show(level.upper(), matches)
    if not matches:
        stderr().print("nothing found", markup=False)
    if len(matches) == limit:
        stderr().print(f"stopped after {limit}; there may be more", markup=False)
    elif not complete:
        warn("the archive ended the query before it told all: there is more, so look for something narrower")


def _check_level(level: Level, wanted: Criteria) -> None:
    if wanted.of_series and level in ("patient", "study"):
        option = "--series" if wanted.series else "--series-description"
        raise InputError(f"{option}: says nothing about a {level}", "add --level series, or --level image")
    if level == "patient" and (
        wanted.accession or wanted.date or wanted.description or wanted.modality or wanted.studies
    ):
        raise InputError(
            "--level patient: takes --patient-id and --patient-name only", "leave out what is about studies"
        )


def _matches(peer: Destination, level: Level, wanted: Criteria, limit: int | None) -> tuple[list[Dataset], bool]:
    from orthweb.cli.matches import in_order
    from orthweb.transfer.hierarchy import Archive

    with Archive(peer.peer, patients=level == "patient") as archive:
        match level:
            case "patient":
                matches = archive.patients(wanted, limit)
            case "study":
                matches = archive.studies(wanted, limit)
            case "series":
                matches = archive.series(wanted, limit)
            case "image":
                matches = archive.images(wanted, limit)
        return in_order(matches), archive.complete


def _round_trips(times: list[float]) -> str:
    if len(times) == 1:
        return f" in {times[0]:.1f} ms"
    spread = " / ".join(f"{value:.1f}" for value in (min(times), statistics.median(times), max(times)))
    return f" {len(times)} times in {spread} ms (least / median / most)"


def _facts(requestor: Requestor) -> str:
    from orthweb.cli.matches import printable

    information = requestor.accepted.user_information
    software = information.implementation_version or information.implementation_class or "unnamed software"
    longest = f"PDUs up to {information.maximum_length} bytes" if information.maximum_length else "PDUs of any length"
    return f"{requestor.tls_version or 'no TLS'}, {printable(software)}, {longest}"


def _negotiated(peer: Destination, requestor: Requestor) -> dict[str, Any]:
    information = requestor.accepted.user_information
    return {
        "destination": peer.name,
        "calling_ae_title": peer.peer.calling_ae_title,
        "tls": requestor.tls_version,
        "implementation_class": information.implementation_class,
        "implementation_version": information.implementation_version,
        "maximum_length": information.maximum_length,
    }

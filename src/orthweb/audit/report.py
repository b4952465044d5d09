"""What an audit tells: its figures, and every finding with whom it belongs to; as values that become JSON or text."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from orthweb.audit.files import shown
from orthweb.audit.findings import Finding, Kind
from orthweb.audit.index import Index, Owner
from orthweb.audit.state import Stage, State

_IDENTIFIERS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_FIGURES = ("stated_size", "size", "stated_md5", "md5", "filetype", "detail")


def good(state: State) -> bool:
    """Whether nothing is wrong with the site, once the orphans that were to be deleted are."""
    return not any(kind.fault for kind in state.count(Stage.CONFIRMED))


def figures(state: State) -> dict[str, Any]:
    """Give the numbers of an audit."""
    progress, found = state.progress, state.count(Stage.CONFIRMED)
    return {
        "begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(progress.begun)),
        "rows": progress.rows,
        "objects": progress.objects,
        **{kind.word: found[kind] for kind in Kind},
        "deleted": state.count(Stage.REMOVED)[Kind.ORPHAN],
        "without_md5": progress.without_md5,
        "bytes_read": progress.bytes,
        "seconds": round(progress.seconds, 1),
        "good": good(state),
    }


def details(
    state: State, index: Index, address: str, kind: Kind, stage: Stage = Stage.CONFIRMED, most: int | None = None
) -> Iterator[dict[str, Any]]:
    """Go through the findings of a kind.

    Parameters
    ----------
    address:
        Of the site's web page, without a slash at the end.
    most:
        Not more than so many; all when None.
    """
    found = (each for portion in state.portions(stage, kind) for each in _portion(portion, index, address))
    return islice(found, most)


def _portion(portion: list[Finding], index: Index, address: str) -> Iterator[dict[str, Any]]:
    numbers = {finding.row for finding in portion if finding.row is not None}
    owners = index.owners(numbers) if numbers else {}
    for finding in portion:
        told: dict[str, Any] = {"kind": finding.kind.word, "name": shown(finding.name)}
        told |= {name: value for name in _FIGURES if (value := getattr(finding, name)) not in (None, "")}
        owner = owners.get(finding.row) if finding.row is not None else None
        yield told | (_owner(owner, address) if owner else {})


def _owner(owner: Owner, address: str) -> dict[str, Any]:
    return {
        "level": owner.level,
        "orthanc_id": owner.orthanc_id,
        **dict(zip(_IDENTIFIERS, owner.identifiers, strict=False)),
        "address": f"{address}/app/explorer.html#{owner.level}?uuid={owner.orthanc_id}",
    }

"""Has an archive send what is looked for to a device that it knows (C-MOVE)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pydicom import Dataset

from orthweb.dicom.errors import OperationFailed
from orthweb.dicom.keys import Criteria, identifier, text_of
from orthweb.dicom.requestor import Peer, Requestor
from orthweb.dicom.retrieve import MOVE_PROPOSAL, SubOperations, move
from orthweb.transfer.hierarchy import Archive


@dataclass
class Moves:
    """What the archive sent, and how far it is."""

    completed: int = 0
    warning: int = 0
    failed: int = 0
    moved: int = 0
    """Studies or series that are through."""
    current: SubOperations = field(default_factory=SubOperations)
    failures: list[str] = field(default_factory=list)
    """In words, with the study or series."""


def to_move(peer: Peer, criteria: Criteria) -> tuple[list[Dataset], bool]:
    """The identifiers of whole studies, or of series where only some are meant; and whether the archive told all."""
    with Archive(peer) as archive:
        whole = not criteria.of_series and not criteria.modality
        matches = archive.studies(criteria) if whole else archive.series(criteria)
        return [_keys(match, whole) for match in matches], archive.complete


def _keys(match: Dataset, whole: bool) -> Dataset:
    keywords = ["StudyInstanceUID", *([] if whole else ["SeriesInstanceUID"])]
    values = {keyword: text_of(match, keyword) for keyword in keywords}
    return identifier("STUDY" if whole else "SERIES", values, returned=False)


def move_all(peer: Peer, wanted: Sequence[Dataset], destination: str, moves: Moves, told: Callable[[], None]) -> None:
    """Have them sent one after the other.

    Parameters
    ----------
    moves:
        Keeps the count; what the archive says that it could not send is a failure in it.
    told:
        Is called when the count has changed.

    Raises
    ------
    What `Requestor` and `move` raise, but for OperationFailed.
    """

    def progress(current: SubOperations, _: int) -> None:
        moves.current = current
        told()

    with Requestor(peer, [MOVE_PROPOSAL]) as requestor:
        for keys in wanted:
            level = keys.QueryRetrieveLevel
            name = f"{level.lower()} {text_of(keys, 'SeriesInstanceUID') or text_of(keys, 'StudyInstanceUID')}"
            try:
                done = move(requestor, keys, destination, progress)
            except OperationFailed as error:
                moves.failures.append(f"{name}: {error}")
                done = moves.current
            else:
                if done.failed:
                    moves.failures.append(f"{name}: {done.failed} of {done.total} instances were not sent")
            moves.completed += done.completed
            moves.warning += done.warning
            moves.failed += done.failed
            moves.moved += 1
            moves.current = SubOperations()

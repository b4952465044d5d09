"""Brings what an archive has into a folder, and leaves out what is there: FOLDER/study/series/instance.dcm."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

from pydicom import Dataset, dcmread

from orthweb.dicom.errors import OperationFailed
from orthweb.dicom.folder import INVALID_SOP_INSTANCE, PART, FileSink, valid_uid
from orthweb.dicom.keys import identifier, text_of
from orthweb.dicom.query import UNREADABLE, lenient
from orthweb.dicom.reception import Sink, StoreRequest
from orthweb.dicom.requestor import Peer, Proposal, Requestor
from orthweb.dicom.retrieve import SubOperations, get, getting
from orthweb.dicom.statuses import OUT_OF_RESOURCES
from orthweb.dicom.storage_contexts import (
    ENCAPSULATED_SYNTAXES,
    USUAL_SYNTAXES,
    Needs,
    grouped,
    guesses,
    merged,
    proposals,
)
from orthweb.transfer.plan import Plan, Series

# A list of UIDs has at most 65,534 bytes in explicit VR.
_MOST_UIDS = 500
# So many instances may still come after it was said that there is no room.
_MOST_REFUSED = 3


@dataclass
class Download:
    """What is brought into a folder, and how far it is. Another thread may look at the counts."""

    peer: Peer
    folder: Path
    plan: Plan
    again: bool = False
    there: int = 0
    """Instances that were in the folder before."""
    arrived: set[str] = field(default_factory=set)
    """SOP Instance UIDs of what came."""
    bytes: int = 0
    """Bytes of datasets that came, also of instances that are not whole yet."""
    failures: dict[str, str] = field(default_factory=dict)
    """In words, by the UID that they are about."""
    trouble: OSError | None = None
    """Why an instance could not be kept."""
    told: Callable[[], None] = lambda: None
    """Is called when some of these have changed."""

    def __post_init__(self) -> None:
        self._wanted = {each.uid: self._missing(each) for each in self.plan.series}
        self._refused = 0
        self.failures |= {uid: f"the archive names {uid!r}, which is no UID" for uid in self.plan.unusable}
        self.there = self.plan.total - self.wanted

    @property
    def wanted(self) -> int:
        """Instances that the archive told and that were not in the folder."""
        return sum(len(uids) for uids in self._wanted.values())

    @property
    def absent(self) -> int:
        """Of those, the ones that have not come."""
        return sum(uid not in self.arrived for uids in self._wanted.values() for uid in uids)

    @property
    def good(self) -> bool:
        """All that the archive has is in the folder now."""
        return not self.failures and not self.absent and self.trouble is None and self.plan.complete

    def run(self) -> None:
        """Bring it, series by series.

        Raises
        ------
        OSError
            An instance cannot be kept, or the connection cannot be made.
        What `Requestor` and `get` raise; what has come stays, but for OperationFailed, which is kept as a failure.
        """
        left = [each for each in self.plan.series if self._wanted[each.uid] or not each.complete]
        for members, contexts in _associations(left, USUAL_SYNTAXES):
            self._bring_all(members, contexts)
        # Some archives send a class on the first context that they took for it, and what is kept compressed can't go on
        # one that isn't: so the compressed ones are offered alone.
        left = [each for each in left if each.uid in self.failures and not each.syntaxes_known]
        for members, contexts in _associations(left, ENCAPSULATED_SYNTAXES):
            self._bring_all(members, contexts)

    def _bring_all(self, members: Sequence[Series], contexts: Sequence[Proposal]) -> None:
        with getting(self.peer, contexts) as requestor:
            for each in members:
                self._bring(requestor, each)

    def _missing(self, series: Series) -> list[str]:
        folder = self._folder_of(series)
        return [uid for uid in series.instances if self.again or not (folder / f"{uid}.dcm").exists()]

    def _folder_of(self, series: Series) -> Path:
        return self.folder / series.study / series.uid

    def _bring(self, requestor: Requestor, series: Series) -> None:
        with self.watched():
            folder = self._folder_of(series)
            folder.mkdir(parents=True, exist_ok=True)
            _remove_remains(folder, self.peer.limits.idle_seconds)
        self.failures.pop(series.uid, None)
        for keys in self._requests(series):
            before = len(self.arrived)
            try:
                done = get(
                    requestor,
                    keys,
                    lambda request: self._open(request, series),
                    self._progress,
                    lambda: self.trouble is not None,
                )
            except OperationFailed as error:
                self.failures[series.uid] = f"series {series.uid}: {error}"
            else:
                came = len(self.arrived) - before
                if done.failed or came < done.total:
                    self.failures[series.uid] = f"series {series.uid}: {came} of {done.total} announced instances came"
            if self.trouble is not None:
                raise self.trouble

    def _progress(self, _: SubOperations, size: int) -> None:
        self.bytes += size
        self.told()
        if self.trouble is not None and self._refused > _MOST_REFUSED:
            # It goes on sending although it was told not to.
            raise self.trouble

    def _requests(self, series: Series) -> Iterator[Dataset]:
        """Whole series at once; of one that is partly there, the rest by name."""
        keys = {"StudyInstanceUID": series.study, "SeriesInstanceUID": series.uid}
        missing = [uid for uid in self._wanted[series.uid] if uid not in self.arrived]
        if not series.complete or len(missing) == len(series.instances):
            yield identifier("SERIES", keys, returned=False)
            return
        for at in range(0, len(missing), _MOST_UIDS):
            yield identifier("IMAGE", {**keys, "SOPInstanceUID": missing[at : at + _MOST_UIDS]}, returned=False)

    def _open(self, request: StoreRequest, series: Series) -> Sink | int:
        if self.trouble is not None:
            self._refused += 1
            return OUT_OF_RESOURCES
        if not valid_uid(request.sop_instance):
            return INVALID_SOP_INSTANCE

        def place(part: Path) -> Path:
            announced = request.sop_instance in series.instances
            folder = self._folder_of(series) if announced else self._read_folder(part, series)
            return folder / f"{request.sop_instance}.dcm"

        with self.watched():
            sink = FileSink(request, self._folder_of(series), place, durable=True)
        return _Watched(self, sink, request.sop_instance)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Remember why something cannot be kept."""
        try:
            yield
        except OSError as error:
            self.trouble = error
            raise

    def _read_folder(self, part: Path, series: Series) -> Path:
        """Where an instance that was not announced belongs: it says so, or came with what was asked for."""
        try:
            with lenient():
                head = dcmread(part, stop_before_pixels=True, specific_tags=["StudyInstanceUID", "SeriesInstanceUID"])
                uids = text_of(head, "StudyInstanceUID"), text_of(head, "SeriesInstanceUID")
        except UNREADABLE:
            return self._folder_of(series)
        if not all(valid_uid(uid) for uid in uids):
            return self._folder_of(series)
        folder = self.folder.joinpath(*uids)
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@dataclass
class _Watched:
    """A sink that tells the download what became of it."""

    download: Download
    sink: FileSink
    instance: str

    def write(self, views: Sequence[memoryview]) -> None:
        with self.download.watched():
            self.sink.write(views)

    def finish(self) -> int:
        with self.download.watched():
            status = self.sink.finish()
        self.download.arrived.add(self.instance)
        return status

    def discard(self) -> None:
        self.sink.discard()


def _remove_remains(folder: Path, seconds: float) -> None:
    """Remove what a download that was killed left: nothing that still comes is silent for so long."""
    for part in folder.glob(f".*{PART}"):
        with suppress(FileNotFoundError):
            if time.time() - part.stat().st_mtime > seconds:
                part.unlink()


def _associations(
    series: Sequence[Series], syntaxes: Sequence[str]
) -> Iterator[tuple[list[Series], Sequence[Proposal]]]:
    """The series of each association, and the presentation contexts that it needs."""
    known = [(each, each.needs) for each in series if each.needs is not None]
    for members in grouped([needs for _, needs in known]):
        needs: Needs = reduce(merged, (known[number][1] for number in members))
        yield [known[number][0] for number in members], proposals(needs, syntaxes)
    unknown = [each for each in series if each.needs is None]
    for modality in dict.fromkeys(each.modality for each in unknown):
        yield [each for each in unknown if each.modality == modality], guesses(modality, syntaxes)

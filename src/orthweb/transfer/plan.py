"""Asks an archive what it has of that which is to be brought: series, with their instances and SOP classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pydicom import Dataset

from orthweb.dicom.folder import valid_uid
from orthweb.dicom.keys import Criteria, text_of, values_of
from orthweb.dicom.requestor import Peer
from orthweb.dicom.storage_contexts import Needs, merged
from orthweb.transfer.hierarchy import Archive


@dataclass(frozen=True)
class Series:
    """A series of an archive.

    Parameters
    ----------
    instances:
        SOP Instance UIDs, as far as the archive told them.
    needs:
        SOP classes with their transfer syntaxes; None where the archive does not tell them.
    complete:
        The archive told all its instances; where it did not, the whole series is asked for.
    """

    study: str
    uid: str
    modality: str
    instances: tuple[str, ...]
    needs: Needs | None
    complete: bool

    @property
    def syntaxes_known(self) -> bool:
        """The archive tells the transfer syntaxes of all its instances."""
        return self.needs is not None and all(self.needs.values())


@dataclass(frozen=True)
class Plan:
    """What is to be brought.

    Parameters
    ----------
    complete:
        The archive told all that it has of it.
    unusable:
        UIDs that it told and that are none.
    """

    series: tuple[Series, ...]
    complete: bool
    unusable: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Instances that the archive told."""
        return sum(len(each.instances) for each in self.series)

    @property
    def studies(self) -> int:
        """How many studies the series are of."""
        return len({each.study for each in self.series})


def plan(peer: Peer, criteria: Criteria, looked: Callable[[int, int], None] = lambda done, total: None) -> Plan:
    """Ask an archive what it has.

    Parameters
    ----------
    looked:
        Is told how many series were looked at, and of how many.

    Raises
    ------
    What `Requestor` and `find` raise, but for Incomplete.
    """
    with Archive(peer) as archive:
        matches = archive.series(criteria)
        complete, found = archive.complete, list[Series]()
        unusable, classes = list[str](), dict[str, tuple[str, ...]]()
        for match in matches:
            archive.complete = True
            images = archive.images_of(match)
            uids = [text_of(match, "StudyInstanceUID"), text_of(match, "SeriesInstanceUID")]
            bad = [
                uid for uid in (*uids, *(text_of(image, "SOPInstanceUID") for image in images)) if not valid_uid(uid)
            ]
            unusable += bad
            if set(bad) & set(uids):
                continue
            found.append(_series(match, images, archive.complete and bool(images)))
            if found[-1].needs is None:
                if uids[0] not in classes:
                    classes[uids[0]] = archive.sop_classes(uids[0])
                needs: Needs = {sop_class: frozenset() for sop_class in classes[uids[0]]}
                found[-1] = replace(found[-1], needs=needs or None)
            looked(len(found), len(matches))
        return Plan(tuple(found), complete, tuple(unusable))


def _series(match: Dataset, images: Sequence[Dataset], complete: bool) -> Series:
    needs: Needs | None = {}
    for image in images:
        sop_class = text_of(image, "SOPClassUID")
        if not sop_class or needs is None:
            needs = None
        else:
            needs = merged(needs, {sop_class: frozenset(values_of(image, "AvailableTransferSyntaxUID"))})
    told = dict.fromkeys(text_of(image, "SOPInstanceUID") for image in images)
    uids = tuple(uid for uid in told if valid_uid(uid))
    study, uid = text_of(match, "StudyInstanceUID"), text_of(match, "SeriesInstanceUID")
    return Series(study, uid, text_of(match, "Modality"), uids, needs or None, complete)

"""Walks down an archive level by level, as the standard lets every archive demand it (PS3.4 C.4.1.2.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType

from pydicom import Dataset

from orthweb.dicom.keys import (
    Criteria,
    fits_series,
    fits_study,
    identifier,
    patient_level,
    series_level,
    study_level,
    text_of,
    values_of,
)
from orthweb.dicom.query import Incomplete, find, find_proposal, lenient
from orthweb.dicom.requestor import Peer, Requestor
from orthweb.dicom.uids import PATIENT_ROOT_FIND

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Archive:
    """Queries on one association; use it as a context manager.

    `complete` is false once the archive ended a query before it told all matches.
    """

    def __init__(self, peer: Peer, patients: bool = False) -> None:
        """Negotiate; raises what `Requestor` raises."""
        self.requestor = Requestor(peer, [find_proposal(), *([find_proposal(PATIENT_ROOT_FIND)] if patients else [])])
        self.complete = True

    def __enter__(self) -> Archive:
        self.requestor.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.requestor.__exit__(kind, *rest)

    def patients(self, criteria: Criteria, limit: int | None = None) -> list[Dataset]:
        """The patients that are looked for; this and the others raise what `find` raises, but for Incomplete."""
        return self._all(find(self.requestor, patient_level(criteria), limit, PATIENT_ROOT_FIND))

    def studies(self, criteria: Criteria, limit: int | None = None) -> list[Dataset]:
        """The studies that are looked for; of a series' description and UID nothing is asked."""
        fits = partial(fits_study, criteria=criteria)
        found = self._all(find(self.requestor, study_level(criteria), limit, fits=fits))
        if not criteria.modality:
            return found
        kept = [study for study in found if self._has_modality(study, criteria.modality)]
        if len(kept) < len(found) == limit:
            # The archive passes over the modality: what it told first need not hold those that are looked for.
            return self.studies(criteria)[:limit]
        return kept

    def series(self, criteria: Criteria, limit: int | None = None) -> list[Dataset]:
        """The series that are looked for, of the studies that are."""
        if criteria.series and not criteria.of_study:
            return self._series("", criteria, limit)
        # Every study has a series, so as many studies are enough, where each of their series fits.
        enough = None if criteria.of_series or criteria.modality else limit
        studies = self.studies(criteria, enough)
        return _below(studies, lambda study, left: self._series(_study(study), criteria, left), limit)

    def images(self, criteria: Criteria, limit: int | None = None) -> list[Dataset]:
        """The instances of the series that are looked for."""
        return _below(self.series(criteria, limit), self.images_of, limit)

    def images_of(self, series: Dataset, limit: int | None = None) -> list[Dataset]:
        """The instances of a series."""
        keys = {keyword: text_of(series, keyword) for keyword in ("StudyInstanceUID", "SeriesInstanceUID")}
        return self._all(find(self.requestor, identifier("IMAGE", keys), limit), keys)

    def sop_classes(self, study: str) -> tuple[str, ...]:
        """The SOP classes of a study's instances, where the archive tells them of a study."""
        keys = identifier("STUDY", {"StudyInstanceUID": study, "SOPClassesInStudy": ""}, returned=False)
        matches = self._all(find(self.requestor, keys))
        return values_of(matches[0], "SOPClassesInStudy") if matches else ()

    def _series(self, study: str, criteria: Criteria, limit: int | None) -> list[Dataset]:
        matches = find(
            self.requestor, series_level(criteria, study), limit, fits=partial(fits_series, criteria=criteria)
        )
        return self._all(matches, {"StudyInstanceUID": study} if study else {})

    def _has_modality(self, study: Dataset, modality: str) -> bool:
        """Where the archive tells no modalities of studies, its series tell."""
        told = values_of(study, "ModalitiesInStudy")
        return modality in told if told else bool(self._series(_study(study), Criteria(modality=modality), 1))

    def _all(self, matches: Iterator[Dataset], known: Mapping[str, str] = _NOTHING) -> list[Dataset]:
        """All matches, with the keys that are `known` of them also where the archive leaves them out."""
        found = []
        try:
            for match in matches:
                with lenient():
                    for keyword, value in known.items():
                        if not text_of(match, keyword):
                            setattr(match, keyword, value)
                found.append(match)
        except Incomplete:
            self.complete = False
        return found


def _below(
    parents: list[Dataset], matches: Callable[[Dataset, int | None], list[Dataset]], limit: int | None
) -> list[Dataset]:
    """What `matches` finds below each of the parents, at most `limit` in all."""
    found: list[Dataset] = []
    for parent in parents:
        left = None if limit is None else limit - len(found)
        if left == 0:
            break
        found += matches(parent, left)
    return found


def _study(match: Dataset) -> str:
    return text_of(match, "StudyInstanceUID")

"""What to ask an archive for, and the identifiers that ask it, level by level (PS3.4 annex C.6)."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydicom import Dataset, config
from pydicom.multival import MultiValue

UNIQUE = {"PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
"""The unique key of each level, by its keyword."""
_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
RETURNED = {
    "PATIENT": (*_PATIENT, "NumberOfPatientRelatedStudies"),
    "STUDY": (
        *_PATIENT,
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "ModalitiesInStudy",
        "StudyDescription",
        "StudyInstanceUID",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
    ),
    "SERIES": (
        "StudyInstanceUID",
        "SeriesNumber",
        "Modality",
        "SeriesDescription",
        "BodyPartExamined",
        "SeriesInstanceUID",
        "NumberOfSeriesRelatedInstances",
    ),
    "IMAGE": (
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "InstanceNumber",
        "SOPClassUID",
        "AvailableTransferSyntaxUID",
        "SOPInstanceUID",
    ),
}
"""Keywords of the attributes that a query of each level asks for."""


@dataclass(frozen=True)
class Criteria:
    """What is looked for; what is empty does not matter.

    Parameters
    ----------
    patient_id, patient_name, accession, description, series_description:
        May hold the wildcards * and ?.
    date:
        A date or range of dates as the standard writes it: 20260131, 20260101-20260131, 20260101- or -20260131.
    """

    patient_id: str = ""
    patient_name: str = ""
    accession: str = ""
    date: str = ""
    description: str = ""
    modality: str = ""
    series_description: str = ""
    studies: tuple[str, ...] = ()
    series: tuple[str, ...] = ()

    @property
    def of_study(self) -> bool:
        """Something is said about studies, apart from their modality."""
        return any((self.patient_id, self.patient_name, self.accession, self.date, self.description, self.studies))

    @property
    def of_series(self) -> bool:
        """Something is said that only series have."""
        return any((self.series_description, self.series))


def study_level(criteria: Criteria) -> Dataset:
    """The identifier that looks for studies."""
    values: dict[str, Sequence[str]] = {
        "PatientID": criteria.patient_id,
        "PatientName": criteria.patient_name,
        "AccessionNumber": criteria.accession,
        "StudyDate": criteria.date,
        "StudyDescription": criteria.description,
        "ModalitiesInStudy": criteria.modality,
        "StudyInstanceUID": list(criteria.studies),
    }
    return identifier("STUDY", values)


def patient_level(criteria: Criteria) -> Dataset:
    """The identifier that looks for patients."""
    return identifier("PATIENT", {"PatientID": criteria.patient_id, "PatientName": criteria.patient_name})


def series_level(criteria: Criteria, study: str) -> Dataset:
    """The identifier that looks for series of a study; without one in all, which not every archive does."""
    values: dict[str, Sequence[str]] = {
        "StudyInstanceUID": study,
        "SeriesInstanceUID": list(criteria.series),
        "Modality": criteria.modality,
        "SeriesDescription": criteria.series_description,
    }
    return identifier("SERIES", values)


def identifier(level: str, values: Mapping[str, Sequence[str]], returned: bool = True) -> Dataset:
    """Make an identifier.

    Parameters
    ----------
    values:
        By keyword.
    returned:
        Also ask for what a query of this level tells.
    """
    made = Dataset()
    # A range or a wildcard is no valid date or UID.
    with config.disable_value_validation():
        made.QueryRetrieveLevel = level
        for keyword in (*(RETURNED[level] if returned else ()), *values):
            setattr(made, keyword, values.get(keyword, ""))
    if not all(text.isascii() for value in values.values() for text in value):
        made.SpecificCharacterSet = "ISO_IR 192"
    return made


def fits_study(match: Dataset, criteria: Criteria) -> bool:
    """Whether a study is one that is looked for, by the keys that an archive need not support (PS3.4 table C.6-5)."""
    modalities = values_of(match, "ModalitiesInStudy")
    return _matches(match, "StudyDescription", criteria.description) and (
        not criteria.modality or not modalities or criteria.modality in modalities
    )


def fits_series(match: Dataset, criteria: Criteria) -> bool:
    """Whether a series is one that is looked for, by keys that an archive may pass over."""
    return _matches(match, "SeriesDescription", criteria.series_description) and (
        not criteria.modality or text_of(match, "Modality") in ("", criteria.modality)
    )


def text_of(match: Dataset, keyword: str) -> str:
    """A value as text; empty where there is none."""
    return "\\".join(values_of(match, keyword))


def values_of(match: Dataset, keyword: str) -> tuple[str, ...]:
    """All values of an attribute as text."""
    value = match.get(keyword)
    if value is None or value == "":
        return ()
    values = value if isinstance(value, MultiValue | list) else [value]
    return tuple(str(one).strip() for one in values)


def _matches(match: Dataset, keyword: str, pattern: str) -> bool:
    # Square brackets are wildcards of fnmatch only.
    escaped = pattern.casefold().replace("[", "[[]")
    return not pattern or fnmatch.fnmatchcase(text_of(match, keyword).casefold(), escaped)

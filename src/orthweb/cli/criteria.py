"""The options that say what of an archive is meant: patient, study, series, dates."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from orthweb.errors import InputError

if TYPE_CHECKING:
    from orthweb.dicom.keys import Criteria

_PANEL = "What to look for"
PatientIdOption = Annotated[
    str, typer.Option("--patient-id", metavar="ID", help="* and ? are wildcards.", rich_help_panel=_PANEL)
]
PatientNameOption = Annotated[
    str,
    typer.Option(
        "--patient-name", metavar="NAME", help="FAMILY^GIVEN; * and ? are wildcards: 'DOE*'.", rich_help_panel=_PANEL
    ),
]
AccessionOption = Annotated[
    str, typer.Option("--accession", metavar="NUMBER", help="Accession number.", rich_help_panel=_PANEL)
]
DateOption = Annotated[
    str,
    typer.Option(
        "--date",
        metavar="DATE",
        help="Of the study: YYYY-MM-DD, A..B, A.., ..B, today, yesterday or week (the last seven days).",
        rich_help_panel=_PANEL,
    ),
]
DescriptionOption = Annotated[
    str,
    typer.Option("--description", metavar="TEXT", help="Of the study; with wildcards.", rich_help_panel=_PANEL),
]
ModalityOption = Annotated[str, typer.Option("--modality", metavar="CODE", help="Such as CT.", rich_help_panel=_PANEL)]
SeriesDescriptionOption = Annotated[
    str,
    typer.Option("--series-description", metavar="TEXT", help="Of the series; with wildcards.", rich_help_panel=_PANEL),
]
StudyOption = Annotated[
    list[str] | None,
    typer.Option("--study", metavar="UID", help="Study Instance UID; may be repeated.", rich_help_panel=_PANEL),
]
SeriesOption = Annotated[
    list[str] | None,
    typer.Option("--series", metavar="UID", help="Series Instance UID; may be repeated.", rich_help_panel=_PANEL),
]

# What a value of VR LO may have (PS3.5 6.2); a person's name may have as much in each of its parts.
_LONGEST_TEXT = 64
_CODE = re.compile(r"[A-Z0-9 _]{1,16}")
_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})|([0-9]{4})([0-9]{2})([0-9]{2})")
_DATES = "give YYYY-MM-DD, YYYYMMDD, A..B, A.., ..B, today, yesterday or week"


def criteria(
    patient_id: PatientIdOption = "",
    patient_name: PatientNameOption = "",
    accession: AccessionOption = "",
    date: DateOption = "",
    description: DescriptionOption = "",
    modality: ModalityOption = "",
    series_description: SeriesDescriptionOption = "",
    study: StudyOption = None,
    series: SeriesOption = None,
) -> Criteria:
    """Make out what is looked for; raises InputError."""
    from orthweb.dicom.keys import Criteria

    return Criteria(
        _text("--patient-id", patient_id),
        _text("--patient-name", patient_name),
        _text("--accession", accession),
        date_range(date, datetime.date.today()) if date else "",
        _text("--description", description),
        _modality(modality) if modality else "",
        _text("--series-description", series_description),
        _uids("--study", study),
        _uids("--series", series),
    )


def date_range(words: str, today: datetime.date) -> str:
    """A date or range of dates as the standard writes it (PS3.4 C.2.2.2.5); raises InputError."""
    first, dots, last = (word.strip() for word in words.partition(".."))
    if not dots:
        if words == "week":
            return f"{today - datetime.timedelta(days=6):%Y%m%d}-{today:%Y%m%d}"
        return f"{_day(words, words, today):%Y%m%d}"
    if not first and not last:
        raise InputError(f"--date: {words!r} has no date", _DATES)
    begin = _day(first, words, today) if first else None
    end = _day(last, words, today) if last else None
    if begin and end and begin > end:
        raise InputError(f"--date: {words!r} ends before it begins", "give the earlier date first")
    return f"{f'{begin:%Y%m%d}' if begin else ''}-{f'{end:%Y%m%d}' if end else ''}"


def _day(word: str, words: str, today: datetime.date) -> datetime.date:
    if word in ("today", "yesterday"):
        return today - datetime.timedelta(days=int(word == "yesterday"))
    found = _DAY.fullmatch(word)
    if found is None:
        raise InputError(f"--date: {words!r} is no date", _DATES)
    year, month, day = (int(number) for number in found.groups() if number is not None)
    try:
        return datetime.date(year, month, day)
    except ValueError:
        raise InputError(f"--date: {words!r}: there is no such day", _DATES) from None


def _text(option: str, value: str) -> str:
    if len(value) > _LONGEST_TEXT:
        raise InputError(f"{option}: {len(value)} characters", f"give at most {_LONGEST_TEXT}")
    if "\\" in value or not value.isprintable():
        raise InputError(f"{option}: {value!r} has a backslash or a control character", "leave it out")
    return value


def _modality(value: str) -> str:
    code = value.strip().upper()
    if not _CODE.fullmatch(code):
        raise InputError(f"--modality: {value!r} is no modality", "give one such as CT, MR or US")
    return code


def _uids(option: str, values: Sequence[str] | None) -> tuple[str, ...]:
    from orthweb.dicom.folder import valid_uid

    for value in values or ():
        if not valid_uid(value):
            raise InputError(
                f"{option}: {value!r} is no UID", "give digits and dots, at most 64; 'orthweb find' shows them"
            )
    return tuple(values or ())

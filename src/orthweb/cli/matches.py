"""Shows what an archive has: as a table, as plain lines, or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from orthweb.cli.console import stdout
from orthweb.dicom.keys import text_of, values_of

if TYPE_CHECKING:
    from pydicom import Dataset

_NOT_ABOUT_THE_MATCH = {"QueryRetrieveLevel", "SpecificCharacterSet"}
_ORDER = (
    "StudyDate",
    "StudyTime",
    "PatientName",
    "StudyInstanceUID",
    "SeriesNumber",
    "SeriesInstanceUID",
    "InstanceNumber",
)
# Heading and keyword of each column, by level.
_COLUMNS = {
    "PATIENT": (
        ("PATIENT", "PatientName"),
        ("ID", "PatientID"),
        ("BORN", "PatientBirthDate"),
        ("SEX", "PatientSex"),
        ("STUDIES", "NumberOfPatientRelatedStudies"),
    ),
    "STUDY": (
        ("PATIENT", "PatientName"),
        ("ID", "PatientID"),
        ("DATE", "StudyDate"),
        ("MODALITY", "ModalitiesInStudy"),
        ("DESCRIPTION", "StudyDescription"),
        ("ACCESSION", "AccessionNumber"),
        ("SERIES", "NumberOfStudyRelatedSeries"),
        ("IMAGES", "NumberOfStudyRelatedInstances"),
        ("STUDY UID", "StudyInstanceUID"),
    ),
    "SERIES": (
        ("NUMBER", "SeriesNumber"),
        ("MODALITY", "Modality"),
        ("DESCRIPTION", "SeriesDescription"),
        ("BODY PART", "BodyPartExamined"),
        ("IMAGES", "NumberOfSeriesRelatedInstances"),
        ("SERIES UID", "SeriesInstanceUID"),
        ("STUDY UID", "StudyInstanceUID"),
    ),
    "IMAGE": (
        ("NUMBER", "InstanceNumber"),
        ("KIND", "SOPClassUID"),
        ("INSTANCE UID", "SOPInstanceUID"),
        ("SERIES UID", "SeriesInstanceUID"),
    ),
}


def in_order(matches: Sequence[Dataset]) -> list[Dataset]:
    """Patients by name, studies by date, series and instances by number within what they are of."""

    def place(match: Dataset) -> tuple[object, ...]:
        texts = [text_of(match, keyword) for keyword in _ORDER]
        # Numbers come as text, and not every archive keeps them numbers.
        return tuple((int(text), "") if text.isdecimal() else (-1, text) for text in texts)

    return sorted(matches, key=place)


def show(level: str, matches: Sequence[Dataset]) -> None:
    """Print a table on a terminal, and lines with aligned columns elsewhere; a column without a value is left out."""
    rows = [[_cell(match, keyword) for _, keyword in _COLUMNS[level]] for match in matches]
    filled = [number for number in range(len(_COLUMNS[level])) if any(row[number] for row in rows)]
    headings = [_COLUMNS[level][number][0] for number in filled]
    rows = [[row[number] for number in filled] for row in rows]
    console = stdout()
    if console.is_terminal:
        _table(headings, rows)
        return
    lines = [headings, *([cell or "-" for cell in row] for row in rows)]
    widths = [max(len(line[number]) for line in lines) for number in range(len(headings))]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        console.print("  ".join(padded).rstrip(), markup=False)


def printable(text: str) -> str:
    """What an archive tells as the terminal may have it: nothing in it is a command."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def as_data(match: Dataset) -> dict[str, Any]:
    """The attributes of a match by their keyword; those that may have several values are lists."""
    return {
        element.keyword: _value(match, element.keyword)
        for element in match
        if element.keyword and element.keyword not in _NOT_ABOUT_THE_MATCH
    }


def _value(match: Dataset, keyword: str) -> Any:
    from pydicom.datadict import dictionary_VM, tag_for_keyword
    from pydicom.sequence import Sequence as Items

    value = match.get(keyword)
    if isinstance(value, Items):
        return [as_data(item) for item in value]
    texts = values_of(match, keyword)
    tag = tag_for_keyword(keyword)
    if tag is not None and dictionary_VM(tag) != "1":
        return list(texts)
    if isinstance(value, int):
        return int(value)
    return text_of(match, keyword) or None


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold", justify="right" if heading in _NUMBERS else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    stdout().print(table)


_NUMBERS = {"STUDIES", "SERIES", "IMAGES", "NUMBER"}


def _cell(match: Dataset, keyword: str) -> str:
    text = text_of(match, keyword)
    return printable(_SHOWN.get(keyword, str)(text))


def _date(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else text


def _sop_class(text: str) -> str:
    from pydicom.uid import UID

    return UID(text).name.removesuffix(" Storage")


_SHOWN: dict[str, Callable[[str], str]] = {
    "StudyDate": _date,
    "PatientBirthDate": _date,
    "SOPClassUID": _sop_class,
    "ModalitiesInStudy": lambda text: text.replace("\\", " "),
    "PatientName": lambda text: text.partition("=")[0].rstrip("^") or text,
}

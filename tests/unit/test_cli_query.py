"""The options of `orthweb find` and `get`: what a person may write for dates, names and UIDs, and what it asks for."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from orthweb.cli.criteria import criteria, date_range
from orthweb.cli.destination import ae_title, destination
from orthweb.cli.matches import as_data, in_order, printable, show
from orthweb.cli.query import find
from orthweb.cli.retrieve import get
from orthweb.dicom.keys import Criteria, fits_series, fits_study, series_level, study_level
from orthweb.errors import InputError, OrthwebError

TODAY = datetime.date(2026, 3, 2)

NOBODY = {"to": "127.0.0.1:1", "called": "NOBODY", "plain": True}


def given(**options: Any) -> Criteria:
    """What the options make, the others left out."""
    return criteria(**options)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("20260131", "20260131"),
        ("2026-01-31", "20260131"),
        ("2026-01-01..2026-01-31", "20260101-20260131"),
        ("20260101 .. 20260131", "20260101-20260131"),
        ("2026-01-01..", "20260101-"),
        ("..2026-01-31", "-20260131"),
        ("today", "20260302"),
        ("yesterday", "20260301"),
        ("week", "20260224-20260302"),
        ("2026-02-01..yesterday", "20260201-20260301"),
        ("yesterday..today", "20260301-20260302"),
        ("2024-02-29", "20240229"),
    ],
)
def test_a_date_is_written_as_the_standard_does(words: str, expected: str) -> None:
    assert date_range(words, TODAY) == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("31.01.2026", "is no date"),
        ("2026-1-31", "is no date"),
        ("2026-01-31..tomorrow", "is no date"),
        ("week..today", "is no date"),
        ("2026-02-30", "there is no such day"),
        ("20261301", "there is no such day"),
        ("2026-02-01..2026-01-01", "ends before it begins"),
        ("..", "has no date"),
        ("2026-01-01...2026-01-02", "is no date"),
        ("٢٠٢٦٠١٣١", "is no date"),
        ("", "is no date"),
    ],
)
def test_what_is_no_date_is_refused_with_its_words_and_what_to_write(words: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        date_range(words, TODAY)
    assert repr(words) in str(refused.value)
    assert refused.value.exit_status == 2


def test_no_date_is_any_date() -> None:
    assert given().date == ""


def test_the_options_become_keys_of_the_study() -> None:
    wanted = given(
        patient_id="4711*", patient_name="Müller*", accession="A1", date="2026-01-01..", description="*HEAD*",
        modality="ct", study=["1.2.3", "1.2.4"],
    )  # fmt: skip
    keys = study_level(wanted)
    assert keys.QueryRetrieveLevel == "STUDY"
    assert (keys.PatientID, keys.PatientName, keys.AccessionNumber) == ("4711*", "Müller*", "A1")
    assert (keys.StudyDate, keys.StudyDescription, keys.ModalitiesInStudy) == ("20260101-", "*HEAD*", "CT")
    assert list(keys.StudyInstanceUID) == ["1.2.3", "1.2.4"]
    assert keys.SpecificCharacterSet == "ISO_IR 192"
    assert "SpecificCharacterSet" not in study_level(given(patient_name="Mueller*"))


def test_the_options_become_keys_of_the_series() -> None:
    keys = series_level(given(modality="mr", series_description="T2*", series=["1.2.3.4"]), "1.2.3")
    assert (keys.QueryRetrieveLevel, keys.StudyInstanceUID, keys.SeriesInstanceUID) == ("SERIES", "1.2.3", "1.2.3.4")
    assert (keys.Modality, keys.SeriesDescription) == ("MR", "T2*")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"study": ["1.2.x"]}, "--study: '1.2.x' is no UID"),
        ({"study": ["1.2", "../../etc"]}, "--study: '../../etc' is no UID"),
        ({"series": ["1" * 65]}, "--series"),
        ({"series": [""]}, "--series: '' is no UID"),
        ({"modality": "C T\\MR"}, "--modality"),
        ({"patient_id": "a\\b"}, "--patient-id"),
        ({"patient_name": "a\nb"}, "--patient-name"),
        ({"description": "a" * 65}, "--description: 65 characters"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_option(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as refused:
        given(**options)
    assert str(refused.value).startswith(said)
    assert refused.value.remedy


@pytest.mark.parametrize("title", ["", "   ", "SEVENTEEN_LETTERS", "A\\B", "TITLE\n", "ÄRZTE"])
def test_what_is_no_ae_title_is_refused(title: str) -> None:
    with pytest.raises(InputError, match=r"--move-to: .* is no AE title"):
        ae_title("--move-to", title)


@pytest.mark.parametrize(
    "to", ["pacs", "pacs:0", "pacs:65536", ":104", "pacs:1a", "[::1:104", "a..b:104", f"{'a' * 64}:104"]
)
def test_what_is_no_address_is_refused(to: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--to: "):
        destination(tmp_path, to, "PACS", "ORTHWEB", True, None, None, None, None)


def test_a_server_name_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--server-name: '' is no name of a host"):
        destination(tmp_path, "pacs:104", "PACS", "ORTHWEB", False, None, None, None, "")


def test_another_archive_needs_its_ae_title(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--called: missing"):
        destination(tmp_path, "pacs:104", None, "ORTHWEB", True, None, None, None, None)


def test_find_says_which_level_an_option_belongs_to() -> None:
    with pytest.raises(InputError, match="--series: says nothing about a study: add --level series"):
        find(series=["1.2.3"], **NOBODY)
    with pytest.raises(InputError, match="--series-description: says nothing about a patient"):
        find(level="patient", series_description="T2", **NOBODY)
    with pytest.raises(InputError, match="--level patient: takes --patient-id and --patient-name only"):
        find(level="patient", date="today", **NOBODY)


def test_get_wants_to_know_what(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing says what to get: give --study"):
        get(folder=tmp_path, **NOBODY)


@pytest.mark.parametrize(
    "make", [lambda path: path.write_text("a file"), lambda path: path.symlink_to("/proc/self/no")]
)
def test_get_refuses_a_folder_that_cannot_be_written_to_before_it_calls_anybody(make: Any, tmp_path: Path) -> None:
    make(tmp_path / "out")
    with pytest.raises(OrthwebError, match="cannot be written to") as refused:
        get(folder=tmp_path / "out", study=["1.2.3"], **NOBODY)
    assert refused.value.exit_status == 2


def test_what_an_archive_passes_over_is_looked_at_here() -> None:
    match = Dataset()
    match.StudyDescription, match.ModalitiesInStudy = "CT [Head] 2", ["CT", "SR"]
    assert fits_study(match, given(description="ct [head]*", modality="SR"))
    assert not fits_study(match, given(description="*neck*"))
    assert not fits_study(match, given(modality="MR"))
    # It may not know the modality: then its series do.
    match.ModalitiesInStudy = None
    assert fits_study(match, given(modality="MR"))
    match.Modality, match.SeriesDescription = "CT", "T2 axial"
    assert fits_series(match, given(modality="CT", series_description="t?*AXIAL"))
    assert not fits_series(match, given(modality="MR"))


def test_json_names_attributes_by_their_keyword_and_keeps_their_kind() -> None:
    match = Dataset()
    match.QueryRetrieveLevel, match.SpecificCharacterSet = "STUDY", "ISO_IR 192"
    match.PatientName, match.AccessionNumber, match.NumberOfStudyRelatedInstances = "Müller^Jürg", "", "12"
    match.ModalitiesInStudy = "CT"
    assert as_data(match) == {
        "PatientName": "Müller^Jürg",
        "AccessionNumber": None,
        "NumberOfStudyRelatedInstances": 12,
        "ModalitiesInStudy": ["CT"],
    }


def test_nothing_that_an_archive_tells_is_a_command_to_the_terminal() -> None:
    assert printable("a\x1b[2Jb\x07\r\nc") == "a\N{REPLACEMENT CHARACTER}[2Jb" + "\N{REPLACEMENT CHARACTER}" * 3 + "c"


def test_lines_have_aligned_columns_and_no_empty_ones(capsys: pytest.CaptureFixture[str]) -> None:
    matches = []
    for name, date in (("Doe^John", "20260131"), ("Roe", "")):
        match = Dataset()
        match.PatientName, match.StudyDate, match.StudyInstanceUID = name, date, "1.2"
        matches.append(match)
    show("STUDY", matches)
    assert capsys.readouterr().out.splitlines() == [
        "PATIENT   DATE        STUDY UID",
        "Doe^John  2026-01-31  1.2",
        "Roe       -           1.2",
    ]


def test_series_stand_in_the_order_of_their_numbers() -> None:
    matches = []
    for number in ("10", "9", "", "x"):
        match = Dataset()
        match.add_new("SeriesNumber", "LO", number)
        matches.append(match)
    assert [match.SeriesNumber for match in in_order(matches)] == ["", "x", "9", "10"]


def test_a_site_without_client_certificates_is_called_by_a_listed_title(tmp_path: Path) -> None:
    (tmp_path / "orthweb.yaml").write_text("name: open\ndicom: {client_certificates: 'off'}\n")
    with pytest.raises(InputError, match="lets nobody in as ORTHWEB"):
        destination(tmp_path)

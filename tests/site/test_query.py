"""`orthweb echo`, `find` and `get` on a site: what a person sees, and what lies in the folder afterwards."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pydicom.data
import pytest
from harness import Done, TestSite, eventually, free_port, own_site, run, serving
from odd_archive import brought, dataset_hash, hashes, remains
from pydicom import dcmread
from pydicom.uid import UID, generate_uid
from refusals import refused
from terminal import on_a_terminal

TEST_FILES = Path(pydicom.data.__file__).parent / "test_files"
STUDY = sorted((TEST_FILES / "dicomdirtests/98892003/MR700").iterdir())
SERIES = sorted((TEST_FILES / "dicomdirtests/77654033/CT2").iterdir())
_SYNTAXES = [
    "MR_small_implicit.dcm", "ExplVR_BigEnd.dcm", "MR_small_RLE.dcm", "SC_jpeg_no_color_transform.dcm",
    "JPEG-lossy.dcm", "SC_rgb_jpeg_gdcm.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm",
    "JPEG2000.dcm",
]  # fmt: skip
VIEWER_PORT = free_port()
_DESCRIPTION = f"""
orthanc:
  replicas: 2
  modalities:
    viewer: {{ae_title: VIEWER, host: 127.0.0.1, port: {VIEWER_PORT}}}
"""


@pytest.fixture(scope="module")
def archive() -> Iterator[TestSite]:
    """A site that holds two patients' images."""
    with own_site("archive", more=_DESCRIPTION) as up:
        done = up.orthweb("send", *STUDY, *SERIES)
        assert done.status == 0, done.all
        yield up


@contextlib.contextmanager
def holding(site: TestSite, *files: Path) -> Iterator[None]:
    """Send files to the site, and delete what they are of from it afterwards."""
    done = site.orthweb("send", *files)
    try:
        assert done.status == 0, done.all
        yield
    finally:
        for patient in {str(dcmread(file, stop_before_pixels=True).get("PatientID", "")) for file in files}:
            for known in site.json("/patients?expand"):
                if known["MainDicomTags"].get("PatientID", "") == patient:
                    assert site.curl(f"/patients/{known['ID']}", "--request", "DELETE", "--fail").status == 0


def found(done: Done) -> list[dict[str, object]]:
    """What `--json` printed."""
    assert done.status == 0, done.all
    data: list[dict[str, object]] = json.loads(done.out)
    return data


# Echo ---------------------------------------------------------------------------------------------------------------


def test_echo_says_in_one_line_how_long_it_took_and_what_was_agreed(site: TestSite) -> None:
    done = site.orthweb("echo")
    assert done.status == 0, done.all
    (line,) = done.out.splitlines()
    facts = r"TLSv1\.[23], OFFIS_DCMTK_\d+, PDUs up to 131072 bytes, association in [\d.]+ ms"
    assert re.fullmatch(rf"ORTHANC at localhost:{site.dicom_port} answers in [\d.]+ ms: {facts}", line)


def test_echo_counts(site: TestSite) -> None:
    done = site.orthweb("echo", "--count", "4", "--json")
    assert done.status == 0, done.all
    told = json.loads(done.out)
    assert len(told["echo_ms"]) == 4
    assert told["calling_ae_title"] == "ORTHWEB"
    assert told["maximum_length"] == 131072
    assert " answers 3 times in " in site.orthweb("echo", "--count", "3").out


def test_echo_to_another_ae_title_says_which_one_is_not_known(site: TestSite) -> None:
    refused(site.orthweb("echo", "--called", "NOBODY"), "NOBODY", "--called", status=1)


# Find ---------------------------------------------------------------------------------------------------------------


def test_a_site_that_does_not_list_a_title_says_what_to_do(site: TestSite) -> None:
    assert site.orthweb("find").status == 0
    done = site.orthweb("find", "--calling", "STRANGER")
    refused(done, "aborted", "have STRANGER listed", "orthanc.modalities", status=1)


@pytest.mark.parametrize("title", ["ORTHWEB", "orthweb", " OrthWeb"])
def test_a_device_that_calls_by_our_title_is_turned_away_and_logged(site: TestSite, title: str) -> None:
    before = len(site.log("dicom"))
    done = site.echo(options=["-aet", title])
    assert done.status != 0
    eventually(
        lambda: [entry for entry in site.log("dicom")[before:] if entry["refused"] == "calling AE title is another's"],
        15,
        "the refusal in the log",
    )
    assert site.echo(options=["-aet", f"{title}2"]).status == 0


def test_studies_are_listed_with_what_is_needed_to_go_on(archive: TestSite) -> None:
    done = archive.orthweb("find")
    assert done.status == 0, done.all
    heading, *lines = done.out.splitlines()
    assert heading.split()[:3] == ["PATIENT", "ID", "DATE"]
    assert len(lines) == 2
    assert "\t" not in done.out
    study = dcmread(STUDY[0])
    (line,) = [line for line in lines if study.StudyInstanceUID in line]
    assert str(study.PatientName) in line and f" {len(STUDY)} " in line and " MR " in line


def test_every_option_narrows_the_search(archive: TestSite) -> None:
    study = dcmread(STUDY[0])
    year = study.StudyDate[:4]
    fitting = [
        ["--patient-id", study.PatientID],
        ["--patient-name", str(study.PatientName)[:-1] + "*"],
        ["--accession", study.AccessionNumber, "--modality", "MR"],
        ["--study", study.StudyInstanceUID],
        ["--modality", "mr"],
        ["--date", f"{year}-01-01..{year}-12-31", "--modality", "MR"],
        ["--date", study.StudyDate, "--modality", "MR"],
        ["--description", study.StudyDescription],
    ]
    for options in fitting:
        (match,) = found(archive.orthweb("find", "--json", *options))
        assert match["StudyInstanceUID"] == study.StudyInstanceUID, options
    for options in (["--date", "..1990-01-01"], ["--modality", "US"], ["--description", "*nothing of the kind*"]):
        assert found(archive.orthweb("find", "--json", *options)) == []


def test_every_level_can_be_listed(archive: TestSite) -> None:
    sent = [dcmread(file) for file in STUDY]
    patients = found(archive.orthweb("find", "--level", "patient", "--json"))
    assert {match["PatientID"] for match in patients} == {sent[0].PatientID, dcmread(SERIES[0]).PatientID}
    options = ["--study", sent[0].StudyInstanceUID, "--json"]
    series = found(archive.orthweb("find", "--level", "series", *options))
    assert {match["SeriesInstanceUID"] for match in series} == {each.SeriesInstanceUID for each in sent}
    assert sum(int(str(match["NumberOfSeriesRelatedInstances"])) for match in series) == len(sent)
    images = found(archive.orthweb("find", "--level", "image", *options))
    assert [match["SOPInstanceUID"] for match in images] == [
        each.SOPInstanceUID for each in sorted(sent, key=lambda each: int(each.InstanceNumber))
    ]
    alone = found(archive.orthweb("find", "--level", "image", "--series", sent[0].SeriesInstanceUID, "--json"))
    assert {match["SOPInstanceUID"] for match in alone} == {match["SOPInstanceUID"] for match in images}


def test_nothing_found_is_said_and_is_no_failure(archive: TestSite) -> None:
    done = archive.orthweb("find", "--patient-id", "NOBODY")
    assert (done.status, done.out, done.err) == (0, "", "nothing found\n")


def test_a_limit_ends_the_search(archive: TestSite) -> None:
    done = archive.orthweb("find", "--level", "image", "--limit", "3", "--json")
    assert len(found(done)) == 3
    assert done.err == "stopped after 3; there may be more\n"


def test_an_answer_that_the_site_cut_short_is_told(folder: Path) -> None:
    more = _DESCRIPTION + "  settings: {LimitFindResults: 1}\n"
    with own_site("short", more=more) as short:
        assert short.orthweb("send", STUDY[0], SERIES[0]).status == 0
        done = short.orthweb("find", "--json")
        assert len(found(done)) == 1
        assert "look for something narrower" in done.err
        done = short.orthweb("get", folder / "out", "--patient-name", "*")
        assert done.status == 1
        assert "look for something narrower" in done.err


def test_names_of_every_script_are_found_and_shown(archive: TestSite, folder: Path) -> None:
    image = dcmread(SERIES[0])
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(image, keyword, generate_uid())
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.SpecificCharacterSet, image.PatientID, image.PatientName = "ISO_IR 192", "UNI", "Müller^Jürg=山田"
    image.save_as(folder / "unicode.dcm")
    with holding(archive, folder / "unicode.dcm"):
        (match,) = found(archive.orthweb("find", "--json", "--patient-id", "UNI"))
        assert str(match["PatientName"]).startswith("Müller^Jürg")
        assert "Müller^Jürg" in archive.orthweb("find", "--patient-name", "Müller*").out


def test_a_terminal_shows_a_table(archive: TestSite) -> None:
    status, shown = on_a_terminal(archive, "find", "--modality", "MR")
    assert status == 0
    assert "PATIENT" in shown and "─" in shown
    assert dcmread(STUDY[0]).StudyInstanceUID in shown


# Get ----------------------------------------------------------------------------------------------------------------


def test_a_study_comes_byte_for_byte_into_folders_of_study_and_series(archive: TestSite, folder: Path) -> None:
    study = dcmread(STUDY[0]).StudyInstanceUID
    done = archive.orthweb("get", folder, "--study", study)
    assert done.status == 0, done.all
    assert done.err == ""
    assert re.match(rf"{len(STUDY)} of {len(STUDY)} instances came, 1 series of 1 study: ", done.out)
    assert hashes(brought(folder)) == hashes(STUDY)
    assert not remains(folder)


@pytest.mark.parametrize("name", _SYNTAXES)
def test_every_transfer_syntax_comes_as_the_site_keeps_it(archive: TestSite, folder: Path, name: str) -> None:
    # Orthanc writes what it takes with DCMTK, which drops trailing padding: so it is dropped before.
    sent = folder / name
    assert run(["dcmconv", "-p", TEST_FILES / name, sent]).status == 0
    with holding(archive, sent):
        done = archive.orthweb("get", folder / "out", "--study", dcmread(sent).StudyInstanceUID)
        assert done.status == 0, done.all
        (came,) = brought(folder / "out")
        assert dataset_hash(came) == dataset_hash(sent)
        assert dcmread(came).file_meta.SourceApplicationEntityTitle == "ORTHANC"


def test_what_is_there_is_not_fetched_again_unless_it_is_wanted(archive: TestSite, folder: Path) -> None:
    options: list[str | Path] = [folder, "--patient-name", "*"]
    assert archive.orthweb("get", *options).status == 0
    files = brought(folder)
    assert len(files) == len(STUDY) + len(SERIES)
    before = {file: file.stat().st_mtime_ns for file in files}
    files[0].unlink()
    done = archive.orthweb("get", *options, "--json")
    assert done.status == 0, done.all
    counts = json.loads(done.out)["instances"]
    assert counts == {"announced": len(files), "there_before": len(files) - 1, "arrived": 1, "absent": 0}
    assert {file for file in files if file.stat().st_mtime_ns != before[file]} == {files[0]}
    done = archive.orthweb("get", *options)
    assert done.out == f"{len(files)} instances of 2 series of 2 studies were in {folder} already\n"
    done = archive.orthweb("get", *options, "--again", "--json")
    assert json.loads(done.out)["instances"]["arrived"] == len(files)
    assert not any(file.stat().st_mtime_ns == before[file] for file in files)


def test_nothing_to_get_is_said_and_is_no_failure(archive: TestSite, folder: Path) -> None:
    done = archive.orthweb("get", folder / "out", "--patient-id", "NOBODY")
    assert (done.status, done.out, done.err) == (0, "", "nothing found\n")
    assert not list((folder / "out").iterdir())


def test_a_terminal_shows_how_far_it_is_and_keeps_the_summary(archive: TestSite, folder: Path) -> None:
    status, shown = on_a_terminal(archive, "get", folder, "--patient-name", "*")
    assert status == 0, shown
    assert "getting" in shown or "looking at series" in shown or "asking" in shown
    assert f"{len(STUDY) + len(SERIES)} of {len(STUDY) + len(SERIES)} instances came" in shown


def test_get_without_a_word_of_what_is_refused(site: TestSite, folder: Path) -> None:
    refused(site.orthweb("get", folder), "nothing says what to get", "--study")
    assert not list(folder.iterdir())


def test_a_folder_that_is_a_file_is_refused(site: TestSite, folder: Path) -> None:
    (folder / "out").write_text("mine")
    refused(site.orthweb("get", folder / "out", "--patient-id", "1"), f"{folder}/out", "give another folder")
    assert (folder / "out").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["find", "--date", "2026-02-30"], "'2026-02-30'"),
        (["find", "--study", "1.2.x"], "'1.2.x' is no UID"),
        (["get", "--study", "../../etc"], "'../../etc' is no UID"),
        (["get", "--study", "1.2", "--move-to", "A\\B"], "is no AE title"),
        (["echo", "--calling", "SEVENTEEN_LETTERS"], "'SEVENTEEN_LETTERS' is no AE title"),
        (["echo", "--to", "pacs"], "'pacs' is not HOST:PORT"),
    ],
)
def test_what_cannot_be_is_refused_with_its_value(site: TestSite, words: list[str], said: str) -> None:
    refused(site.orthweb(*words), said)


# Move ---------------------------------------------------------------------------------------------------------------


def test_the_site_sends_a_study_to_a_device_that_it_knows(archive: TestSite, folder: Path) -> None:
    study = dcmread(STUDY[0]).StudyInstanceUID
    with serving(["storescp", "-aet", "VIEWER", "-od", folder, str(VIEWER_PORT)], VIEWER_PORT):
        done = archive.orthweb("get", "--study", study, "--move-to", "VIEWER")
        assert done.status == 0, done.all
        assert f"sent {len(STUDY)} instances to VIEWER" in done.out
        assert {UID(dcmread(file).SOPInstanceUID) for file in folder.iterdir()} == set(hashes(STUDY))


def test_a_device_that_the_site_does_not_know_gets_nothing(archive: TestSite) -> None:
    done = archive.orthweb("get", "--patient-name", "*", "--move-to", "NOWHERE")
    assert done.status == 1
    assert "NOWHERE" in done.err

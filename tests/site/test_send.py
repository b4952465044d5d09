"""`orthweb send`: what arrives, what is said of what does not, and how it goes on after trouble."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pydicom.data
import pytest
from dicom_peers import receiving
from harness import ORTHWEB, TestSite, orthweb, run
from pydicom.uid import UID, generate_uid
from scripted_archive import CT, Archive, environment, send, uid_of

FILES = Path(pydicom.data.__file__).parent / "test_files"
SERIES = FILES / "dicomdirtests"


@pytest.fixture
def cleaned(site: TestSite) -> Iterator[TestSite]:
    """The shared site, without the studies that the test stored."""
    before = set(site.json("/studies"))
    yield site
    for study in set(site.json("/studies")) - before:
        assert site.curl(f"/studies/{study}", "-X", "DELETE").status == 0


def test_a_folder_arrives_at_the_site_over_tls(cleaned: TestSite, folder: Path) -> None:
    shutil.copytree(SERIES / "98892003", folder / "patient")
    sent = sorted(path for path in (folder / "patient").rglob("*") if path.is_file())
    (folder / "patient/notes.txt").write_text("no image")
    done = cleaned.orthweb("send", folder / "patient")
    assert done.status == 0, done.all
    assert f"{len(sent)} accepted" in done.out
    assert f"skipped {folder}/patient/notes.txt: not a DICOM file" in done.err
    held = {one["MainDicomTags"]["SOPInstanceUID"] for one in cleaned.json("/instances?expand")}
    assert held >= {uid_of(path) for path in sent}


def test_a_dicomdir_and_a_list_name_what_to_send(folder: Path, images: list[Path]) -> None:
    archive = Archive()
    listed = "\n".join([str(images[0]), "", str(images[1]), str(images[0])])
    with receiving(archive.open_sink) as server:
        done = send(folder, server.port, "-", SERIES / "DICOMDIR", "--json", input=listed.encode())
    assert done.status == 0, done.all
    summary = json.loads(done.out)
    directory = pydicom.dcmread(SERIES / "DICOMDIR")
    referenced = {
        record.ReferencedSOPInstanceUIDInFile
        for record in directory.DirectoryRecordSequence
        if "ReferencedFileID" in record
    }
    assert set(archive.stored) == referenced | {uid_of(images[0]), uid_of(images[1])}
    assert set(archive.stored.values()) == {1}
    assert summary["instances"] == {"accepted": len(archive.stored)}
    assert {result["status"] for result in summary["results"]} == {"0000H"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([FILES / "README.txt"], "no DICOM file in it"),
        (["/nonexistent/image.dcm"], "no such file or folder"),
        ([CT, "--to", "nowhere"], "is not HOST:PORT"),
        ([CT, "--to", "localhost:99999"], "is not HOST:PORT"),
        ([CT, "--called", "a title that is far too long"], "is no AE title"),
        ([CT, "--ca", FILES / "README.txt"], "--plain has no use"),
        ([CT, "--associations", "0"], "associations"),
    ],
)
def test_what_cannot_be_meant_is_said_in_one_line(folder: Path, words: list[str | Path], said: str) -> None:
    done = send(folder, 104, *words)
    assert done.status == 2
    assert said in done.err
    assert "Traceback" not in done.all


def test_without_a_site_the_archive_has_to_be_named(folder: Path) -> None:
    done = run([*ORTHWEB, "send", str(CT)], env=environment(folder))
    assert done.status == 2
    assert "orthweb.yaml" in done.err


def test_more_kinds_of_instances_than_an_association_has_contexts_for(folder: Path) -> None:
    template = pydicom.dcmread(CT)
    (folder / "kinds").mkdir()
    for number in range(140):
        template.SOPClassUID = template.file_meta.MediaStorageSOPClassUID = UID(f"1.2.826.0.1.3680043.9.9999.{number}")
        template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        template.save_as(folder / f"kinds/{number}.dcm")
    archive = Archive()
    with receiving(archive.open_sink) as server:
        done = send(folder, server.port, folder / "kinds")
    assert done.status == 0, done.all
    assert archive.stored.total() == 140


def test_a_site_that_was_never_up_says_so(folder: Path) -> None:
    assert orthweb("init", "-C", folder, "--name", "new").status == 0
    done = orthweb("-C", folder, "send", CT)
    assert done.status == 1
    assert "never been up" in done.err

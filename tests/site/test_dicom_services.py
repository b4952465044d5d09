"""What a listed modality can do with a site: find, move and get what was stored, with the same pixels."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pydicom
import pydicom.data
import pytest
from doors import dcmtk_options, device_context, keep, relay, site_authority
from harness import Done, TestSite, free_port, own_site, run, serving
from pydicom.dataset import FileDataset

from orthweb.pki import ensure_authority

TEST_FILES = Path(pydicom.data.__file__).parent / "test_files"
STUDY = sorted((TEST_FILES / "dicomdirtests/98892003/MR700").iterdir())
SERIES = sorted((TEST_FILES / "dicomdirtests/98892001/CT5N").iterdir())
VIEWER_PORT, SECURE_PORT = free_port(), free_port()
_DESCRIPTION = f"""
orthanc:
  replicas: 2
  modalities:
    viewer: {{ae_title: VIEWER, host: 127.0.0.1, port: {VIEWER_PORT}}}
    secure: {{ae_title: SECURE, host: localhost, port: {SECURE_PORT}, tls: true}}
"""


@pytest.fixture(scope="module")
def archive() -> Iterator[TestSite]:
    """A site that knows two modalities and holds two patients' images."""
    with own_site("archive", more=_DESCRIPTION) as up:
        done = up.store(*STUDY, *SERIES)
        assert done.status == 0, done.all
        yield up


@pytest.fixture
def tunnel(archive: TestSite) -> Iterator[int]:
    """The DICOM port for DCMTK's tools that speak no TLS."""
    with relay(archive.dicom_port, tls=device_context(archive)) as port:
        yield port


def find(site: TestSite, folder: Path, title: str, *keys: str) -> list[FileDataset]:
    """Ask with findscu; returns the matches, which it leaves as files in `folder`."""
    query = [word for key in keys for word in ("-k", key)]
    options = ["-S", "-aet", title, "-X", "-od", str(folder), *query]
    site.dcmtk("findscu", options=options)
    return [pydicom.dcmread(path, force=True) for path in sorted(folder.glob("rsp*.dcm"))]


def test_a_listed_modality_finds_what_was_stored(archive: TestSite, tmp_path: Path) -> None:
    sent = pydicom.dcmread(STUDY[0])
    keys = [f"PatientName={sent.PatientName}", f"StudyDate={sent.StudyDate}", "StudyInstanceUID"]
    (match,) = find(archive, tmp_path, "VIEWER", "QueryRetrieveLevel=STUDY", *keys, "NumberOfStudyRelatedInstances")
    assert match.StudyInstanceUID == sent.StudyInstanceUID
    assert match.PatientName == sent.PatientName
    assert int(match.NumberOfStudyRelatedInstances) == len(STUDY)


def test_find_works_down_to_the_instance(archive: TestSite, tmp_path: Path) -> None:
    sent = [pydicom.dcmread(path) for path in SERIES]
    keys = [f"StudyInstanceUID={sent[0].StudyInstanceUID}", f"SeriesInstanceUID={sent[0].SeriesInstanceUID}"]
    found = find(archive, tmp_path, "VIEWER", "QueryRetrieveLevel=IMAGE", *keys, "SOPInstanceUID")
    assert {match.SOPInstanceUID for match in found} == {dataset.SOPInstanceUID for dataset in sent}


def test_nothing_is_found_where_nothing_matches(archive: TestSite, tmp_path: Path) -> None:
    assert find(archive, tmp_path, "VIEWER", "QueryRetrieveLevel=STUDY", "PatientID=NOBODY", "StudyInstanceUID") == []


def test_an_unlisted_ae_title_stores_with_a_certificate_and_finds_moves_and_gets_nothing(
    archive: TestSite, tunnel: int, tmp_path: Path
) -> None:
    stored = archive.store(STUDY[0], options=["-aet", "UNLISTED"])
    assert stored.status == 0, stored.all
    assert find(archive, tmp_path, "UNLISTED", "QueryRetrieveLevel=STUDY", "StudyInstanceUID") == []
    with receiver(VIEWER_PORT, tmp_path / "moved", "VIEWER"):
        done = retrieve("movescu", tunnel, "UNLISTED", ["-aem", "VIEWER"])
    # movescu's exit status is 0 even when the site hangs up on it.
    assert "Move Request Failed" in done.all
    (tmp_path / "got").mkdir()
    done = retrieve("getscu", tunnel, "UNLISTED", ["-od", str(tmp_path / "got")])
    assert "(Success)" not in done.all
    assert not [*(tmp_path / "moved").iterdir(), *(tmp_path / "got").iterdir()]


def test_a_study_is_moved_to_a_listed_modality_with_the_same_pixels(
    archive: TestSite, tunnel: int, tmp_path: Path
) -> None:
    with receiver(VIEWER_PORT, tmp_path / "moved", "VIEWER"):
        done = retrieve("movescu", tunnel, "VIEWER", ["-aem", "VIEWER"])
    assert_received(done, tmp_path / "moved")


def test_a_study_is_moved_over_tls(archive: TestSite, tunnel: int, tmp_path: Path) -> None:
    both = site_authority(archive).issue_internal(["localhost"])
    done = move_over_tls(tunnel, tmp_path / "moved", dcmtk_options(keep(both, tmp_path, "secure")))
    assert_received(done, tmp_path / "moved")


def test_nothing_is_moved_over_tls_to_who_has_a_certificate_of_another_authority(
    archive: TestSite, tunnel: int, tmp_path: Path
) -> None:
    other = ensure_authority(tmp_path / "other", "other").issue_internal(["localhost"])
    done = move_over_tls(tunnel, tmp_path / "moved", dcmtk_options(keep(other, tmp_path, "other")))
    assert done.status != 0, done.all
    assert not [*(tmp_path / "moved").iterdir()]


def test_a_study_is_moved_over_tls_to_a_device_with_an_issued_certificate(
    archive: TestSite, tunnel: int, tmp_path: Path
) -> None:
    issued = archive.orthweb("certs", "issue", "secure", "--host", "localhost", "--to", archive.devices)
    assert issued.status == 0, issued.all
    done = move_over_tls(tunnel, tmp_path / "moved", [*archive.device("secure")[:3], "-ic"])
    assert_received(done, tmp_path / "moved")


def test_the_site_shows_a_certificate_of_its_authority_to_who_it_sends_to(
    archive: TestSite, tunnel: int, tmp_path: Path
) -> None:
    pair = keep(site_authority(archive).issue_internal(["localhost"]), tmp_path, "secure")
    tls = ["+tls", str(pair[0]), str(pair[1]), "-rc", "+cf", str(archive.ca)]
    done = move_over_tls(tunnel, tmp_path / "moved", tls)
    assert_received(done, tmp_path / "moved")


def test_nothing_is_moved_where_nobody_is_known(archive: TestSite, tunnel: int) -> None:
    done = retrieve("movescu", tunnel, "VIEWER", ["-aem", "NOWHERE"])
    assert done.status != 0, done.all


def test_a_listed_modality_gets_a_study_with_the_same_pixels(archive: TestSite, tunnel: int, tmp_path: Path) -> None:
    done = retrieve("getscu", tunnel, "VIEWER", ["-od", str(tmp_path)])
    assert_received(done, tmp_path)


def receiver(
    port: int, folder: Path, title: str, tls: Sequence[str] = ()
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A real storescp that keeps what it is sent in `folder`."""
    folder.mkdir()
    return serving(["storescp", *tls, "-aet", title, "-od", folder, str(port)], port)


def retrieve(tool: str, port: int, title: str, options: Sequence[str]) -> Done:
    """Run movescu or getscu for the study."""
    study = pydicom.dcmread(STUDY[0]).StudyInstanceUID
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
    return run([tool, "-S", "-v", "-aet", title, "-aec", "ORTHANC", *options, *keys, "localhost", str(port)])


def move_over_tls(port: int, folder: Path, tls: Sequence[str]) -> Done:
    """Run movescu for the study, to a storescp that speaks TLS with DCMTK's options `tls` and keeps it in `folder`."""
    with receiver(SECURE_PORT, folder, "SECURE", tls):
        return retrieve("movescu", port, "VIEWER", ["-aem", "SECURE"])


def assert_received(done: Done, folder: Path) -> None:
    """Check that it went well, and that the study's images, and no others, are in `folder` with the same pixels."""
    assert done.status == 0, done.all

    def pixels(files: Iterable[Path]) -> dict[str, bytes]:
        return {dataset.SOPInstanceUID: dataset.PixelData for dataset in map(pydicom.dcmread, files)}

    assert pixels(folder.iterdir()) == pixels(STUDY)

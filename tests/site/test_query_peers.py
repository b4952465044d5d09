"""`orthweb find` and `get` on archives that are not Orthanc, and on some that are odd."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom.data
import pytest
from harness import free_port, run, serving
from odd_archive import Peer, brought, dataset_hash, dcmqrscp, hashes, holding, odd_archive, sending
from pydicom import Dataset, dcmread
from refusals import refused

TEST_FILES = Path(pydicom.data.__file__).parent / "test_files"
STUDY = sorted((TEST_FILES / "dicomdirtests/98892003/MR700").iterdir())
CT = TEST_FILES / "CT_small.dcm"


def told(command: str, peer: Peer, *words: str | Path) -> Any:
    """What a command that goes well prints as JSON."""
    done = peer(command, *words, "--json")
    assert done.status == 0, done.all
    return json.loads(done.out)


def keep(peer: Peer, *files: Path) -> None:
    """Send files to DCMTK's archive, one by one: its index loses some that come at once."""
    done = peer("send", "--associations", "1", *files)
    assert done.status == 0, done.all


@pytest.fixture(scope="module")
def images() -> list[Dataset]:
    """A series, as pynetdicom sends it: decoded."""
    return [dcmread(file) for file in STUDY]


# DCMTK --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("+x=", "MR_small.dcm"),
        ("+xs", "SC_rgb_jpeg_gdcm.dcm"),
        ("+xy", "SC_jpeg_no_color_transform.dcm"),
        ("+xx", "JPEG-lossy.dcm"),
        ("+xt", "MR_small_jpeg_ls_lossless.dcm"),
        ("+xv", "MR_small_jp2klossless.dcm"),
        ("+xw", "JPEG2000.dcm"),
        ("+xr", "MR_small_RLE.dcm"),
    ],
)
def test_dcmtks_archive_sends_every_transfer_syntax_as_it_keeps_it(folder: Path, option: str, name: str) -> None:
    # DCMTK drops trailing padding of what it takes: so it is dropped before.
    sent = folder / name
    assert run(["dcmconv", "-p", TEST_FILES / name, sent]).status == 0
    with dcmqrscp(folder / "archive", option) as peer:
        keep(peer, sent)
        done = peer("get", folder / "out", "--patient-name", "*")
        assert done.status == 0, done.all
        (came,) = brought(folder / "out")
        assert dataset_hash(came) == dataset_hash(sent)


def test_dcmtks_archive_is_searched_level_by_level(folder: Path) -> None:
    with dcmqrscp(folder / "archive") as peer:
        keep(peer, *STUDY, CT)
        study, series = dcmread(STUDY[0]).StudyInstanceUID, dcmread(STUDY[0]).SeriesInstanceUID
        assert len(told("find", peer)) == 2
        assert len(told("find", peer, "--level", "patient")) == 2
        # It knows no modalities of studies and passes over that key: the series tell.
        (match,) = told("find", peer, "--modality", "MR")
        assert match["StudyInstanceUID"] == study
        assert told("find", peer, "--modality", "US") == []
        (match,) = told("find", peer, "--level", "series", "--patient-name", "Doe*")
        assert match["SeriesInstanceUID"] == series
        assert len(told("find", peer, "--level", "image", "--study", study)) == len(STUDY)
        done = peer("find", "--level", "image", "--study", study, "--limit", "2")
        assert len(done.out.splitlines()) == 3
        assert done.err == "stopped after 2; there may be more\n"
        done = peer("get", folder / "out", "--modality", "MR")
        assert done.status == 0, done.all
        assert hashes(brought(folder / "out")) == hashes(STUDY)


def test_an_archive_without_c_get_says_to_use_c_move_and_that_works(folder: Path) -> None:
    port = free_port()
    (folder / "in").mkdir()
    with (
        dcmqrscp(folder / "archive", "--disable-get", mover=port) as peer,
        serving(["storescp", "-aet", "MOVER", "-od", folder / "in", str(port)], port),
    ):
        keep(peer, *STUDY)
        done = peer("get", folder / "out", "--patient-name", "*")
        assert done.status == 1
        assert "it does not offer C-GET" in done.err and "--move-to" in done.err
        done = peer("get", "--patient-name", "*", "--move-to", "MOVER")
        assert done.status == 0, done.all
        assert f"sent {len(STUDY)} instances to MOVER" in done.out
        assert hashes(list((folder / "in").iterdir())).keys() == hashes(STUDY).keys()
        done = peer("get", "--patient-name", "*", "--move-to", "STRANGER")
        assert done.status == 1
        assert "move destination unknown" in done.err


def test_a_move_to_a_device_that_is_down_fails(folder: Path) -> None:
    with dcmqrscp(folder / "archive") as peer:
        keep(peer, *STUDY)
        done = peer("get", "--patient-name", "*", "--move-to", "MOVER")
        assert done.status == 1
        assert "move to MOVER failed" in done.err or "were not sent" in done.err


# Odd archives -------------------------------------------------------------------------------------------------------


def test_names_in_other_character_sets_are_read(images: list[Dataset]) -> None:
    odd = Dataset()
    odd.update({element.tag: element for element in images[0]})
    odd.SpecificCharacterSet, odd.PatientName = "ISO_IR 100", "Müller^Jürg"
    with odd_archive(find=holding([odd], ["PatientName"])) as peer:
        (match,) = told("find", peer)
        assert match["PatientName"] == "Müller^Jürg"


def test_a_query_is_cancelled_at_the_limit() -> None:
    cancelled = threading.Event()

    def endless(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        for number in range(1, 100_000):
            if event.is_cancelled:
                cancelled.set()
                yield 0xFE00, None
                return
            match = Dataset()
            match.QueryRetrieveLevel, match.StudyInstanceUID = "STUDY", f"1.2.{number}"
            yield 0xFF00, match

    with odd_archive(find=endless) as peer:
        assert len(told("find", peer, "--limit", "5")) == 5
    assert cancelled.is_set()


@pytest.mark.parametrize(
    ("status", "said"),
    [(0xA700, "out of resources (A700H)"), (0xC001, "cannot understand or process"), (0x0124, "not authorized")],
)
def test_a_query_that_fails_says_so_in_words(status: int, said: str) -> None:
    def failing(event: Any) -> Iterator[tuple[Any, None]]:
        answer = Dataset()
        answer.Status, answer.ErrorComment = status, "index is locked"
        yield answer, None

    with odd_archive(find=failing) as peer:
        refused(peer("find"), "ODD at 127.0.0.1", said, "'index is locked'", status=1)


def test_an_archive_that_does_not_answer_queries_says_so(folder: Path) -> None:
    with odd_archive() as peer:
        refused(peer("find"), "it does not answer queries (C-FIND)", status=1)
        assert peer("echo").status == 0


def test_an_archive_that_tells_the_transfer_syntax_is_offered_that_one(folder: Path, images: list[Dataset]) -> None:
    offered: list[Any] = []

    def get(event: Any) -> Iterator[Any]:
        offered.extend(event.assoc.requestor.requested_contexts)
        yield from sending(images)(event)

    for image in images:
        image.AvailableTransferSyntaxUID = "1.2.840.10008.1.2.1"
    with odd_archive(find=holding(images, ["SOPClassUID", "AvailableTransferSyntaxUID"]), get=get) as peer:
        done = peer("get", folder, "--patient-name", "*")
        assert done.status == 0, done.all
    assert len(brought(folder)) == len(images)
    storage = [context for context in offered if context.abstract_syntax == images[0].SOPClassUID]
    assert [context.transfer_syntax for context in storage] == [["1.2.840.10008.1.2.1"]]
    assert len(offered) == 2


def test_fewer_instances_than_announced_are_a_failure_and_the_same_command_gets_the_rest(
    folder: Path, images: list[Dataset]
) -> None:
    with odd_archive(find=holding(images), get=sending(images[:3], announced=len(images))) as peer:
        done = peer("get", folder, "--patient-name", "*")
        assert done.status == 1
        assert f"3 of {len(images)} instances came" in done.out
        assert f"{len(images) - 3} instances did not come" in done.err
        assert len(brought(folder)) == 3
    with odd_archive(find=holding(images), get=sending(images)) as peer:
        assert told("get", peer, folder, "--patient-name", "*")["instances"]["arrived"] == len(images) - 3
    assert len(brought(folder)) == len(images)


def test_an_instance_that_was_not_announced_is_kept_where_it_says_that_it_belongs(
    folder: Path, images: list[Dataset]
) -> None:
    def get(event: Any) -> Iterator[Any]:
        yield 2
        yield 0xFF00, images[0]
        yield 0xFF00, other

    other = dcmread(TEST_FILES / "MR_small.dcm")
    with odd_archive(find=holding(images[:1]), get=get) as peer:
        done = peer("get", folder, "--patient-name", "*")
    assert done.status == 0, done.all
    assert hashes(brought(folder)).keys() == {images[0].SOPInstanceUID, other.SOPInstanceUID}


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_uid_that_leads_out_of_the_folder_is_not_followed(folder: Path) -> None:
    def find(event: Any) -> Iterator[tuple[int, Dataset]]:
        match = Dataset()
        match.QueryRetrieveLevel = event.identifier.QueryRetrieveLevel
        match.StudyInstanceUID = "../../../outside"
        match.SeriesInstanceUID = match.SOPInstanceUID = "1.2.3"
        yield 0xFF00, match

    with odd_archive(find=find, get=sending([])) as peer:
        done = peer("get", folder / "in/a/b", "--patient-name", "*")
    assert done.status == 1
    assert "'../../../outside', which is no UID" in done.err
    assert [path.name for path in folder.rglob("*")] == ["in", "a", "b"]

"""What `orthweb validate` stores: valid images, plainly marked as a test, and nothing once the run is over."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames

from orthweb.dicom.part10 import read_head
from orthweb.dicom.storage_contexts import USUAL_SYNTAXES
from orthweb.validation.samples import bitmap_font, phantom
from orthweb.validation.samples.bitstreams import RAW, RAW_12, SIDE, streams
from orthweb.validation.samples.syntax_samples import contexts, is_opaque, name_of
from orthweb.validation.samples.test_data import RunOver, TestData, TestInstance, orthanc_id

_LONG = 30.0
_NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"}
_JPEG = "1.2.840.10008.1.2.4."
# What a stream of each kind begins with, and what else stands in its head: start-of-frame markers of ITU-T T.81 and
# T.87, CAP of ISO/IEC 15444-15, profile and level of ISO/IEC 14496-10.
_BEGINNINGS = {
    **{_JPEG + part: b"\xff\xd8\xff" for part in ("50", "51", "57", "70", "80", "81")},
    **{_JPEG + part: b"\xff\x4f\xff\x51" for part in ("90", "91", "201", "202", "203")},
    **{_JPEG + part: b"\0\0\x01\xb3" for part in ("100", "101")},
    **{_JPEG + part: b"\0\0\0" for part in ("102", "103", "104", "105", "107", "108")},
    _JPEG + "110": b"\xff\x0a",
    _JPEG + "111": b"\0\0\0\x0cJXL \r\n\x87\n",
    _JPEG + "112": b"\xff\x0a",
    "1.2.840.10008.1.2.5": b"\x01\0\0\0\x40\0\0\0",
}
_INSIDE = {
    _JPEG + "50": b"\xff\xc0\0\x0b\x08\0\x40\0\x40\x01",
    _JPEG + "51": b"\xff\xc1\0\x0b\x0c\0\x40\0\x40\x01",
    _JPEG + "57": b"\xff\xc3\0\x0b\x08\0\x40\0\x40\x01",
    _JPEG + "70": b"\xff\xc3\0\x0b\x08\0\x40\0\x40\x01",
    _JPEG + "80": b"\xff\xf7\0\x0b\x08\0\x40\0\x40\x01",
    _JPEG + "81": b"\xff\xf7\0\x0b\x08\0\x40\0\x40\x01",
    **{_JPEG + part: b"\xff\x50" for part in ("201", "202", "203")},
    _JPEG + "202": b"\xff\x55",
    **{_JPEG + part: b"ftypisom" for part in ("102", "103", "104", "105", "107", "108")},
    **{_JPEG + part: b"\x01\x64\0\x29" for part in ("102", "103")},
    **{_JPEG + part: b"\x01\x64\0\x2a" for part in ("104", "105")},
    **{_JPEG + part: b"hvcC\x01" for part in ("107", "108")},
}

# Of types 1 and 2 in the modules of PS3.3 table A.3-1.
_CT_ATTRIBUTES = [
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime"),
    *("ReferringPhysicianName", "StudyID", "AccessionNumber", "SeriesInstanceUID", "SeriesNumber", "PatientPosition"),
    *("FrameOfReferenceUID", "PositionReferenceIndicator", "Manufacturer", "InstanceNumber", "PixelSpacing"),
    *("ImageOrientationPatient", "ImagePositionPatient", "SliceThickness", "ImageType", "SamplesPerPixel"),
    *("PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit", "RescaleIntercept", "RescaleSlope"),
    *("KVP", "AcquisitionNumber", "Rows", "Columns", "PixelRepresentation", "PixelData"),
]


@pytest.fixture
def data(tmp_path: Path) -> TestData:
    return TestData(tmp_path)


@pytest.fixture
def ct(data: TestData) -> Dataset:
    return dcmread(data.ct.path)


def test_the_slice_is_a_ct_image_with_what_the_standard_demands(ct: Dataset) -> None:
    assert ct.SOPClassUID.name == "CT Image Storage" and ct.Modality == "CT"
    assert ct.file_meta.MediaStorageSOPInstanceUID == ct.SOPInstanceUID
    assert not [keyword for keyword in _CT_ATTRIBUTES if keyword not in ct]
    assert len(ct.PixelData) == ct.Rows * ct.Columns * 2 == 512 * 512 * 2


def test_the_slice_says_that_it_is_a_test_and_of_nobody(ct: Dataset, data: TestData) -> None:
    assert ct.PatientName == "ORTHWEB^VALIDATION"
    assert ct.PatientID == data.patient_id and data.patient_id.startswith("ORTHWEB-VALIDATION-")
    assert "not a patient" in ct.StudyDescription
    assert "may be removed" in ct.PatientComments
    assert ct.QualityControlImage == "YES" and ct.BurnedInAnnotation == "YES"


def test_the_slice_shows_a_phantom_and_a_wedge_in_its_window(ct: Dataset) -> None:
    hounsfield = ct.pixel_array.astype(int) + int(ct.RescaleIntercept)
    low, high = (ct.WindowCenter + sign * ct.WindowWidth / 2 for sign in (-1, 1))
    steps = hounsfield[450, 24 + 21 : 24 + 42 * 11 : 42].tolist()
    assert steps == list(phantom.WEDGE) == list(range(int(low), int(high) + 1, 200))
    bone, brain, air = hounsfield[80, 250:262], hounsfield[340, 230:240], hounsfield[236, 10:60]
    assert abs(bone.mean() - 950) < 30 and abs(air.mean() + 1000) < 30 and brain.max() < 600
    # Noise, as a scanner has it.
    assert air.std() > 3


def test_the_words_are_burnt_into_the_picture(ct: Dataset) -> None:
    white = ct.pixel_array == 1000 - phantom.INTERCEPT
    assert _read(white, top=12, scale=4, text="ORTHWEB TEST")
    assert _read(white, top=46, scale=2, text="NOT A PATIENT")
    date, clock = ct.StudyDate, ct.StudyTime
    assert _read(white, 482, 2, f"{date[:4]}-{date[4:6]}-{date[6:]} {clock[:2]}:{clock[2:4]} UTC")
    assert not _read(white, 482, 2, "1999-12-31 23:59 UTC")


def _read(white: Any, top: int, scale: int, text: str) -> bool:
    """Whether a line of text stands in the middle, dot by dot."""
    left = (512 - bitmap_font.width(text) * scale) // 2
    dots = {(row, column + step) for row, column, run in bitmap_font.runs(text) for step in range(run)}
    return all(
        bool(white[top + row * scale + scale // 2, left + column * scale + scale // 2]) == ((row, column) in dots)
        for row in range(bitmap_font.HEIGHT)
        for column in range(bitmap_font.width(text))
    )


def test_two_pictures_differ_in_their_caption_only() -> None:
    first, second = phantom.draw("2026-01-01 00:00 UTC"), phantom.draw("2026-12-31 23:59 UTC")
    row = phantom.SIDE * 2
    assert first != second
    assert first[: 482 * row] == second[: 482 * row]


def test_there_is_an_image_for_each_usual_transfer_syntax(data: TestData) -> None:
    assert [syntax for _, syntax in contexts()] == list(USUAL_SYNTAXES)
    for number, (sop_class, syntax) in enumerate(contexts(), 1):
        made = data.sample(syntax, number)
        with made.path.open("rb") as file:
            head = read_head(file.fileno())
        assert (head.sop_class, head.sop_instance, head.transfer_syntax) == (sop_class, made.sop_instance, syntax)
        assert made.path.read_bytes().endswith(made.dataset)
        assert name_of(syntax) and not name_of(syntax)[0].isdigit(), syntax


@pytest.mark.parametrize("syntax", USUAL_SYNTAXES)
def test_an_image_of_each_transfer_syntax_is_whole(data: TestData, syntax: str) -> None:
    made = data.sample(syntax, 7)
    read = dcmread(made.path)
    assert (read.StudyInstanceUID, read.SeriesInstanceUID) == (data.study, data.sweep_series)
    assert (read.PatientID, read.InstanceNumber, read.Modality) == (data.patient_id, 7, "OT")
    assert read.PixelData == made.pixel_data
    if syntax in _NATIVE:
        assert made.pixel_data == streams()[RAW]
        return
    (stream,) = generate_frames(made.pixel_data, number_of_frames=1)
    if is_opaque(syntax):
        assert b"ORTHWEB TEST" in stream and b"are none" in stream
        return
    assert stream == streams()[syntax] + b"\0" * (len(streams()[syntax]) % 2)
    assert stream.startswith(_BEGINNINGS[syntax])
    assert _INSIDE.get(syntax, b"") in stream
    lossy = {_JPEG + part for part in ("50", "51", "81", "91", "203", "111", "112")}
    assert ("LossyImageCompressionMethod" in read) == (syntax in lossy or "NumberOfFrames" in read)


def test_only_three_images_hold_bytes_that_are_no_picture() -> None:
    assert {syntax for syntax in USUAL_SYNTAXES if is_opaque(syntax)} == {_JPEG + part for part in ("92", "93", "106")}


def test_the_run_length_encoded_image_is_the_uncompressed_one(data: TestData) -> None:
    read = dcmread(data.sample("1.2.840.10008.1.2.5", 1).path)
    assert read.pixel_array.tobytes() == streams()[RAW]


def test_the_raw_pictures_have_the_size_that_the_images_say() -> None:
    assert (len(streams()[RAW]), len(streams()[RAW_12])) == (SIDE * SIDE, SIDE * SIDE * 2)


def test_identifiers_are_those_of_orthanc() -> None:
    # Of the Orthanc Book, chapter "Orthanc identifiers": SHA-1 of "abc" and of "abc|1.2" in the same form.
    assert orthanc_id("abc") == "a9993e36-4706816a-ba3e2571-7850c26c-9cd0d89d"
    assert orthanc_id("abc", "1.2") != orthanc_id("abc", "1.3")


def test_each_run_has_a_patient_and_a_study_of_its_own(tmp_path: Path) -> None:
    runs = [TestData(tmp_path) for _ in range(50)]
    assert len({run.patient_id for run in runs}) == len({run.orthanc_study for run in runs}) == 50


def test_checks_that_ask_at_the_same_time_get_the_same_image(data: TestData) -> None:
    meeting, got = threading.Barrier(8), []

    def ask() -> None:
        meeting.wait(_LONG)
        got.append(data.ct)

    _together(ask, 8)
    assert len(got) == 8 and len({id(image) for image in got}) == 1


def test_what_is_to_be_removed_is_noted_once_and_before_the_first_store(tmp_path: Path) -> None:
    noted: list[bool] = []
    data = TestData(tmp_path, lambda data: noted.append(data.storing))
    meeting = threading.Barrier(8)

    def store() -> None:
        meeting.wait(_LONG)
        with data.store(lambda: None):
            assert noted, "stored before it was noted"

    _together(store, 8)
    assert noted == [False]
    assert data.storing and not data.uncertain


def test_a_store_without_an_answer_leaves_it_uncertain_what_is_there(data: TestData) -> None:
    with contextlib.suppress(ConnectionResetError), data.store(lambda: None):
        raise ConnectionResetError
    assert data.uncertain


def test_the_end_waits_for_stores_and_refuses_new_ones(data: TestData) -> None:
    entered, ended = threading.Event(), threading.Event()

    def store() -> None:
        with data.store(lambda: None):
            entered.set()
            ended.wait(_LONG)

    thread = threading.Thread(target=store)
    thread.start()
    assert entered.wait(_LONG)
    threading.Timer(0.1, ended.set).start()
    data.end(_LONG)
    assert ended.is_set() and not data.uncertain
    thread.join(_LONG)
    for attempt in (data.will_store, data.store(lambda: None).__enter__):
        with pytest.raises(RunOver):
            attempt()


def test_the_end_interrupts_a_store_that_takes_too_long(data: TestData) -> None:
    entered, interrupted = threading.Event(), threading.Event()

    def store() -> None:
        with contextlib.suppress(ConnectionResetError), data.store(interrupted.set):
            entered.set()
            interrupted.wait(_LONG)
            raise ConnectionResetError

    thread = threading.Thread(target=store)
    thread.start()
    assert entered.wait(_LONG)
    data.end(0.05)
    assert interrupted.is_set() and data.uncertain
    thread.join(_LONG)


def test_the_end_does_not_wait_for_ever_for_what_cannot_be_interrupted(data: TestData) -> None:
    entered, released = threading.Event(), threading.Event()

    def store() -> None:
        with data.store(lambda: None):
            entered.set()
            released.wait(_LONG)

    thread = threading.Thread(target=store)
    thread.start()
    assert entered.wait(_LONG)
    data.end(0.05)
    assert data.uncertain
    released.set()
    thread.join(_LONG)


def test_no_instance_has_the_uid_of_another(data: TestData) -> None:
    made: list[TestInstance] = [data.ct, *(data.sample(syntax, 1) for syntax in USUAL_SYNTAXES)]
    assert len({instance.sop_instance for instance in made}) == len(made)
    assert len({data.orthanc_instance(instance) for instance in made}) == len(made)


def _together(function: Callable[[], None], count: int) -> None:
    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(function) for _ in range(count)]:
            done.result(_LONG)

"""DICOM files: what pydicom reads in them is what is sent, and what is written pydicom reads."""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.errors import InvalidDicomError

from orthweb.dicom.part10 import FileHead, NotDicom, file_meta, read_head
from orthweb.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLEMENTATION_CLASS,
    IMPLEMENTATION_VERSION,
)

FILES = sorted(path for path in (Path(pydicom.__file__).parent / "data").rglob("*") if path.is_file())
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
HEAD = file_meta(CT_STORAGE, "1.2.3", EXPLICIT_VR_LITTLE_ENDIAN)
PATIENT = struct.pack("<HH2sH", 0x10, 0x20, b"LO", 4) + b"1234"


def head_of(data: bytes) -> FileHead:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return read_head(file.fileno())


def meta(*elements: tuple[int, bytes, bytes]) -> bytes:
    """Preamble, prefix and some elements of group 0002H, each its number, VR and value."""
    parts = [bytes(128), b"DICM"]
    for number, kind, value in elements:
        long = kind in (b"OB", b"UN")
        parts += [struct.pack("<HH2s", 2, number, kind), struct.pack("<2xI" if long else "<H", len(value)), value]
    return b"".join(parts)


SOP_CLASS = (0x0002, b"UI", CT_STORAGE.encode() + b"\0")
INSTANCE = (0x0003, b"UI", b"1.2.3\0")
SYNTAX = (0x0010, b"UI", EXPLICIT_VR_LITTLE_ENDIAN.encode() + b"\0")
ALL = (SOP_CLASS, INSTANCE, SYNTAX)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_of_pydicom_is_what_pydicom_says(path: Path) -> None:
    data = path.read_bytes()
    try:
        read = pydicom.dcmread(BytesIO(data))
    except InvalidDicomError:
        with pytest.raises(NotDicom, match=r"^not a DICOM file$"):
            head_of(data)
        return
    names = ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")
    sop_class, instance, syntax = (str(read.file_meta.get(name, "")) for name in names)
    if not (sop_class and instance and syntax):
        with pytest.raises(NotDicom, match="names no"):
            head_of(data)
        return
    head = head_of(data)
    assert head == FileHead(sop_class, instance, syntax, head.dataset_offset, len(data))
    # The dataset behind meta information of our own is the same to pydicom.
    again = file_meta(sop_class, instance, syntax) + data[head.dataset_offset :]
    assert head_of(again) == FileHead(sop_class, instance, syntax, len(again) - head.dataset_length, len(again))
    assert pydicom.dcmread(BytesIO(again)) == read


def test_pydicom_reads_the_meta_information_that_is_written() -> None:
    for sender in ("", "CT", "MODALITY"):
        data = file_meta(CT_STORAGE, "1.2.34", EXPLICIT_VR_LITTLE_ENDIAN, sender) + PATIENT
        read = pydicom.dcmread(BytesIO(data))
        group_length = read.file_meta.FileMetaInformationGroupLength
        assert group_length == len(data) - len(PATIENT) - 144
        assert read.file_meta.FileMetaInformationVersion == b"\0\1"
        assert read.file_meta.MediaStorageSOPClassUID == CT_STORAGE
        assert read.file_meta.MediaStorageSOPInstanceUID == "1.2.34"
        assert read.file_meta.TransferSyntaxUID == EXPLICIT_VR_LITTLE_ENDIAN
        assert read.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS
        assert read.file_meta.ImplementationVersionName == IMPLEMENTATION_VERSION
        assert read.file_meta.get("SourceApplicationEntityTitle", "") == sender
        assert read.PatientID == "1234"


@pytest.mark.parametrize("size", [1000, 4096, 100_000, 5 << 20])
@pytest.mark.parametrize("place", [0, 2, 3], ids=["first", "in the middle", "last"])
def test_a_vendors_private_information_may_be_long(size: int, place: int) -> None:
    elements = [*ALL[:place], (0x0102, b"OB", bytes(size)), *ALL[place:]]
    data = meta(*elements)
    assert head_of(data + PATIENT) == FileHead(
        CT_STORAGE, "1.2.3", EXPLICIT_VR_LITTLE_ENDIAN, len(data), len(data) + len(PATIENT)
    )


def test_meta_information_may_end_anywhere() -> None:
    """Also where what is read at a time ends."""
    for size in range(3700, 4120, 2):
        data = meta(*ALL, (0x0102, b"OB", bytes(size)), (0x0103, b"UI", b"1.2.3.4\0"))
        assert head_of(data + PATIENT).dataset_offset == len(data)


def test_a_deflated_dataset_may_begin_with_any_bytes() -> None:
    syntax = (0x0010, b"UI", DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.encode())
    data = meta(SOP_CLASS, INSTANCE, syntax)
    # An empty block of fixed codes, and the data after it.
    deflate = zlib.compressobj(wbits=-15)
    dataset = b"\x02\x00" + (deflate.compress(PATIENT) + deflate.flush())
    assert head_of(data + dataset).dataset_offset == len(data)


def test_elements_may_be_unordered_and_padded_with_spaces() -> None:
    data = meta((0x0010, b"UI", EXPLICIT_VR_LITTLE_ENDIAN.encode() + b" "), INSTANCE, SOP_CLASS)
    assert head_of(data + PATIENT).transfer_syntax == EXPLICIT_VR_LITTLE_ENDIAN


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty file"),
        (b"DICM", "not a DICOM file"),
        (bytes(132), "not a DICOM file"),
        (b"%PDF-1.7\n" * 100, "not a DICOM file"),
        (bytes(128) + b"DICM", "names no SOP class"),
        (bytes(128) + b"DICM" + PATIENT, "names no SOP class"),
        (meta(INSTANCE, SYNTAX) + PATIENT, "names no SOP class"),
        (meta(SOP_CLASS, SYNTAX) + PATIENT, "names no SOP instance"),
        (meta(SOP_CLASS, INSTANCE) + PATIENT, "names no transfer syntax"),
        (meta((0x0002, b"UI", b" \0"), INSTANCE, SYNTAX) + PATIENT, "names no SOP class"),
        (meta(*ALL), "no dataset"),
        (HEAD, "no dataset"),
        (meta((0x0003, b"UI", b"1" * 300), SOP_CLASS, SYNTAX) + PATIENT, "has 300 characters"),
        (meta(*ALL) + struct.pack("<HH2s2xI", 2, 0x0102, b"OB", 0xFFFFFFFF) + PATIENT, "cut off"),
        (meta(*ALL, *[(0x0100, b"UI", b"")] * 2000) + PATIENT, "more than 1024 elements"),
    ],
)
def test_a_file_that_cannot_be_sent_is_named_with_its_fault(data: bytes, why: str) -> None:
    with pytest.raises(NotDicom, match=why):
        head_of(data)


def test_a_file_cut_off_in_its_meta_information_is_none() -> None:
    for length in range(133, len(HEAD)):
        with pytest.raises(NotDicom):
            head_of(HEAD[:length])


@pytest.mark.parametrize("open_", [lambda: os.open("/", os.O_RDONLY), lambda: os.pipe()[0]], ids=["folder", "pipe"])
def test_what_is_no_file_is_an_error_of_the_system(open_: Callable[[], int]) -> None:
    fd = open_()
    try:
        with pytest.raises(OSError, match=r"directory|seek"):
            read_head(fd)
    finally:
        os.close(fd)

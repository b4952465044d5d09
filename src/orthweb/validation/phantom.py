"""Makes the images of a validation: a synthetic CT slice of a phantom, plainly marked as a test."""

from __future__ import annotations

import datetime
import io
from array import array
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from orthweb.dicom.part10 import read_head
from orthweb.dicom.uids import IMPLEMENTATION_CLASS, IMPLEMENTATION_VERSION

if TYPE_CHECKING:
    from orthweb.validation.test_data import TestInstance

_SIDE = 256
_RADIUS = 110
# Hounsfield units, stored with Rescale Intercept -1024.
_AIR, _WATER, _BONE = 24, 1024, 2024


def ct_slice(path: Path, patient_name: str, patient_id: str, study: UID, series: UID) -> TestInstance:
    """Write a CT slice of 256 by 256 pixels as a Part 10 file."""
    from orthweb.validation.test_data import TestInstance

    pixels = _phantom()
    dataset = described(patient_name, patient_id, study, series, CTImageStorage, "CT")
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Rows = dataset.Columns = _SIDE
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "-1024", "1", "HU"
    dataset.WindowCenter, dataset.WindowWidth = "0", "2000"
    dataset.PixelSpacing = ["1", "1"]
    dataset.SliceThickness = "1"
    dataset.ImagePositionPatient = ["-128", "-128", "0"]
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.KVP = "120"
    dataset.PixelData = pixels
    encoded = write(path, dataset, ExplicitVRLittleEndian)
    return TestInstance(
        path, CTImageStorage, dataset.SOPInstanceUID, ExplicitVRLittleEndian, encoded, pixels
    )  # fmt: skip


def described(
    patient_name: str, patient_id: str, study: UID, series: UID, sop_class: str, modality: str
) -> Dataset:  # fmt: skip
    """The attributes that every test instance has: who and what it is, and that it is a test."""
    now = datetime.datetime.now(datetime.UTC)
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = now.strftime("%Y%m%d")
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = now.strftime("%H%M%S")
    dataset.TimezoneOffsetFromUTC = "+0000"
    dataset.AccessionNumber = ""
    dataset.Modality = modality
    dataset.Manufacturer = "Orthweb"
    dataset.StudyDescription = "Orthweb validation, not a patient"
    dataset.SeriesDescription = "Test images"
    dataset.PatientName = patient_name
    dataset.PatientID = patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "O"
    dataset.PatientComments = "Test data of 'orthweb validate': may be removed"
    dataset.StudyInstanceUID = study
    dataset.SeriesInstanceUID = series
    dataset.StudyID = "1"
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1
    dataset.FrameOfReferenceUID = generate_uid()
    dataset.PositionReferenceIndicator = ""
    return dataset


def write(path: Path, dataset: Dataset, transfer_syntax: str) -> bytes:
    """Write a Part 10 file; returns the bytes of the dataset as they stand in it."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(transfer_syntax)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION
    dataset.file_meta = meta
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    written = buffer.getvalue()
    path.write_bytes(written)
    with path.open("rb") as file:
        return written[read_head(file.fileno()).dataset_offset :]


def _phantom() -> bytes:
    """A disc of water in air, with rods of bone: 16 bits a pixel, little endian."""
    rows = array("H")
    centre = _SIDE // 2
    rods = ((centre - 50, centre), (centre + 50, centre), (centre, centre - 50), (centre, centre + 50))
    for y in range(_SIDE):
        row = [_AIR] * _SIDE
        half = _half_chord(_RADIUS, y - centre)
        row[centre - half : centre + half] = [_WATER] * (2 * half)
        for rod_x, rod_y in rods:
            half = _half_chord(12, y - rod_y)
            row[rod_x - half : rod_x + half] = [_BONE] * (2 * half)
        rows.extend(row)
    return rows.tobytes()


def _half_chord(radius: int, offset: int) -> int:
    return int((radius**2 - offset**2) ** 0.5) if abs(offset) < radius else 0

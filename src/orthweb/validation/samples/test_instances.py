"""Makes the DICOM files of a validation: each plainly marked as a test, and valid for its SOP class."""

from __future__ import annotations

import datetime
import zlib
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, CTImageStorage, generate_uid

from orthweb.dicom.part10 import file_meta
from orthweb.dicom.uids import (
    DEFLATED,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from orthweb.validation.samples import phantom

PATIENT_NAME = "ORTHWEB^VALIDATION"
STUDY_DESCRIPTION = "Orthweb validation, not a patient"


@dataclass(frozen=True)
class TestInstance:
    """A Part 10 file that a validation sends.

    Parameters
    ----------
    dataset, pixel_data:
        What was sent: the dataset's bytes, and those of its Pixel Data element's value.
    """

    __test__ = False

    path: Path
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    dataset: bytes
    pixel_data: bytes


@dataclass(frozen=True)
class TestSeries:
    """What the instances of a series have in common; of one study when patient and study are the same."""

    __test__ = False

    patient_id: str
    study: UID
    uid: UID
    modality: str
    number: int
    made: datetime.datetime
    """In UTC."""


def ct_slice(path: Path, series: TestSeries) -> TestInstance:
    """Write the phantom as a CT slice (PS3.3 A.3), uncompressed."""
    pixels = phantom.draw(f"{series.made:%Y-%m-%d %H:%M} UTC")
    dataset = described(series, CTImageStorage, 1)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.QualityControlImage = "YES"
    dataset.BurnedInAnnotation = "YES"
    dataset.FrameOfReferenceUID = generate_uid()
    dataset.PositionReferenceIndicator = ""
    dataset.PatientPosition = "HFS"
    dataset.AcquisitionNumber = 1
    dataset.Rows = dataset.Columns = phantom.SIDE
    grey(dataset, allocated=16, stored=16)
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = str(phantom.INTERCEPT), "1", "HU"
    # The whole of the wedge (PS3.3 C.11.2.1.2).
    dataset.WindowCenter, dataset.WindowWidth = "0", "2000"
    dataset.PixelSpacing = ["0.5", "0.5"]
    dataset.SliceThickness = "1"
    dataset.ImagePositionPatient = ["-127.75", "-127.75", "0"]
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.KVP = "120"
    dataset.PixelData = pixels
    return written(path, dataset, EXPLICIT_VR_LITTLE_ENDIAN)


def described(series: TestSeries, sop_class: str, number: int) -> Dataset:
    """The attributes that every test instance has: who and what it is, and that it is a test."""
    date, time = f"{series.made:%Y%m%d}", f"{series.made:%H%M%S}"
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = UID(sop_class)
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = date
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = time
    dataset.TimezoneOffsetFromUTC = "+0000"
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    dataset.Modality = series.modality
    dataset.Manufacturer = "Orthweb"
    dataset.StudyDescription = STUDY_DESCRIPTION
    dataset.SeriesDescription = "Test images"
    dataset.BodyPartExamined = "HEAD"
    dataset.PatientName = PATIENT_NAME
    dataset.PatientID = series.patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "O"
    dataset.PatientComments = "Test data of 'orthweb validate': may be removed"
    dataset.StudyInstanceUID = series.study
    dataset.SeriesInstanceUID = series.uid
    dataset.StudyID = "1"
    dataset.SeriesNumber = series.number
    dataset.InstanceNumber = number
    return dataset


def grey(dataset: Dataset, allocated: int, stored: int) -> None:
    """Say that its pixels are unsigned values of grey, of so many bits."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, stored, stored - 1
    dataset.PixelRepresentation = 0


def written(path: Path, dataset: Dataset, transfer_syntax: str) -> TestInstance:
    """Write it as a Part 10 file; its Pixel Data have to be encoded as the transfer syntax demands."""
    sop_class, sop_instance = str(dataset.SOPClassUID), str(dataset.SOPInstanceUID)
    encoded = _encoded(dataset, transfer_syntax)
    path.write_bytes(file_meta(sop_class, sop_instance, transfer_syntax) + encoded)
    return TestInstance(path, sop_class, sop_instance, transfer_syntax, encoded, dataset.PixelData)


def _encoded(dataset: Dataset, transfer_syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian = transfer_syntax != EXPLICIT_VR_BIG_ENDIAN
    buffer.is_implicit_VR = transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN
    write_dataset(buffer, dataset)
    encoded = bytes(buffer.getvalue())
    if transfer_syntax in DEFLATED:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        encoded = packer.compress(encoded) + packer.flush()
        # PS3.5 annex A.5.
        encoded += b"\0" * (len(encoded) % 2)
    return encoded

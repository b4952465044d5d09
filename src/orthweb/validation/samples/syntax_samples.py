"""Makes a small instance in each transfer syntax that images are kept in, to see which of them a site keeps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from orthweb.dicom.storage_contexts import USUAL_SYNTAXES
from orthweb.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from orthweb.validation.samples.bitstreams import RAW, RAW_12, SIDE, streams
from orthweb.validation.samples.test_instances import TestInstance, TestSeries, described, grey, written

_ENCAPSULATED = "1.2.840.10008.1.2.4."
_JPEG_EXTENDED = _ENCAPSULATED + "51"
_NATIVE = (
    IMPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
)
# No encoder for them is to be had: several components of JPEG 2000 part 2, and stereo video.
_OPAQUE = (_ENCAPSULATED + "92", _ENCAPSULATED + "93", _ENCAPSULATED + "106")
_OPAQUE_STREAM = b"ORTHWEB TEST: these bytes stand for a picture and are none"
# Younger than the pydicom that may be installed.
_NAMES = {
    _ENCAPSULATED + "110": "JPEG XL Lossless",
    _ENCAPSULATED + "111": "JPEG XL JPEG Recompression",
    _ENCAPSULATED + "112": "JPEG XL",
}


@dataclass(frozen=True)
class _Video:
    """Moving pictures: rows, columns, milliseconds a frame, the method of compression, and bits of a sample."""

    rows: int
    columns: int
    frame_time: int
    method: str
    bits: int = 8


_VIDEO = {
    _ENCAPSULATED + "100": _Video(576, 720, 40, "ISO_13818_2"),
    _ENCAPSULATED + "101": _Video(720, 1280, 40, "ISO_13818_2"),
    **{_ENCAPSULATED + part: _Video(720, 1280, 20, "ISO_14496_10") for part in ("102", "103", "104", "105", "106")},
    _ENCAPSULATED + "107": _Video(720, 1280, 20, "ISO_23008_2"),
    _ENCAPSULATED + "108": _Video(720, 1280, 20, "ISO_23008_2", bits=10),
}
# Which methods lose something (PS3.3 C.7.6.1.1.5).
_LOSSY = {
    **{_ENCAPSULATED + part: "ISO_10918_1" for part in ("50", "51")},
    _ENCAPSULATED + "81": "ISO_14495_1",
    _ENCAPSULATED + "91": "ISO_15444_1",
    _ENCAPSULATED + "93": "ISO_15444_2",
    _ENCAPSULATED + "203": "ISO_15444_15",
    **{_ENCAPSULATED + part: "ISO_18181_1" for part in ("111", "112")},
}


def sop_class_of(transfer_syntax: str) -> str:
    """The SOP class of the instance in a transfer syntax: video needs one of several frames."""
    still = transfer_syntax not in _VIDEO
    return str(SecondaryCaptureImageStorage if still else MultiFrameTrueColorSecondaryCaptureImageStorage)


def contexts() -> list[tuple[str, str]]:
    """SOP class and transfer syntax of each instance there is."""
    return [(sop_class_of(syntax), syntax) for syntax in USUAL_SYNTAXES]


def is_opaque(transfer_syntax: str) -> bool:
    """The instance has bytes that stand for a picture, because nobody can make a valid stream."""
    return transfer_syntax in _OPAQUE


@cache
def name_of(transfer_syntax: str) -> str:
    """The name of a transfer syntax (PS3.6 table A-1) without what is after a colon, or its UID."""
    name = _NAMES.get(transfer_syntax) or str(UID(transfer_syntax).name)
    return name.partition(":")[0].partition(" (Process")[0].strip()


def sample(path: Path, series: TestSeries, transfer_syntax: str, number: int) -> TestInstance:
    """Write an instance in a transfer syntax, as the given number of the series."""
    dataset = described(series, sop_class_of(transfer_syntax), number)
    dataset.InstitutionName = ""
    dataset.ConversionType = "SYN"
    dataset.ImageComments = name_of(transfer_syntax)
    dataset.BurnedInAnnotation = "YES"
    video = _VIDEO.get(transfer_syntax)
    if video is None:
        _picture(dataset, transfer_syntax)
    else:
        _film(dataset, video)
    size = _put_pixels(dataset, transfer_syntax)
    method = video.method if video else _LOSSY.get(transfer_syntax, "")
    if method:
        _say_lossy(dataset, method, size)
    return written(path, dataset, transfer_syntax)


def _picture(dataset: Dataset, transfer_syntax: str) -> None:
    dataset.Rows = dataset.Columns = SIDE
    dataset.PatientOrientation = ""
    extended = transfer_syntax == _JPEG_EXTENDED
    grey(dataset, 16 if extended else 8, 12 if extended else 8)


def _film(dataset: Dataset, video: _Video) -> None:
    dataset.Rows, dataset.Columns = video.rows, video.columns
    dataset.PatientOrientation = ""
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PhotometricInterpretation = "YBR_PARTIAL_420"
    dataset.BitsAllocated = 8 if video.bits == 8 else 16
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = video.bits, video.bits - 1, 0
    dataset.NumberOfFrames = 2
    dataset.FrameIncrementPointer = Tag("FrameTime")
    dataset.FrameTime = str(video.frame_time)


def _put_pixels(dataset: Dataset, transfer_syntax: str) -> int:
    """Give it its pixels; returns their size when they are not compressed."""
    raw = RAW_12 if transfer_syntax == _JPEG_EXTENDED else RAW
    if transfer_syntax in _NATIVE:
        dataset.PixelData = streams()[raw]
        dataset["PixelData"].VR = "OW" if transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN else "OB"
        return len(dataset.PixelData)
    stream = _OPAQUE_STREAM if is_opaque(transfer_syntax) else streams()[transfer_syntax]
    # A video is one fragment, whatever its number of frames (PS3.5 A.4.6 and after).
    dataset.PixelData = encapsulate([stream], has_bot=False)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    frames = int(dataset.get("NumberOfFrames", 1))
    return int(dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated // 8 * frames)


def _say_lossy(dataset: Dataset, method: str, size: int) -> None:
    dataset.LossyImageCompression = "01"
    dataset.LossyImageCompressionRatio = f"{size / len(dataset.PixelData):.1f}"
    dataset.LossyImageCompressionMethod = method

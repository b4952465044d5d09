"""Makes the images that the measurements and the tests send: CT slices, each an instance of its own."""

from __future__ import annotations

from pathlib import Path

import numpy
import pydicom
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid


def make_slices(
    folder: Path, count: int, side: int = 512, patient_id: str = "ORTHWEB-BENCH", seed: int | None = 1
) -> list[Path]:
    """Write `count` slices of one series, each with random pixels of its own; returns their paths.

    Parameters
    ----------
    side:
        Rows and columns, in pixels of 16 bits: 525 KB a file with 512.
    patient_id:
        Patient ID (0010,0020).
    seed:
        Of the pixels; None for others each time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    template = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    pixels = numpy.random.default_rng(seed)
    template.Rows = template.Columns = side
    template.PatientID = patient_id
    template.StudyInstanceUID, template.SeriesInstanceUID = generate_uid(), generate_uid()
    paths = []
    for number in range(count):
        template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        template.InstanceNumber = number + 1
        template.PixelData = pixels.integers(0, 4096, side * side, dtype=numpy.uint16).tobytes()
        path = folder / f"{number:04}.dcm"
        template.save_as(path)
        paths.append(path)
    return paths

"""Makes the images that the measurements send: CT slices of half a megabyte, each an instance of its own."""

from __future__ import annotations

from pathlib import Path

import numpy
import pydicom
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

_SIDE = 512


def make_slices(folder: Path, count: int) -> list[Path]:
    """Write `count` slices of 512 by 512 pixels of 16 bits, 525 KB each, of one series; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    template = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    pixels = numpy.random.default_rng(1)
    template.Rows = template.Columns = _SIDE
    template.PatientID = "ORTHWEB-BENCH"
    template.StudyInstanceUID, template.SeriesInstanceUID = generate_uid(), generate_uid()
    paths = []
    for number in range(count):
        template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        template.InstanceNumber = number + 1
        template.PixelData = pixels.integers(0, 4096, _SIDE * _SIDE, dtype=numpy.uint16).tobytes()
        path = folder / f"{number:04}.dcm"
        template.save_as(path)
        paths.append(path)
    return paths

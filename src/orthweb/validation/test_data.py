"""What a validation stores: marked as test data, made anew for each run, in one study that is removed as a whole."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydicom.uid import UID, generate_uid

from orthweb.validation.phantom import ct_slice

PATIENT_NAME = "ORTHWEB^VALIDATION"
_PATIENT_ID = "ORTHWEB-VALIDATION-"


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


class TestData:
    """The test data of one run, in a folder of its own.

    Parameters
    ----------
    folder:
        An empty folder that is gone after the run.
    before_storing:
        Called before anything is stored: it has to note down what will have to be removed.
    """

    __test__ = False

    def __init__(self, folder: Path, before_storing: Callable[[TestData], None] = lambda data: None) -> None:
        self.folder = folder
        run = secrets.token_hex(6).upper()
        self.patient_id = _PATIENT_ID + run
        self.study: UID = generate_uid()
        self.series: UID = generate_uid()
        self.storing = False
        """Whether something was or will be stored, so that it has to be removed."""
        self._before_storing = before_storing

    def will_store(self) -> None:
        """Say that something is about to be stored; to be called before each store."""
        if not self.storing:
            self._before_storing(self)
            self.storing = True

    @cached_property
    def ct(self) -> TestInstance:
        """A synthetic CT slice, uncompressed (Explicit VR Little Endian)."""
        return ct_slice(self.folder / "ct.dcm", PATIENT_NAME, self.patient_id, self.study, self.series)

    @property
    def orthanc_study(self) -> str:
        """Orthanc's identifier of the study."""
        return orthanc_id(self.patient_id, self.study)

    def orthanc_instance(self, instance: TestInstance) -> str:
        """Orthanc's identifier of an instance of the run."""
        return orthanc_id(self.patient_id, self.study, self.series, instance.sop_instance)


def orthanc_id(*identifiers: str) -> str:
    """Orthanc's identifier of a resource, by its DICOM identifiers from the top (Orthanc Book, "Orthanc IDs")."""
    digits = hashlib.sha1("|".join(identifiers).encode(), usedforsecurity=False).hexdigest()
    return "-".join(digits[at : at + 8] for at in range(0, 40, 8))

"""What a validation stores: marked as test data, made anew for each run, in one study that is removed as a whole."""

from __future__ import annotations

import datetime
import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom.uid import UID, generate_uid

from orthweb.errors import Failure
from orthweb.validation.samples.syntax_samples import sample
from orthweb.validation.samples.test_instances import PATIENT_NAME, TestInstance, TestSeries, ct_slice

__all__ = ["PATIENT_NAME", "RunOver", "TestData", "TestInstance", "orthanc_id"]

_PATIENT_ID = "ORTHWEB-VALIDATION-"
# A store whose association was ended under it has this long to notice.
_NOTICE_SECONDS = 1.0


class RunOver(Failure):
    """The run is over: nothing more may be stored, for it is being removed."""


class TestData:
    """The test data of one run, in a folder of its own. Several threads may use it.

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
        self.patient_id = _PATIENT_ID + secrets.token_hex(6).upper()
        self.study: UID = generate_uid()
        self.series: UID = generate_uid()
        """That of the CT slice."""
        self.sweep_series: UID = generate_uid()
        """That of the instances in other transfer syntaxes."""
        self.storing = False
        """Whether something was or will be stored, so that it has to be removed."""
        self.uncertain = False
        """Whether the site did not answer a store: what was sent may be there, or come yet."""
        self._made = datetime.datetime.now(datetime.UTC)
        self._before_storing = before_storing
        self._ct: TestInstance | None = None
        self._making = threading.Lock()
        self._changed = threading.Condition(threading.RLock())
        self._over = False
        self._under_way: dict[object, Callable[[], None]] = {}

    def will_store(self) -> None:
        """Say that something is about to be stored; to be called before each store. Raises RunOver."""
        with self._changed:
            if self._over:
                raise RunOver("the validation is over: nothing more is stored")
            if not self.storing:
                self._before_storing(self)
                self.storing = True

    @contextmanager
    def store(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Store something within the body, which ends without an error only when the site has answered.

        Parameters
        ----------
        interrupt:
            Ends the body, from another thread.

        Raises
        ------
        RunOver
            The body was not entered.
        """
        token = object()
        with self._changed:
            self.will_store()
            self._under_way[token] = interrupt
        answered = False
        try:
            yield
            answered = True
        finally:
            with self._changed:
                self.uncertain = self.uncertain or not answered
                del self._under_way[token]
                self._changed.notify_all()

    def end(self, patience: float) -> None:
        """See that nothing is stored any more.

        Parameters
        ----------
        patience:
            Seconds that stores which are under way have to come to their end; then they are interrupted.
        """
        with self._changed:
            self._over = True
            self._changed.wait_for(lambda: not self._under_way, patience)
            late = list(self._under_way.values())
        for interrupt in late:
            interrupt()
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way, _NOTICE_SECONDS)
            self.uncertain = self.uncertain or bool(self._under_way)

    @property
    def ct(self) -> TestInstance:
        """A synthetic CT slice, uncompressed (Explicit VR Little Endian)."""
        with self._making:
            if self._ct is None:
                self._ct = ct_slice(self.folder / "ct.dcm", self._series(self.series, "CT", 1))
            return self._ct

    def sample(self, transfer_syntax: str, number: int) -> TestInstance:
        """A small instance in a transfer syntax, as the given number of a series of such."""
        path = self.folder / f"{transfer_syntax}.dcm"
        return sample(path, self._series(self.sweep_series, "OT", 2), transfer_syntax, number)

    @property
    def orthanc_study(self) -> str:
        """Orthanc's identifier of the study."""
        return orthanc_id(self.patient_id, self.study)

    def orthanc_instance(self, instance: TestInstance) -> str:
        """Orthanc's identifier of an instance of the run."""
        series = self.series if instance is self._ct else self.sweep_series
        return orthanc_id(self.patient_id, self.study, series, instance.sop_instance)

    def _series(self, uid: UID, modality: str, number: int) -> TestSeries:
        return TestSeries(self.patient_id, self.study, uid, modality, number, self._made)


def orthanc_id(*identifiers: str) -> str:
    """Orthanc's identifier of a resource, by its DICOM identifiers from the top (Orthanc Book, "Orthanc IDs")."""
    digits = hashlib.sha1("|".join(identifiers).encode(), usedforsecurity=False).hexdigest()
    return "-".join(digits[at : at + 8] for at in range(0, 40, 8))

"""What a check looks through: the target, what earlier checks left for it, and a place for what it sees."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import NoReturn

from orthweb.pki import CertificateInfo
from orthweb.validation.samples.test_data import TestData
from orthweb.validation.target import Inside, Target


class Ended(Exception):
    """A check has said all that it has to say."""


class Skipped(Exception):
    """A check cannot be made; the text is the reason."""


@dataclass(frozen=True)
class Evidence:
    """Something that was sent or seen: what it is, and its text, which may have several lines."""

    name: str
    text: str


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, in words that follow the name of the check, and what to do about it."""

    message: str
    remedy: str
    serious: bool = True


@dataclass(frozen=True)
class Certificate:
    """A certificate of the site: where it was seen, and what it says."""

    use: str
    info: CertificateInfo


class Exhibits:
    """What checks bring to the report beside their evidence; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.versions: dict[str, str] = {}
        self.certificates: dict[str, Certificate] = {}
        self.image: bytes | None = None

    def add_version(self, part: str, version: str) -> None:
        """The version of a part of the site, such as `Orthanc`."""
        with self._lock:
            self.versions[part] = version

    def add_certificate(self, use: str, info: CertificateInfo) -> None:
        """A certificate of the site; `use` tells them apart."""
        with self._lock:
            self.certificates[use] = Certificate(use, info)

    def set_image(self, image: bytes) -> None:
        """The test image as the site renders it, PNG or JPEG."""
        with self._lock:
            self.image = image


class Look:
    """What one check of one run sees and says. No password may reach a message or evidence."""

    def __init__(self, target: Target, data: TestData, exhibits: Exhibits, limit: float) -> None:
        self.target = target
        self.data = data
        self.exhibits = exhibits
        self.evidence: list[Evidence] = []
        self.findings: list[Finding] = []
        self._deadline = time.monotonic() + limit

    @property
    def inside(self) -> Inside:
        """The inside view; only checks that are marked as needing one may ask for it."""
        if self.target.inside is None:
            raise Skipped("it needs an inside view of the site")
        return self.target.inside

    def remaining(self, most: float = 5.0) -> float:
        """Seconds that one step may still take: what the check's time limit leaves, and at most `most`."""
        return max(0.1, min(most, self._deadline - time.monotonic()))

    def saw(self, name: str, text: object) -> None:
        """Keep something that was sent or seen."""
        self.evidence.append(Evidence(name, str(text)))

    def wrong(self, message: str, remedy: str) -> None:
        """Something fails; the check goes on."""
        self.findings.append(Finding(message, remedy))

    def warn(self, message: str, remedy: str) -> None:
        """Something is not as it should be, without failing; the check goes on."""
        self.findings.append(Finding(message, remedy, serious=False))

    def fail(self, message: str, remedy: str) -> NoReturn:
        """Something fails, and there is nothing more to see."""
        self.wrong(message, remedy)
        raise Ended

    def skip(self, reason: str) -> NoReturn:
        """The check cannot be made, because a permission, a part or a value is missing."""
        raise Skipped(reason)

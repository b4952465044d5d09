"""A check: what it proves, what it needs, how it looks, and what came of it."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from orthweb.validation.look import Certificate, Evidence, Finding, Look


class Status(StrEnum):
    """What came of a check."""

    PASSED = "passed"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def good(self) -> bool:
        """What it proves holds, so that others can build on it."""
        return self in (Status.PASSED, Status.WARNING)


@dataclass(frozen=True)
class Check:
    """One check.

    Parameters
    ----------
    id:
        Subject and name, such as `dicom.echo`.
    proves:
        A sentence: what holds when it passes.
    look:
        Looks, and says in a few words what it saw when all was well. Whatever is wrong it tells its `Look`.
    needs:
        Checks that have to have passed; else this one is skipped.
    inside:
        Needs an inside view of the site.
    guide:
        The step of the guide to Orthanc on AWS that it replaces; empty where the guide has none.
    limit:
        After so many seconds it has failed.
    slow:
        Takes seconds by its nature: `--quick` leaves it out.
    """

    id: str
    proves: str
    look: Callable[[Look], str] = field(repr=False)
    needs: tuple[Check, ...] = ()
    inside: bool = False
    guide: str = ""
    limit: float = 15.0
    slow: bool = False

    @property
    def subject(self) -> str:
        return self.id.partition(".")[0]


def check(
    name: str,
    proves: str,
    *,
    needs: tuple[Check, ...] = (),
    inside: bool = False,
    guide: str = "",
    limit: float = 15.0,
    slow: bool = False,
) -> Callable[[Callable[[Look], str]], Check]:
    """Make a check of a function; the parameters are those of `Check`."""
    return lambda look: Check(name, proves, look, needs, inside, guide, limit, slow)


@dataclass(frozen=True)
class Result:
    """What came of a check.

    Parameters
    ----------
    message:
        In a few words: what was seen, what is wrong, or why it was skipped.
    remedy:
        What to do about it; empty when there is nothing to do.
    findings:
        Each thing that is wrong, where it is more than one.
    seconds:
        How long it took; 0 when it was skipped before it began.
    """

    check: Check
    status: Status
    message: str
    remedy: str = ""
    findings: tuple[Finding, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Report:
    """What came of a validation.

    Parameters
    ----------
    versions:
        Version by part, such as `Orthanc` or `PostgreSQL`.
    image:
        The test image as the site renders it (PNG or JPEG); None when it was not fetched.
    """

    site: str
    environment: str
    owner: str
    address: str
    started: datetime.datetime
    seconds: float
    results: tuple[Result, ...]
    versions: dict[str, str]
    certificates: tuple[Certificate, ...]
    image: bytes | None = field(default=None, repr=False)

    def count(self, status: Status) -> int:
        """How many checks came to this."""
        return sum(result.status is status for result in self.results)

    @property
    def good(self) -> bool:
        """Nothing failed."""
        return self.count(Status.FAILED) == 0

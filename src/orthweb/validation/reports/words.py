"""What a report says in words: its verdict, its subjects, dates and durations."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from orthweb.validation.check import Report, Result, Status

_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
# What a subject asks, for a reader who doesn't know the words.
_SUBJECTS = {
    "network": ("Network", "Do names resolve, do the site's ports answer, and only those?"),
    "tls": ("TLS", "Are connections encrypted as they should be, and are the certificates in order?"),
    "dicom": ("DICOM", "Can devices store, find and fetch images, and are strangers refused?"),
    "web": ("Web", "Can people and programs with a password look at images, and nobody else?"),
    "replicas": ("Replicas", "Do all Orthanc servers answer, and do they agree?"),
    "database": ("Database", "Is the connection to PostgreSQL protected, and does it hold what was stored?"),
    "storage": ("Storage", "Does the storage hold what was stored, byte for byte, and keep it from others?"),
    "server": ("Server", "Is the machine well: its processes, disk, memory and clock?"),
    "data": ("Test data", "Is what the validation stored gone again?"),
}
STATUS_WORDS = {
    Status.FAILED: "Failed",
    Status.WARNING: "Warning",
    Status.PASSED: "Passed",
    Status.SKIPPED: "Skipped",
}
"""Each status as a reader sees it, the worst first."""
COUNT_WORDS = {**STATUS_WORDS, Status.WARNING: "Warnings"}
"""The same at the head of a column of numbers."""


def verdict(report: Report) -> tuple[Status, str]:
    """What a report comes to, in one sentence for a reader who is no expert, and how bad that is."""
    total, skipped = len(report.results), report.count(Status.SKIPPED)
    failed, warnings = report.count(Status.FAILED), report.count(Status.WARNING)
    also = f", and {skipped} could not be made" if skipped else ""
    if not total:
        return Status.SKIPPED, "Nothing is known about this site: no check was made."
    if failed:
        return Status.FAILED, f"This site is not in order: {failed} of {_checks(total)} failed{also}."
    if skipped == total:
        return Status.SKIPPED, "Nothing is known about this site: no check could be made."
    if warnings:
        ask = "asks" if warnings == 1 else "ask"
        return Status.WARNING, f"This site works, but {warnings} of {_checks(total)} {ask} for attention{also}."
    if skipped:
        passed = f"{_checks(total - skipped)} passed"
        return Status.PASSED, f"This site is in order as far as it could be looked at: {passed}{also}."
    return Status.PASSED, f"This site is in order: {'all ' if total > 1 else ''}{_checks(total)} passed."


def by_subject(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The results of each subject, in the order of the report."""
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.check.subject, []).append(result)
    return found


def subject_title(subject: str) -> str:
    return _SUBJECTS[subject][0] if subject in _SUBJECTS else subject


def subject_question(subject: str) -> str | None:
    return _SUBJECTS[subject][1] if subject in _SUBJECTS else None


def troubles(result: Result) -> list[tuple[str, str]]:
    """Everything that is wrong with what to do about it, the worst first."""
    if result.status in (Status.PASSED, Status.SKIPPED):
        return []
    findings = sorted(result.findings, key=lambda finding: not finding.serious)
    # Usually the worst finding's.
    found = [(result.message, result.remedy), *((finding.message, finding.remedy) for finding in findings)]
    return list(dict.fromkeys(found))


def day(moment: datetime.datetime) -> str:
    """A date in UTC, such as `3 March 2027`."""
    moment = moment.astimezone(datetime.UTC)
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def minute(moment: datetime.datetime) -> str:
    """A date and time in UTC, such as `3 March 2027, 09:05 UTC`."""
    return f"{day(moment)}, {moment.astimezone(datetime.UTC):%H:%M} UTC"


def duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def days_left(days: int) -> str:
    """How long a certificate is still valid, of its whole days."""
    return "expires within a day" if days == 0 else f"{days} {'day' if days == 1 else 'days'} left"


def _checks(count: int) -> str:
    return f"{count} {'check' if count == 1 else 'checks'}"

"""A report as plain values, for scripts."""

from __future__ import annotations

from typing import Any

from orthweb import __version__
from orthweb.validation.check import Report, Result, Status


def to_dict(report: Report) -> dict[str, Any]:
    """Everything that a report holds, the test image excepted."""
    return {
        "site": report.site,
        "environment": report.environment,
        "owner": report.owner,
        "address": report.address,
        "orthweb": __version__,
        "date": report.started.isoformat(timespec="seconds"),
        "seconds": round(report.seconds, 3),
        "summary": {status.value: report.count(status) for status in Status},
        "checks": [result_dict(result) for result in report.results],
        "versions": report.versions,
        "certificates": [{"use": shown.use, **shown.info.to_dict()} for shown in report.certificates],
    }


def result_dict(result: Result) -> dict[str, Any]:
    """What came of one check."""
    return {
        "id": result.check.id,
        "subject": result.check.subject,
        "proves": result.check.proves,
        "status": result.status.value,
        "message": result.message,
        "remedy": result.remedy,
        "findings": [vars(finding) for finding in result.findings],
        "evidence": [vars(evidence) for evidence in result.evidence],
        "seconds": round(result.seconds, 3),
        "guide": result.check.guide,
    }

"""A report as JUnit XML, as Jenkins and GitLab read it: a suite a subject, a test case a check."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from urllib.parse import urlsplit
from xml.etree import ElementTree

from orthweb import __version__
from orthweb.validation.check import Report, Result, Status
from orthweb.validation.reports.text import visible
from orthweb.validation.reports.words import by_subject, troubles

Element = ElementTree.Element


def to_junit(report: Report) -> str:
    """Make the XML. A warning is a test case that passes, and says so in its output.

    Source: junit-10.xsd of Jenkins' xUnit plugin; GitLab's unit test reports, which know a test case by `classname`
    and `name`, so that the site's name is part of the former.
    """
    totals = {**_totals(report.results), "time": _seconds(report.seconds)}
    # Jenkins' schema knows no more attributes here.
    del totals["skipped"]
    root = _element("testsuites", "", name=f"orthweb validate {report.site}", **totals)
    for number, (subject, results) in enumerate(by_subject(report.results).items()):
        root.append(_suite(report, number, subject, results))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(report: Report, number: int, subject: str, results: Sequence[Result]) -> Element:
    started = report.started.astimezone(datetime.UTC)
    suite = _element(
        "testsuite",
        "",
        name=subject,
        **_totals(results),
        time=_seconds(sum(result.seconds for result in results)),
        timestamp=started.isoformat(timespec="seconds"),
        hostname=_host(report),
        id=str(number),
    )
    properties = _element("properties")
    for name, value in _properties(report).items():
        properties.append(_element("property", "", name=name, value=value))
    suite.append(properties)
    suite.extend(_case(report, result) for result in results)
    return suite


def _case(report: Report, result: Result) -> Element:
    check = result.check
    case = _element(
        "testcase", "", classname=f"{report.site}.{check.subject}", name=check.id, time=_seconds(result.seconds)
    )
    match result.status:
        case Status.FAILED:
            case.append(_element("failure", _account(result), message=result.message, type=result.status.value))
        case Status.SKIPPED:
            case.append(_element("skipped", _account(result), message=result.message, type=result.status.value))
        case Status.PASSED | Status.WARNING:
            case.append(_element("system-out", _account(result)))
    return case


def _account(result: Result) -> str:
    """All that a check says, as lines."""
    lines = [result.check.proves, f"{result.status.value}: {result.message}"]
    for message, remedy in troubles(result):
        lines += [f"also: {message}"] if message != result.message else []
        lines += [f"what to do: {remedy}"] if remedy else []
    if result.check.guide:
        lines.append(f"replaces in the guide: {result.check.guide}")
    for evidence in result.evidence:
        lines += ["", f"{evidence.name}:", evidence.text]
    return "\n".join(lines)


def _properties(report: Report) -> dict[str, str]:
    about = {
        "site": report.site,
        "environment": report.environment,
        "owner": report.owner,
        "address": report.address,
        "version.Orthweb": __version__,
    }
    return about | {f"version.{part}": version for part, version in report.versions.items()}


def _totals(results: Sequence[Result]) -> dict[str, str]:
    def count(status: Status) -> str:
        return str(sum(result.status is status for result in results))

    return {
        "tests": str(len(results)),
        "failures": count(Status.FAILED),
        "errors": "0",
        "skipped": count(Status.SKIPPED),
    }


def _host(report: Report) -> str:
    try:
        return urlsplit(report.address).hostname or report.site
    except ValueError:
        return report.site


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"


def _element(tag: str, text: str = "", **attributes: str) -> Element:
    made = Element(tag, {name: visible(value) for name, value in attributes.items()})
    made.text = visible(text) or None
    return made

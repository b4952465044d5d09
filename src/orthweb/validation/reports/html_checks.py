"""The checks on the page: what to do, what was not looked at, and each subject with its evidence."""

from __future__ import annotations

from collections.abc import Sequence

from orthweb.validation.check import Report, Result, Status
from orthweb.validation.look import Evidence
from orthweb.validation.reports.html_icons import icon, status_label
from orthweb.validation.reports.markup import Child, Element, anchor, node, table
from orthweb.validation.reports.words import (
    COUNT_WORDS,
    STATUS_WORDS,
    by_subject,
    duration,
    subject_question,
    subject_title,
    troubles,
)

# What stands beside its name, and what stays on one sheet of paper.
_LINE, _SHORT, _SHORT_LINES = 160, 2000, 20


def to_do(report: Report) -> Element | None:
    """What failed and what needs attention, the failures first, with what to do; None when there is nothing to do."""
    items = [
        _task(result)
        for wanted in (Status.FAILED, Status.WARNING)
        for result in report.results
        if result.status is wanted
    ]
    if not items:
        return None
    return _section("what-to-do", "What to do", node("ol", *items, class_="tasks"))


def overview(report: Report) -> Element:
    """How many checks of each subject came to what."""
    rows = []
    for subject, results in by_subject(report.results).items():
        link = node("a", _said(subject_title(subject)), href=f"#{anchor('subject', subject)}")
        rows.append(node("tr", node("th", link, scope="row"), *(_count(results, status) for status in STATUS_WORDS)))
    counted = table(("Subject", *COUNT_WORDS.values()), rows, class_="overview")
    return _section("overview", "Overview", counted)


def not_checked(report: Report) -> Element | None:
    """What could not be looked at and why, so that nobody takes it for passed; None when all was."""
    reasons: dict[str, list[Result]] = {}
    for result in report.results:
        if result.status is Status.SKIPPED:
            reasons.setdefault(result.message, []).append(result)
    if not reasons:
        return None
    groups = [
        node("div", node("dt", reason, dir="auto"), node("dd", *_links(results))) for reason, results in reasons.items()
    ]
    return _section("not-checked", "Not checked", node("dl", *groups))


def subjects(report: Report) -> list[Element]:
    """Each subject with all that its checks said."""
    return [_subject(subject, results) for subject, results in by_subject(report.results).items()]


def guide(report: Report) -> Element | None:
    """Which steps of the guide to Orthanc on AWS were made here; None when none was."""
    steps: dict[str, list[Result]] = {}
    for result in report.results:
        if result.check.guide:
            steps.setdefault(result.check.guide, []).append(result)
    if not steps:
        return None
    rows = [node("tr", node("th", _said(step), scope="row"), node("td", *_links(made))) for step, made in steps.items()]
    lead = "The guide to Orthanc on AWS has these steps made by hand. These checks stand in for them."
    steps_table = table(("Step of the guide", "Checks"), rows)
    return _section("guide", "Steps by hand that this replaces", node("p", lead), steps_table)


def _section(name: str, title: str, *children: Child) -> Element:
    heading = node("h2", title, id=name)
    return node("section", heading, *children, aria_labelledby=name, class_=f"part {name}")


def _task(result: Result) -> Element:
    link = node("a", _said(result.check.id), href=f"#{anchor('check', result.check.id)}")
    head = node("p", status_label(result.status), node("code", link), class_="head")
    return node("li", head, *_troubles(result), class_=result.status.value)


def _troubles(result: Result) -> list[Element]:
    return [
        node(
            "div",
            node("p", message, dir="auto", class_="wrong"),
            node("p", node("span", "What to do: ", class_="unseen"), _said(remedy), class_="remedy")
            if remedy
            else None,
            class_="trouble",
        )
        for message, remedy in troubles(result)
    ]


def _subject(subject: str, results: Sequence[Result]) -> Element:
    name, question = anchor("subject", subject), subject_question(subject)
    counts = [(status, sum(result.status is status for result in results)) for status in STATUS_WORDS]
    said = ", ".join(f"{count} {STATUS_WORDS[status].lower()}" for status, count in counts if count)
    return node(
        "section",
        node("h2", _said(subject_title(subject)), id=name),
        node("p", f"{question} " if question else None, node("span", said, class_="tally"), class_="question"),
        *(_check(result) for result in results),
        aria_labelledby=name,
        class_="part subject",
    )


def _check(result: Result) -> Element:
    about: list[Child] = [node("code", _said(result.check.id))]
    if result.status is not Status.SKIPPED:
        about.append(node("span", duration(result.seconds), class_="duration"))
    guide = result.check.guide
    wrong = _troubles(result)
    return node(
        "article",
        node("p", status_label(result.status)),
        node(
            "div",
            node("h3", result.check.proves, dir="auto"),
            *(wrong or [node("p", result.message, dir="auto", class_="message")]),
            node("p", "Replaces in the guide: ", _said(guide), class_="replaces") if guide else None,
        ),
        node("p", *about, class_="about"),
        _evidence(result) if result.evidence else None,
        id=anchor("check", result.check.id),
        class_=f"check {result.status.value}",
    )


def _evidence(result: Result) -> Element:
    whose = node("span", " of ", result.check.id, class_="unseen")
    summary = node("summary", "Evidence", whose)
    return node("details", summary, node("dl", *(_exhibit(evidence) for evidence in result.evidence)))


def _exhibit(evidence: Evidence) -> Element:
    # Browsers drop a line feed that directly follows <pre>, but not one in an element of its own.
    text = node("pre", node("samp", evidence.text), dir="auto")
    return node("div", node("dt", evidence.name, dir="auto"), node("dd", text), class_=_extent(evidence.text))


def _extent(text: str) -> str:
    if len(text) <= _LINE and "\n" not in text:
        return "line"
    return "short" if len(text) <= _SHORT and text.count("\n") < _SHORT_LINES else "long"


def _count(results: Sequence[Result], status: Status) -> Element:
    count = sum(result.status is status for result in results)
    return node("td", str(count), class_=status.value if count else "none")


def _links(results: Sequence[Result]) -> list[Element]:
    return [
        node(
            "a",
            icon(result.status),
            node("span", STATUS_WORDS[result.status], ": ", class_="unseen"),
            _said(result.check.id),
            href=f"#{anchor('check', result.check.id)}",
            class_=f"result {result.status.value}",
        )
        for result in results
    ]


def _said(text: str) -> Element:
    """Text of the site within a line, whose direction changes nothing around it."""
    return node("bdi", text)

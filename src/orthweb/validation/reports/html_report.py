"""A report as one page that needs nothing else: to read in a browser, to print, and to mail to an auditor."""

from __future__ import annotations

import base64
from importlib.resources import files

from orthweb import __version__
from orthweb.validation.check import Report, Status
from orthweb.validation.reports.html_certificates import certificates
from orthweb.validation.reports.html_checks import guide, not_checked, overview, subjects, to_do
from orthweb.validation.reports.html_icons import icon, shares, status_label
from orthweb.validation.reports.markup import Element, node, page, table
from orthweb.validation.reports.words import COUNT_WORDS, STATUS_WORDS, duration, minute, verdict

_MEANINGS = {
    Status.PASSED: "What the sentence says was looked at and holds.",
    Status.WARNING: "It holds, but something about it should be changed soon.",
    Status.FAILED: "It does not hold, or could not be seen to hold in time.",
    Status.SKIPPED: "It was not looked at, for the reason given. Nothing is known about it.",
}


def to_html(report: Report) -> str:
    """Make the page; the same report always gives the same page."""
    title = f"{report.site}: validation report of {minute(report.started)}"
    style = files("orthweb.validation.reports").joinpath("page.css").read_text(encoding="utf-8")
    parts = [
        to_do(report),
        node("div", overview(report), _picture(report), class_="glance"),
        not_checked(report),
        certificates(report.certificates, report.started),
        *subjects(report),
        _versions(report),
        guide(report),
        _meanings(),
    ]
    main = node("main", *parts, id="main")
    return page(title, style, node("a", "To the findings", href="#main", class_="skip"), _head(report), main, _foot())


def _head(report: Report) -> Element:
    status, sentence = verdict(report)
    facts = {
        "Address": report.address,
        "Environment": report.environment,
        "Owner": report.owner,
        "Validated": minute(report.started),
        "Took": duration(report.seconds),
        "Orthweb": __version__,
    }
    return node(
        "header",
        node("p", node("b", "Orthweb"), " validation report", class_="brand"),
        node("h1", node("bdi", report.site)),
        node("p", icon(status), node("span", sentence), class_=f"verdict {status.value}"),
        _counts(report),
        node(
            "dl",
            *(node("div", node("dt", name), node("dd", node("bdi", value))) for name, value in facts.items() if value),
            class_="facts",
        ),
    )


def _counts(report: Report) -> Element:
    counts = {status: report.count(status) for status in STATUS_WORDS}
    items = [_count(status, count) for status, count in counts.items()]
    return node("div", node("ul", *items), shares(counts), class_="counts")


def _count(status: Status, count: int) -> Element:
    word = STATUS_WORDS[status] if count == 1 else COUNT_WORDS[status]
    return node("li", node("b", str(count)), " ", icon(status), word, class_=status.value if count else "none")


def _picture(report: Report) -> Element | None:
    if report.image is None:
        return None
    kind = _kind(report.image)
    if kind is None:
        return node(
            "p", f"The site rendered {len(report.image)} bytes that are neither PNG nor JPEG.", class_="picture"
        )
    data = f"data:image/{kind};base64,{base64.b64encode(report.image).decode()}"
    words = "The test image as the site renders it"
    return node("figure", node("img", src=data, alt=words), node("figcaption", words + "."), class_="picture")


def _kind(image: bytes) -> str | None:
    """Tell by its first bytes what an image is (PNG, 5.2; ISO 10918-1, B.1.1.3)."""
    kinds = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}
    return next((kind for magic, kind in kinds.items() if image.startswith(magic)), None)


def _versions(report: Report) -> Element:
    parts = {"Orthweb": __version__, **report.versions}
    rows = [
        node("tr", node("th", node("bdi", part), scope="row"), node("td", node("bdi", version)))
        for part, version in parts.items()
    ]
    heading = node("h2", "Versions", id="versions")
    return node("section", heading, table(("Part", "Version"), rows), aria_labelledby="versions", class_="part")


def _meanings() -> Element:
    words = [
        node("div", node("dt", status_label(status)), node("dd", meaning)) for status, meaning in _MEANINGS.items()
    ]
    heading = node("h2", "What the words mean", id="words")
    return node("section", heading, node("dl", *words, class_="meanings"), aria_labelledby="words", class_="part")


def _foot() -> Element:
    return node(
        "footer",
        node("p", f"Made by 'orthweb validate --html', Orthweb {__version__}. All times are in UTC."),
        node("p", "This page is complete: it loads nothing and sends nothing."),
    )

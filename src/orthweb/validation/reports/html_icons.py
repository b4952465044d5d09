"""Pictures of the page, drawn in it: a status is known by its shape and its word, not by its colour alone."""

from __future__ import annotations

from orthweb.validation.check import Status
from orthweb.validation.reports.markup import Element, node
from orthweb.validation.reports.words import STATUS_WORDS

# In a square of 16 by 16.
_SHAPES = {
    Status.PASSED: ("M8 0a8 8 0 1 1 0 16A8 8 0 0 1 8 0Z", "M4.4 8.3l2.5 2.5 4.8-5.3"),
    Status.WARNING: (
        "M7 .9a1.2 1.2 0 0 1 2 0l6.8 12.6a1.2 1.2 0 0 1-1 1.8H1.2a1.2 1.2 0 0 1-1-1.8Z",
        "M8 5.2v4.6M8 12v.9",
    ),
    Status.FAILED: ("M4.7 0h6.6L16 4.7v6.6L11.3 16H4.7L0 11.3V4.7Z", "M5 5l6 6M11 5l-6 6"),
    Status.SKIPPED: ("M3 0h10a3 3 0 0 1 3 3v10a3 3 0 0 1-3 3H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3Z", "M4.5 8h7"),
}


def icon(status: Status) -> Element:
    """The shape of a status; the word has to stand beside it."""
    ground, mark = _SHAPES[status]
    shapes = node("path", d=ground, class_="ground"), node("path", d=mark, class_="mark")
    return node("svg", *shapes, class_="icon", viewBox="0 0 16 16", aria_hidden="true", focusable="false")


def status_label(status: Status) -> Element:
    return node("span", icon(status), STATUS_WORDS[status], class_=f"status {status.value}")


def shares(counts: dict[Status, int]) -> Element:
    """A bar with a part for each status; the numbers have to stand beside it."""
    total, before = sum(counts.values()), 0
    parts: list[Element] = []
    for status, count in counts.items():
        if count:
            at, wide = 100 * before / total, 100 * count / total
            parts.append(node("rect", x=f"{at:.3f}%", width=f"{wide:.3f}%", height="100%", class_=status.value))
            before += count
    return node("svg", *parts, class_="shares", aria_hidden="true", focusable="false")

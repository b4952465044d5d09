"""The certificates on the page: until when each is valid, on one scale of time, and what it says."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orthweb.pki import CertificateInfo
from orthweb.validation.look import Certificate
from orthweb.validation.reports.markup import Element, node
from orthweb.validation.reports.words import day, days_left

_YEAR = datetime.timedelta(days=365)
# An authority may be valid for thirty years, which would leave a server's certificate no room.
_MOST_BEFORE, _MOST_AFTER = 3 * _YEAR, 11 * _YEAR
# Months between two ticks, and with how many of them the labels still have room on a phone.
_TICKS = ((1, 5), (2, 5), (3, 5), (6, 5), (12, 7), (24, 7))
_SOON_DAYS = 30


@dataclass(frozen=True)
class _Scale:
    """From when until when the bars show time."""

    start: datetime.datetime
    end: datetime.datetime

    def at(self, moment: datetime.datetime) -> float:
        """Where a moment is, in percent; the nearest edge when it is outside."""
        return min(100.0, max(0.0, 100 * ((moment - self.start) / (self.end - self.start))))


def certificates(shown: Sequence[Certificate], today: datetime.datetime) -> Element | None:
    """The certificates of the site, each once, the one that ends first at the top; None when there are none.

    Parameters
    ----------
    today:
        When the site was validated; time zone aware.
    """
    if not shown:
        return None
    scale = _scale([certificate.info for certificate in shown], today)
    return node(
        "section",
        node("h2", "Certificates", id="certificates"),
        _axis(scale, today),
        node("ol", *(_certificate(uses, info, scale, today) for uses, info in _distinct(shown)), class_="certificates"),
        aria_labelledby="certificates",
        class_="part",
    )


def _distinct(shown: Sequence[Certificate]) -> list[tuple[list[str], CertificateInfo]]:
    """Each certificate with all its uses: both ports may show the same."""
    uses: dict[str, list[str]] = {}
    infos: dict[str, CertificateInfo] = {}
    for certificate in shown:
        fingerprint = certificate.info.fingerprint_sha256
        uses.setdefault(fingerprint, []).append(certificate.use)
        infos[fingerprint] = certificate.info
    return sorted(((uses[each], infos[each]) for each in infos), key=lambda pair: pair[1].not_after)


def _scale(infos: Sequence[CertificateInfo], today: datetime.datetime) -> _Scale:
    start = max(today - _MOST_BEFORE, min(today, *(info.not_before for info in infos)))
    end = min(today + _MOST_AFTER, max(today, *(info.not_after for info in infos)))
    margin = (end - start) * 0.03 + datetime.timedelta(days=1)
    return _Scale(start - margin, end + margin)


def _certificate(uses: Sequence[str], info: CertificateInfo, scale: _Scale, today: datetime.datetime) -> Element:
    state, words = _state(info, today)
    # Inside a bar's own picture, so that a reader who doesn't see it hears the same.
    said = f"valid from {day(info.not_before)} to {day(info.not_after)}, validated on {day(today)}"
    left, right = scale.at(info.not_before), scale.at(info.not_after)
    bar = node(
        "rect", x=f"{left:.2f}%", width=f"{max(0.5, right - left):.2f}%", y="6", height="12", rx="3", class_=state
    )
    lines = [node("line", x1=at, x2=at, y1="0", y2="24", class_="grid") for at, _ in _ticks(scale)]
    now = f"{scale.at(today):.2f}%"
    lines += [bar, node("line", x1=now, x2=now, y1="0", y2="24", class_="today")]
    facts = (
        ("Valid", node("span", f"{day(info.not_before)} to {day(info.not_after)}")),
        ("Issuer", node("bdi", info.issuer)),
        ("Key", node("bdi", f"{info.key}, signed with {info.signature_algorithm}")),
        ("Subject", node("bdi", info.subject)),
        ("Names", node("bdi", ", ".join(info.names) or "none")),
        ("Serial number", _octets(info.serial)),
        ("SHA-256 fingerprint", _octets(info.fingerprint_sha256)),
    )
    return node(
        "li",
        node("h3", node("bdi", ", ".join(uses)), " ", node("span", words, class_=f"left {state}")),
        node("svg", *lines, class_="time", role="img", aria_label=said),
        node("dl", *(node("div", node("dt", name), node("dd", value)) for name, value in facts), class_="facts"),
    )


def _state(info: CertificateInfo, today: datetime.datetime) -> tuple[str, str]:
    if today < info.not_before:
        return "failed", f"not valid before {day(info.not_before)}"
    if info.days_left < 0:
        return "failed", f"expired on {day(info.not_after)}"
    return "warning" if info.days_left < _SOON_DAYS else "passed", days_left(info.days_left)


def _octets(text: str) -> Element:
    """Octets with colons between them, which may go on in the next line after a colon only."""
    first, *rest = text.split(":")
    return node("code", first, *(part for octet in rest for part in (":", node("wbr"), octet)))


def _axis(scale: _Scale, today: datetime.datetime) -> Element:
    now = scale.at(today)
    # So that the words stay within the picture.
    side, gap = ("start", "6") if now < 50 else ("end", "-6")
    labels = [node("text", label, x=at, y="34", class_="tick") for at, label in _ticks(scale)]
    marker = node("line", x1=f"{now:.2f}%", x2=f"{now:.2f}%", y1="2", y2="40", class_="today")
    word = node("text", day(today), x=f"{now:.2f}%", dx=gap, y="13", text_anchor=side, class_="today")
    return node("svg", marker, *labels, word, class_="axis", aria_hidden="true", focusable="false")


def _ticks(scale: _Scale) -> list[tuple[str, str]]:
    """Where the scale has a line, and its label."""
    for months, most in _TICKS:
        found = list(_every(months, scale))
        if len(found) <= most:
            break
    yearly = months >= 12
    return [(f"{scale.at(tick):.2f}%", str(tick.year) if yearly else f"{tick.year}-{tick.month:02}") for tick in found]


def _every(months: int, scale: _Scale) -> Iterator[datetime.datetime]:
    month = scale.start.year * 12
    while True:
        tick = datetime.datetime(month // 12, month % 12 + 1, 1, tzinfo=datetime.UTC)
        if tick > scale.end:
            return
        # A label at the very edge would not be whole.
        if 5 <= scale.at(tick) <= 95:
            yield tick
        month += months

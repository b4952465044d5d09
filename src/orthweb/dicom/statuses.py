"""Statuses of the storage, query and retrieve services: what they mean and what to do about them."""

from __future__ import annotations

from enum import Enum

SUCCESS = 0x0000
CANCELLED = 0xFE00
PENDING, PENDING_WARNING = 0xFF00, 0xFF01
SOP_CLASS_NOT_SUPPORTED = 0x0122
NOT_AUTHORIZED = 0x0124
UNRECOGNIZED_OPERATION = 0x0211
OUT_OF_RESOURCES = 0xA700
CANNOT_UNDERSTAND = 0xC000


class Verdict(Enum):
    """What a status means for an instance that was sent."""

    ACCEPTED = "accepted"
    WARNING = "accepted with a warning"
    AGAIN = "the destination's trouble"
    REFUSED = "the object's own fault"


_WORDS = {
    0x0000: "success",
    0x0001: "a requested optional attribute is not supported",
    0x0105: "no such attribute",
    0x0106: "invalid attribute value",
    0x0107: "attribute list error",
    0x0110: "processing failure",
    0x0111: "duplicate SOP instance",
    0x0112: "no such SOP instance",
    0x0115: "invalid argument value",
    0x0116: "attribute value out of range",
    0x0117: "invalid SOP instance",
    0x0119: "class and instance conflict",
    0x0120: "missing attribute",
    0x0122: "SOP class not supported",
    0x0124: "not authorized",
    0x0210: "duplicate invocation",
    0x0211: "unrecognized operation",
    0x0212: "mistyped argument",
    0x0213: "resource limitation",
    0xA701: "out of resources: cannot count the matches",
    0xA702: "out of resources: cannot perform the sub-operations",
    0xA801: "move destination unknown",
    0xB000: "coercion of data elements",
    0xB006: "elements discarded",
    0xB007: "data set does not match SOP class",
    0xFE00: "cancelled",
    0xFF00: "pending",
    0xFF01: "pending; an optional key is not supported",
}
_RANGES = [
    (0xA700, 0xA7FF, "out of resources"),
    (0xA900, 0xA9FF, "data set does not match SOP class"),
    (0xB000, 0xBFFF, "warning"),
    (0xC000, 0xCFFF, "cannot understand or process"),
]


def words(status: int) -> str:
    """Say in words what a status means (PS3.4 B.2.3, C.4; PS3.7 annex C), with its number."""
    found = _WORDS.get(status) or next((said for low, high, said in _RANGES if low <= status <= high), "unknown status")
    return f"{found} ({status:04X}H)"


def is_pending(status: int) -> bool:
    """More answers follow."""
    return status in (PENDING, PENDING_WARNING)


def is_warning(status: int) -> bool:
    """It was done, with a reservation (PS3.7 annex C.4)."""
    return status in (0x0001, 0x0107, 0x0116) or 0xB000 <= status <= 0xBFFF


def verdict(status: int) -> Verdict:
    """Judge a C-STORE response: whether the instance is there, and whether another try makes sense."""
    if status == SUCCESS:
        return Verdict.ACCEPTED
    if is_warning(status):
        return Verdict.WARNING
    if 0xA700 <= status <= 0xA7FF or status in (SOP_CLASS_NOT_SUPPORTED, NOT_AUTHORIZED, 0x0213):
        return Verdict.AGAIN
    return Verdict.REFUSED

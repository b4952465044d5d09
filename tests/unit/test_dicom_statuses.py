"""What a status means for an instance that was sent: there, to be tried again, or refused for good."""

from __future__ import annotations

import pytest

from orthweb.dicom.errors import abortion, rejection
from orthweb.dicom.statuses import Verdict, is_pending, verdict, words

VERDICTS = {
    0x0000: Verdict.ACCEPTED,
    0xB000: Verdict.WARNING,
    0xB006: Verdict.WARNING,
    0xB007: Verdict.WARNING,
    0x0107: Verdict.WARNING,
    0xA700: Verdict.AGAIN,
    0xA7FF: Verdict.AGAIN,
    0x0122: Verdict.AGAIN,
    0x0124: Verdict.AGAIN,
    0x0213: Verdict.AGAIN,
    0x0110: Verdict.REFUSED,
    0x0117: Verdict.REFUSED,
    0xA900: Verdict.REFUSED,
    0xC000: Verdict.REFUSED,
    0xCFFF: Verdict.REFUSED,
    0x1234: Verdict.REFUSED,
}


@pytest.mark.parametrize(("status", "expected"), VERDICTS.items(), ids=[f"{status:04X}" for status in VERDICTS])
def test_a_status_of_a_store_says_what_to_do(status: int, expected: Verdict) -> None:
    assert verdict(status) is expected


def test_every_status_has_words_and_its_number() -> None:
    for status in range(0x10000):
        said = words(status)
        assert said.endswith(f"({status:04X}H)")
        assert len(said) > 8
    assert words(0xA7AB).startswith("out of resources")
    assert words(0xA702) == "out of resources: cannot perform the sub-operations (A702H)"
    assert words(0x1234).startswith("unknown status")


def test_only_pending_has_more_to_come() -> None:
    assert [status for status in range(0x10000) if is_pending(status)] == [0xFF00, 0xFF01]


def test_rejections_and_aborts_are_said_in_words() -> None:
    assert rejection(1, 1, 7) == "called AE title not recognized (for good)"
    assert rejection(2, 3, 2) == "local limit exceeded (for now)"
    assert rejection(1, 9, 9) == "source 9, reason 9 (for good)"
    assert abortion(0, 0) == "aborted by the peer"
    assert abortion(2, 2) == "aborted by the peer's upper layer: unexpected PDU"
    assert abortion(2, 77) == "aborted by the peer's upper layer: reason 77"

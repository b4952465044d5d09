"""Every input that fuzzing ever found, and every one that it begins with, is of no harm."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicom_oracle import TARGETS
from dicom_seeds import seeds

FOUND = Path(__file__).resolve().parents[1] / "fuzz" / "found"


@pytest.mark.parametrize("target", TARGETS)
def test_what_fuzzing_begins_with_does_no_harm(target: str) -> None:
    count = 0
    for data in seeds(target):
        TARGETS[target](data)
        count += 1
    assert count > 50


@pytest.mark.parametrize("target", TARGETS)
def test_what_fuzzing_found_does_no_harm_any_more(target: str) -> None:
    for path in sorted((FOUND / target).glob("*")):
        TARGETS[target](path.read_bytes())

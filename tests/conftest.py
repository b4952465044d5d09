"""What holds for all tests."""

from __future__ import annotations

import os
import signal
from collections import Counter, defaultdict
from pathlib import Path

import pytest

# A shell that starts the tests in the background has SIGINT ignored, and what they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Terraform spends a third of its processor time on memory that there is enough of here.
os.environ.setdefault("GOGC", "400")

_LONGEST = ("test_aws_host.py", "test_site_on_aws.py")
_LATER = ("test_own_host.py", "test_ground.py")
"""Files that need the images which the first of the longest makes, where they have not been made yet."""
_SHARED = ("site", "breakable")
"""Fixtures that stay up, with a few percent of a core each, from their first test to the end of the run."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for minutes comes first, so that others run meanwhile; and files with shared sites come last."""
    ranks: dict[Path, float] = defaultdict(float)
    for item in items:
        used = item.fixturenames if isinstance(item, pytest.Function) else []
        rank = sum((index + 1) * (name in used) for index, name in enumerate(_SHARED))
        ranks[item.path] = max(ranks[item.path], rank)
    for number, name in enumerate(reversed(_LONGEST), 1):
        ranks |= {path: -number for path in ranks if path.name == name}
    ranks |= {path: 0.5 for path in ranks if path.name in _LATER}
    # Of those that come last the short ones do, so that no worker is left with a long one.
    sizes = Counter(item.path for item in items)
    items.sort(key=lambda item: (ranks[item.path], -sizes[item.path] if ranks[item.path] >= 1 else 0))

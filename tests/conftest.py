"""What holds for all tests."""

from __future__ import annotations

import signal

import pytest

# A shell that starts the tests in the background has SIGINT ignored, and what they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for minutes comes first, so that others run meanwhile."""
    items.sort(key=lambda item: "test_site_on_aws.py" not in item.nodeid)

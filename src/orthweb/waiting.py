"""Waits for a condition with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable

from orthweb.errors import Failure


def wait_for(
    condition: Callable[[], bool],
    limit: float,
    what: str,
    pause: float = 0.03,
    remedy: str = "see 'orthweb status' and 'orthweb logs'",
) -> None:
    """Wait until `condition` holds.

    Parameters
    ----------
    limit:
        Seconds.
    what:
        What is waited for, for the message.

    Raises
    ------
    Failure
        It did not hold within the limit.
    """
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"waited {limit:.0f} s for {what}", remedy)
        time.sleep(pause)

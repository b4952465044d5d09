"""Bounds how fast objects are read, so that a site in use does not feel an audit; and ends the readers."""

from __future__ import annotations

import threading
import time

PIECE = 1 << 20
"""Bytes that are read at once."""


class Ended(Exception):
    """Whoever reads is to stop: the audit was interrupted."""


class Pace:
    """A rate that all readers share; safe to use from many threads.

    Parameters
    ----------
    rate:
        Bytes a second; 0 for as fast as it goes.
    """

    def __init__(self, rate: float = 0) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._free_at = 0.0
        self.bytes = 0
        """What was read so far."""

    def take(self, count: int) -> None:
        """Account for `count` bytes that were read, and wait until the next may be.

        Raises
        ------
        Ended
            Nobody wants them any more.
        """
        with self._lock:
            self.bytes += count
            now = time.monotonic()
            # A reader that was slower than the rate does not make up for it afterwards.
            self._free_at = max(self._free_at, now) + (count / self._rate if self._rate else 0)
            wait = self._free_at - now
        if self._ended.wait(wait) if wait > 0 else self._ended.is_set():
            raise Ended

    def end(self) -> None:
        """Have every reader stop at its next piece."""
        self._ended.set()

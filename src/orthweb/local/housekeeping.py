"""Keeps the logs of a site from filling the disk: `python -m orthweb.local.housekeeping FOLDER`.

The processes write their logs themselves and keep them open, so a log that has grown is copied and emptied in place.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from threading import Event

MOST_BYTES = 20 * 1024 * 1024
KEPT = 5
_PAUSE_SECONDS = 30


def rotate(log: Path, most_bytes: int = MOST_BYTES, kept: int = KEPT) -> bool:
    """Move what `log` holds to `log.1`, and older ones up by one, when it is larger than `most_bytes`."""
    if log.stat().st_size <= most_bytes:
        return False
    for number in range(kept - 1, 0, -1):
        older = _numbered(log, number)
        if older.exists():
            os.replace(older, _numbered(log, number + 1))
    copy = _numbered(log, 1)
    shutil.copyfile(log, copy)
    os.chmod(copy, 0o600)
    # Whoever writes appends, so it goes on at the new end.
    os.truncate(log, 0)
    return True


def _numbered(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")


def main() -> None:
    folder, ended = Path(sys.argv[1]), Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    while not ended.wait(_PAUSE_SECONDS):
        for log in folder.glob("*.log"):
            rotate(log)


if __name__ == "__main__":
    main()

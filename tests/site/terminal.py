"""A terminal for a command, so that a test sees what a person sees."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
from pathlib import Path

from harness import ORTHWEB, TestSite


def on_a_terminal(site: TestSite, *words: str | Path, columns: int = 200) -> tuple[int, str]:
    """Run a command with a terminal for its output and its errors; returns its status and what stood there."""
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", "TERM": "xterm"}
    environment |= {"COLUMNS": str(columns)}
    environment |= {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    command = [*ORTHWEB, "-C", str(site.folder), *(str(word) for word in words)]
    process = subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    # The end of a terminal is an error.
    with contextlib.suppress(OSError):
        while some := os.read(ours, 65536):
            shown += some
    os.close(ours)
    return process.wait(60), re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())

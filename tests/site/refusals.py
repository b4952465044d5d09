"""What a refused command looks like from outside, and that it left nothing half done."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from harness import ORTHWEB, Done, TestSite

BEFORE_UP = {"lock", "history.jsonl"}
"""All that is left in `.orthweb` by a command that changed nothing."""


def refused(done: Done, *words: str, status: int = 2) -> None:
    """One line for a person, with all of `words` in it."""
    lines = done.err.splitlines()
    assert done.status == status, done.all
    assert done.out == ""
    assert "Traceback" not in done.err, done.err
    assert len(lines) == 1, done.err
    assert lines[0].startswith("orthweb: "), done.err
    for word in words:
        assert word in lines[0], f"{word!r} is not in {lines[0]!r}"


def made(site: TestSite) -> set[str]:
    return {entry.name for entry in site.state.iterdir()} if site.state.exists() else set()


def processes(site: TestSite) -> list[str]:
    """Command lines of everything on this machine that has to do with the site."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_text().replace("\0", " ") if entry.name.isdigit() else ""
        except OSError:
            continue
        if f"{site.folder}/" in command:
            found.append(command)
    return found


def start(site: TestSite) -> subprocess.Popen[str]:
    """Begin an `up` and go on."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    environment |= {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    command = [*ORTHWEB, "-C", str(site.folder), "up"]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

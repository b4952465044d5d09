"""Carries out commands of the system, which the callers make as values."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

Say = Callable[[str], None]
Command = list[str]

INSTALLING = "ORTHWEB_INSTALLING"
"""Set for everything that an installation of ours runs, so that it can be told from others."""
# sudo and an unprivileged caller's PATH may lack the folders that dpkg needs.
ENVIRONMENT = [
    "env",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL=C.UTF-8",
    "DEBIAN_FRONTEND=noninteractive",
    "NEEDRESTART_SUSPEND=1",
    f"{INSTALLING}=1",
]


@dataclass(frozen=True)
class Result:
    """How a command ended: its exit status, and what it wrote to both streams."""

    status: int
    output: str


class Run(Protocol):
    """Carries out one command, with `text` on its standard input; `hear` gets each line that it writes."""

    def __call__(self, command: Sequence[str], text: str = "", hear: Say | None = None) -> Result: ...


def execute(command: Sequence[str], text: str = "", hear: Say | None = None) -> Result:
    """Run a command to its end, with its output through a file: a service that it starts may keep a pipe."""
    with tempfile.TemporaryFile("w+") as given, tempfile.NamedTemporaryFile("r", errors="replace") as heard:
        given.write(text)
        given.seek(0)
        with open(heard.name, "ab") as written:
            process = subprocess.Popen(command, stdin=given, stdout=written, stderr=subprocess.STDOUT)
        lines = ""
        try:
            ended = False
            while not ended:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.1)
                    ended = True
                *complete, rest = (lines + heard.read()).split("\n")
                for line in complete if hear else ():
                    hear(line)  # type: ignore[misc]  # mypy forgets the condition
                lines = rest
        except BaseException:
            # dpkg must not be cut off in the middle: apt-get stops after the package in hand.
            with contextlib.suppress(PermissionError):
                process.send_signal(signal.SIGINT)
            process.wait()
            raise
        heard.seek(0)
        return Result(process.returncode, heard.read())

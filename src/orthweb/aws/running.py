"""Runs Terraform and passes on what it says, and lets it write its state to the end whatever happens to us.

Terraform writes into a file and not into a pipe: when this process is killed, Terraform goes on and ends as it would
have. It is in a session of its own, so that Ctrl-C reaches it once, through us.
Format of what it says: https://developer.hashicorp.com/terraform/internals/machine-readable-ui
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from orthweb.aws.program import Program
from orthweb.errors import Failure

Event = dict[str, Any]
Heard = Callable[[Event], None]

_LOOK_SECONDS = 0.05
_LAST_WORDS = 5


@dataclass
class Run:
    """How a run of Terraform ended."""

    status: int = 0
    interrupted: bool = False
    last_words: list[str] = field(default_factory=list)
    """The last lines that were no events, such as a crash's."""


def run(
    program: Program,
    folder: Path,
    words: Sequence[str],
    log: Path,
    heard: Heard,
    environment: Mapping[str, str] | None = None,
) -> Run:
    """Run Terraform in a folder until it has ended.

    Parameters
    ----------
    words:
        Subcommand and options.
    log:
        File that all it says is added to.
    heard:
        Called with each event while it runs; an interruption is the event `{"type": "interrupted"}`.

    Raises
    ------
    Failure
        The program cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as written, log.open("rb") as followed:
        followed.seek(0, os.SEEK_END)
        try:
            process = subprocess.Popen(
                [program.path, *words],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=_environment(os.environ if environment is None else environment),
            )
        except OSError as error:
            raise Failure(f"{program.path}: {error.strerror}", "see that it can be run") from None
        return _follow(process, followed, heard)


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """What would make it ask or phone home is off, and so are options of a person's own shell."""
    ours = {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}
    return {**{name: value for name, value in given.items() if not name.startswith("TF_CLI_ARGS")}, **ours}


def _follow(process: subprocess.Popen[bytes], followed: IO[bytes], heard: Heard) -> Run:
    ended = Run()
    while True:
        try:
            for event in _events(process, followed, ended.last_words):
                heard(event)
            ended.status = process.wait()
        except KeyboardInterrupt:
            # Once: at the second time it would drop what it has not written yet.
            if not ended.interrupted:
                ended.interrupted = True
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGINT)
                heard({"type": "interrupted"})
        else:
            return ended


def _events(process: subprocess.Popen[bytes], followed: IO[bytes], others: list[str]) -> Iterator[Event]:
    """Give what was said, until the process has ended and all was read."""
    rest = b""
    over = False
    while not over:
        over = process.poll() is not None
        *lines, rest = (rest + followed.read()).split(b"\n")
        for line in lines:
            yield from _event(line, others)
        if not over:
            time.sleep(_LOOK_SECONDS)
    yield from _event(rest, others)


def _event(line: bytes, others: list[str]) -> Iterator[Event]:
    text = line.decode(errors="replace").strip()
    try:
        event = json.loads(text)
    except ValueError:
        event = None
    if isinstance(event, dict):
        yield event
    elif text:
        others.append(text)
        del others[:-_LAST_WORDS]

"""Tells how a host is: in the journal, on the console, in a file for `orthweb host status`, and in its log on AWS."""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from orthweb.errors import Failure
from orthweb.site.files import write_file
from orthweb.site.voice import Voice

STARTING, WAITING, HEALTHY, FAILED, STOPPED = "starting", "waiting", "healthy", "failed", "stopped"


@dataclass(frozen=True)
class State:
    """How a host is.

    Parameters
    ----------
    state:
        `starting`, `waiting` for something that comes by itself, `healthy`, `failed` or `stopped`.
    message:
        What it is doing or waiting for, or what went wrong; one line.
    since:
        When it was said, in UTC (ISO 8601).
    version:
        The Orthweb that said it.
    """

    state: str
    message: str
    since: str
    version: str


class Report:
    """What a command on a host says.

    Parameters
    ----------
    file:
        Where the last state is kept.
    voice:
        The command line's.
    """

    def __init__(self, file: Path, voice: Voice, version: str) -> None:
        self._file, self._voice, self._version = file, voice, version
        self._said = ""
        self.send: Callable[[str], None] | None = None
        """Sends a state elsewhere as well, once it is known where to."""

    @property
    def voice(self) -> Voice:
        """What the engine of the containers is heard with."""
        return Voice(self._voice.say, self._voice.warn, self._step)

    def tell(self, state: str, message: str) -> None:
        """Keep a state, and say it when it is another than before."""
        if self._said == (said := f"{state}: {message}"):
            return
        self._said = said
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        text = json.dumps(asdict(State(state, message, now, self._version)))
        try:
            write_file(self._file, text + "\n", 0o644)
        finally:
            if state != FAILED:
                # The command line says what it failed of.
                self._voice.say(said)
            if self.send is not None:
                # Not worth failing for: the host is what counts, and the journal has the line.
                with contextlib.suppress(Failure):
                    self.send(text)

    def _step(self, line: str) -> None:
        self._voice.step(line)
        self.tell(STARTING, line.removeprefix("starting "))


def read_state(file: Path) -> State | None:
    """What was last told; None when nothing was since the host started."""
    try:
        return State(**json.loads(file.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None

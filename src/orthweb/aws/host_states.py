"""What the hosts of a site say of themselves in their log, and waiting until they are healthy."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from orthweb.aws.applied import Applied
from orthweb.aws.hosts import RUNNING, look_at_hosts
from orthweb.errors import Failure
from orthweb.site.voice import Voice

HEALTHY = "healthy"
_LIMIT_SECONDS = 2400.0
_PAUSE_SECONDS = 5.0


@dataclass(frozen=True)
class HostState:
    """The last thing that a host said.

    Attributes
    ----------
    state:
        `starting`, `waiting`, `healthy`, `failed` or `stopped`; `silent` where it has said nothing yet.
    message:
        What it is doing or waiting for, or what went wrong.
    version:
        The Orthweb that it runs.
    """

    state: str
    message: str
    version: str

    @property
    def words(self) -> str:
        """Both in one line."""
        return self.message if self.state == _QUIET else f"{self.state}: {self.message}"


_QUIET = "silent"
_SILENT = HostState(_QUIET, "has said nothing yet: it boots, or fetches what it runs", "")


def host_states(applied: Applied) -> dict[str, HostState]:
    """Read what each host last said, by role; raises Failure when AWS refuses."""
    return {role: _last(applied, instance) for role, instance in applied.instances.items()}


def wait_until_healthy(applied: Applied, voice: Voice) -> None:
    """Wait until every host that is switched on says that it is healthy, and tell what they say meanwhile.

    Raises
    ------
    Failure
        One does not within 40 minutes.
    """
    on = [role for role, host in look_at_hosts(applied).items() if host.state == RUNNING]
    end, told = time.monotonic() + _LIMIT_SECONDS, dict.fromkeys(on, "")
    while on:
        states = host_states(applied)
        for role in on:
            if told[role] != states[role].words:
                told[role] = states[role].words
                voice.say(f"{role}: {told[role]}")
        waited = [role for role in on if states[role].state != HEALTHY]
        if not waited:
            return
        voice.step("; ".join(f"{role}: {states[role].words}" for role in waited))
        if time.monotonic() > end:
            role = waited[0]
            raise Failure(
                f"{role} is not healthy after {_LIMIT_SECONDS / 60:.0f} minutes: {states[role].words}",
                f"'orthweb connect {role} --log' shows its start; 'orthweb apply' waits again",
            )
        time.sleep(_PAUSE_SECONDS)


def as_words(line: str) -> str:
    """A line of the hosts' log as a person reads it."""
    state = _state(line)
    return line if state is None else state.words


def _last(applied: Applied, instance: str) -> HostState:
    from botocore.exceptions import ClientError

    group = str(applied.parts["log_groups"]["boot"])
    logs = applied.account.client("logs")
    with applied.account.told():
        try:
            found = logs.get_log_events(logGroupName=group, logStreamName=instance, limit=20, startFromHead=False)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            return _SILENT
    states = [state for event in found["events"] if (state := _state(str(event["message"]))) is not None]
    return states[-1] if states else _SILENT


def _state(line: str) -> HostState | None:
    try:
        told = json.loads(line)
        return HostState(str(told["state"]), str(told["message"]), str(told["version"]))
    except (ValueError, LookupError, TypeError):
        # Docker's and cloud-init's lines may go to the same log one day.
        return None

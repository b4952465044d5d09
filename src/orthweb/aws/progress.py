"""How far Terraform is, from its events: what is done of how much, and what it is waiting for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orthweb.render.terraform import MODULE

# What takes minutes, and why; of the rest nobody has to be told.
_SLOW = {
    "aws_db_instance": "RDS sets up the database and its standby in the other zone: 10 to 15 minutes",
    "aws_instance": "the hosts boot",
    "aws_vpc_endpoint": "a private door to a service of AWS, in each subnet",
    "aws_kms_key": "the key has to be known everywhere before it is used",
    "aws_s3_bucket_lifecycle_configuration": "S3 takes its time to confirm the rules",
    "aws_security_group": "AWS lets go of it only when nothing uses it any more",
    "aws_subnet": "AWS lets go of it only when nothing uses it any more",
}
_VERBS = {"create": "making", "update": "changing", "delete": "removing"}


@dataclass(frozen=True)
class Step:
    """Something that is under way."""

    address: str
    kind: str
    action: str
    since: float

    @property
    def what(self) -> str:
        """What is done, in words."""
        return f"{_VERBS.get(self.action, self.action)} {self.address.removeprefix(f'module.{MODULE}.')}"

    @property
    def why(self) -> str:
        """Why it takes long; empty where it does not."""
        return _SLOW.get(self.kind, "")


class Progress:
    """Counts what is done.

    Parameters
    ----------
    total:
        How many steps there are: as many as the plan's changes have.
    clock:
        Gives seconds.
    """

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self.done = 0
        self.running: dict[str, Step] = {}
        self.failed: list[str] = []
        self._clock = clock

    def hear(self, event: Mapping[str, Any]) -> str | None:
        """Take an event; returns a line about what was finished, None when nothing was."""
        kind = event.get("type")
        hook = event.get("hook") or {}
        # What is read is no step: the plan does not count it.
        if kind not in ("apply_start", "apply_complete", "apply_errored") or hook.get("action") in ("read", "noop"):
            return None
        address = hook["resource"]["addr"]
        if kind == "apply_start":
            # One that is replaced comes twice under the same address.
            self.running[address] = Step(address, hook["resource"]["resource_type"], hook["action"], self._clock())
            return None
        step = self.running.pop(address, None)
        if kind == "apply_errored":
            self.failed.append(address)
            return None
        self.done += 1
        seconds = hook.get("elapsed_seconds", 0)
        return f"{step.what if step else address}: done after {seconds} s"

    def longest(self) -> tuple[Step, float] | None:
        """What has been under way for longest, and for how many seconds."""
        if not self.running:
            return None
        step = min(self.running.values(), key=lambda step: step.since)
        return step, self._clock() - step.since

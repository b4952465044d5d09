"""Decides what comes next on the way of the site's address to a host, from what was seen of both hosts.

Nothing is done here: whoever drives asks anew after each step, so that a failover that was interrupted goes on from
wherever it is.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from orthweb.aws.applied import ROLES
from orthweb.aws.hosts import GONE, RUNNING, STOPPED, Host
from orthweb.aws.outside import Answer
from orthweb.errors import Failure

# A host that has been up for longer than this and is not well is not about to be.
_BOOT = datetime.timedelta(minutes=10)
SETTLED_SECONDS = 30.0
"""What a host that has been up for long gets to show that it was only a moment's weakness."""
# AWS gives a host that has lost the site's address one of its own within a few minutes.
_ADDRESS_SECONDS = 300.0


@dataclass(frozen=True)
class Look:
    """What was seen of a host at one time.

    Attributes
    ----------
    answer:
        What its own address answered; None when it was not asked.
    unseen:
        Why it was not asked, in words; empty when it was.
    """

    host: Host
    answer: Answer | None = None
    unseen: str = ""


class Health(Enum):
    """How a host is."""

    WELL = "well"
    UNSEEN = "not seen from outside, and well by EC2's checks"
    STARTING = "starting"
    STOPPED = "stopped"
    SICK = "sick"
    GONE = "gone"


class Action(Enum):
    """What comes next."""

    START = "start"
    WAIT = "wait"
    MOVE = "move"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Step:
    """What comes next, and why; the reason of a move is empty when nothing speaks against it."""

    action: Action
    why: str = ""


def health(look: Look, now: datetime.datetime, boot: datetime.timedelta = _BOOT) -> tuple[Health, str]:
    """Judge a host; returns the reason as well, which is empty when it is well.

    Parameters
    ----------
    boot:
        How long after its start a host may still be on its way.

    Notes
    -----
    A host that answers HTTPS and DICOM as it has to is well, whatever EC2's checks have not found out yet: they take
    minutes after a start. One that fails a check is sick, whatever it answers.
    """
    host = look.host
    if host.state in GONE:
        return Health.GONE, "the instance is not there any more"
    if host.state == STOPPED:
        return Health.STOPPED, "it is stopped"
    if host.state != RUNNING:
        return Health.STARTING, f"it is {host.state}"
    if host.failed_checks:
        return Health.SICK, f"it fails EC2's {' and '.join(host.failed_checks)}"
    if look.answer is None:
        if host.checks_passed:
            return Health.UNSEEN, look.unseen
        return Health.STARTING, "EC2's status checks are not through"
    if look.answer.well:
        return Health.WELL, ""
    young = host.started is not None and now - host.started < boot
    return (Health.STARTING if young else Health.SICK), look.answer.complaint


def next_step(
    target: Look, other: Look | None, now: datetime.datetime, waited: float, timeout: float, force: bool = False
) -> Step:
    """Say what comes next on the way of the address to a host.

    Parameters
    ----------
    other:
        The host that has the address now; None when none of the two has it.
    waited:
        Seconds since the beginning.
    timeout:
        Seconds after which a host that is starting is given up.
    force:
        Move also to a host that is not well, as soon as it runs.
    """
    found, why = health(target, now, max(_BOOT, datetime.timedelta(seconds=timeout)))
    if found is Health.GONE:
        return Step(Action.REFUSE, why)
    if found is Health.STOPPED:
        return Step(Action.START, why)
    if force and target.host.state == RUNNING:
        return Step(Action.MOVE, why)
    if found is Health.WELL:
        return Step(Action.MOVE)
    if found is Health.UNSEEN:
        # Where the site works, there is time to wait for an address to look at; where it does not, there is none.
        works = other is not None and health(other, now)[0] is Health.WELL
        if works and target.host.address is None and waited < min(timeout, _ADDRESS_SECONDS):
            return Step(Action.WAIT, why)
        return Step(Action.MOVE, why)
    limit = timeout if found is Health.STARTING else min(timeout, SETTLED_SECONDS)
    return Step(Action.WAIT if waited < limit else Action.REFUSE, why)


def choose_target(hosts: Mapping[str, Host]) -> str:
    """The host to move the address to when nobody says: the one that has it not."""
    without = [role for role in ROLES if not hosts[role].holds_address]
    running = [role for role in without if hosts[role].state == RUNNING]
    return (running or without)[0]


def refusal(target: Look, why: str, forcible: bool = True) -> Failure:
    """Say that a host is not what it has to be, and what to do.

    Parameters
    ----------
    forcible:
        Whether `--force` would help.
    """
    role, host = target.host.role, target.host
    if host.state in GONE:
        return Failure(f"{role}: {why}", "'orthweb apply' makes it anew")
    if target.answer is not None and target.answer.silent:
        remedy = "call from a network in web.allowed_cidrs, from where it can be seen"
    elif host.failed_checks:
        remedy = f"'orthweb standby stop {role}' and 'orthweb standby start {role}' bring it to another machine of AWS"
    else:
        remedy = f"'orthweb connect {role}' looks at it"
    forced = "; --force moves the address all the same" if forcible else ""
    return Failure(f"{role} is not healthy: {why}", f"{remedy}{forced}")

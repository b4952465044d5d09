"""Moves a site's address to one of its hosts, starts and stops a host, and waits until it is so.

Every step looks first, so the same call goes on after an interruption, from this process or another one.
"""

from __future__ import annotations

import datetime
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from orthweb.aws.applied import ROLES, Applied
from orthweb.aws.failover import SETTLED_SECONDS, Action, Look, Step, next_step, refusal
from orthweb.aws.hosts import GONE, RUNNING, STOPPED, STOPPING, Host, address_holder, give_address, look_at_hosts
from orthweb.aws.hosts import start as start_host
from orthweb.aws.hosts import stop as stop_host
from orthweb.aws.outside import Answer, Doors, ask
from orthweb.errors import Failure, OrthwebError
from orthweb.site.files import write_file
from orthweb.site.paths import SitePaths
from orthweb.site.voice import Voice
from orthweb.waiting import wait_for

_LOOK = "see 'orthweb status'; the same command goes on"
_PAUSE_SECONDS = 2.0
_ASSOCIATION_SECONDS = 60.0
_VERIFY_SECONDS = 60.0
_STOP_SECONDS = 600.0
# Somebody who comes back later than this means what they say anew.
_REMEMBERED_SECONDS = 3600.0
_NO_AUTHORITY = "the certificate of the site's authority is not on this machine"

Looks = dict[str, Look]


@dataclass
class Work:
    """What it takes to move the address of a site, and how long each step took.

    Parameters
    ----------
    doors:
        None where this machine cannot ask for the site from outside.
    timeout:
        Seconds that a host may take until it is healthy.
    force:
        Move also to a host that is not.
    forcible:
        Whether the command that is under way knows `--force`.
    """

    applied: Applied
    doors: Doors | None
    voice: Voice
    timeout: float
    force: bool = False
    forcible: bool = True
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Do a step, and say afterwards how long it took."""
        started = time.monotonic()
        self.voice.step(step)
        yield
        self.seconds[step] = round(time.monotonic() - started, 1)
        self.voice.say(f"{step}: {self.seconds[step]:.1f} s")


def look(applied: Applied, doors: Doors | None) -> Looks:
    """Look at both hosts, at the same time: through EC2, and each at its own address; raises OrthwebError."""
    found: dict[str, Look | OrthwebError] = {}

    def look_at(host: Host) -> None:
        try:
            found[host.role] = _look_at(host, doors)
        except OrthwebError as error:
            found[host.role] = error

    hosts = look_at_hosts(applied)
    # An interruption does not wait for them.
    threads = [threading.Thread(target=look_at, args=(host,), daemon=True) for host in hosts.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    looks = {}
    for role in hosts:
        seen = found[role]
        if isinstance(seen, OrthwebError):
            raise seen
        looks[role] = seen
    return looks


def _look_at(host: Host, doors: Doors | None) -> Look:
    if host.state != RUNNING:
        return Look(host)
    if doors is None:
        return Look(host, unseen=_NO_AUTHORITY)
    if host.address is None:
        return Look(host, unseen="it has no public address of its own at the moment")
    return Look(host, ask(doors, host.address))


def first_step(work: Work, role: str, looks: Looks) -> Step:
    """Say what a failover would do first, by one look: a host that is not well and has had its time is refused."""
    other, now = _holder(looks), _now()
    step = next_step(looks[role], other, now, 0.0, work.timeout, work.force)
    if step.action is not Action.WAIT:
        return step
    settled = next_step(looks[role], other, now, SETTLED_SECONDS, max(work.timeout, 2 * SETTLED_SECONDS), work.force)
    return settled if settled.action is Action.REFUSE else step


def bring_up(work: Work, role: str, looks: Looks | None = None) -> Look:
    """Start a host where it is stopped, and wait until it is healthy, or only runs where that is forced.

    Parameters
    ----------
    looks:
        What was just seen: a look at a dead host takes its time.

    Raises
    ------
    Failure
        It does not get healthy.
    """
    began, told = time.monotonic(), ""
    while True:
        looks = looks or look(work.applied, work.doors)
        waited = time.monotonic() - began
        step = next_step(looks[role], _holder(looks), _now(), waited, work.timeout, work.force)
        if step.action is Action.MOVE:
            if step.why:
                work.voice.warn(f"{role}: {step.why}")
            return looks[role]
        if step.action is Action.REFUSE:
            raise refusal(looks[role], step.why, work.forcible)
        if step.action is Action.START:
            start_host(work.applied, looks[role].host)
        line = f"{role}: {step.why}" + ("; starting it" if step.action is Action.START else "")
        if line != told:
            work.voice.say(line)
            told = line
        work.voice.step(f"waiting for {role}, {waited:.0f} of at most {work.timeout:.0f} s: {step.why}")
        time.sleep(_PAUSE_SECONDS)
        looks = None


def move_address(work: Work, role: str) -> None:
    """Take the address to a host and wait until EC2 says that it is there; raises Failure."""
    host = look_at_hosts(work.applied)[role]
    if not host.holds_address:
        give_address(work.applied, host)
    shown = f"EC2 to show the address at {role}"
    wait_for(lambda: address_holder(work.applied) == host.id, _ASSOCIATION_SECONDS, shown, _PAUSE_SECONDS, _LOOK)


def verify(work: Work) -> Answer | None:
    """Ask for the site at its address until it is well or the time is over; None where it cannot be asked."""
    if work.doors is None:
        return None
    end = time.monotonic() + min(work.timeout, _VERIFY_SECONDS)
    while True:
        answer = ask(work.doors, work.applied.address)
        if answer.well or time.monotonic() > end:
            return answer
        time.sleep(_PAUSE_SECONDS)


def stop(work: Work, role: str) -> bool:
    """Stop a host and wait for that; returns whether there was anything to stop.

    Raises
    ------
    Failure
        The address is with it, or it is not there.
    """
    host = look_at_hosts(work.applied)[role]
    if host.holds_address:
        other = next(each for each in ROLES if each != role)
        raise Failure(f"{role} has the site's address: without it nobody would reach the site",
                      f"'orthweb failover --to {other}' first")  # fmt: skip
    if host.state in GONE:
        raise Failure(f"{role}: the instance is not there any more", "'orthweb apply' makes it anew")
    if host.state == STOPPED:
        return False
    if host.state != STOPPING:
        stop_host(work.applied, host)
    wait_for(
        lambda: look_at_hosts(work.applied)[role].state == STOPPED, _STOP_SECONDS, f"{role} to stop", _PAUSE_SECONDS,
        _LOOK,
    )  # fmt: skip
    return True


def remember(paths: SitePaths, role: str) -> None:
    """Note where the address is being moved to: which host has it does not tell, once it has moved."""
    write_file(paths.state / "failover.json", json.dumps({"to": role, "since": time.time()}) + "\n")


def remembered(paths: SitePaths) -> str | None:
    """Where a failover that was interrupted not long ago was going; None when there was none."""
    try:
        noted = json.loads((paths.state / "failover.json").read_text())
        fresh = 0 <= time.time() - float(noted["since"]) < _REMEMBERED_SECONDS
        return str(noted["to"]) if fresh and noted["to"] in ROLES else None
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return None


def forget(paths: SitePaths) -> None:
    """The failover has come to its end, whichever."""
    (paths.state / "failover.json").unlink(missing_ok=True)


def _holder(looks: Looks) -> Look | None:
    return next((each for each in looks.values() if each.host.holds_address), None)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)

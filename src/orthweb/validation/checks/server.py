"""Checks of the machine that the site runs on: its processes, its room, its clock, and that everything has started."""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from orthweb.validation.check import check
from orthweb.validation.checks import network
from orthweb.validation.look import Look
from orthweb.validation.probes import index
from orthweb.validation.probes.web_client import WebClient
from orthweb.validation.target import DatabaseAddress, Space

_T = TypeVar("_T")
_GUIDE = "Server Validation"
_MB = 1024 * 1024
_LEAST_DISK = 200 * _MB
_CLOCK_WARNING, _CLOCK_FAILURE = 5.0, 60.0
# Envoy cuts off the second, and says the same for half a second.
_DATE_SECONDS = 1.5
_FIRST_LINE, _STARTED, _STOPPED = "Orthanc version: ", "Orthanc has started", "Orthanc has stopped"
# Orthanc's log: the level, month, day and time.
_ERROR = re.compile(r"E\d{4} \d\d:")


@check("server.services", "Every process of the site runs, and none was restarted since the site came up.", inside=True)
def SERVICES(look: Look) -> str:
    host = look.inside.host
    for part, version in host.versions().items():
        look.exhibits.add_version(part, version)
    services = host.services()
    for service in services:
        since = f" since {service.started:%Y-%m-%d %H:%M:%S} UTC" if service.started else ""
        look.saw(service.name, f"{service.state}{since}, {_times(service.restarts)} restarted by itself")
        if not service.running:
            look.wrong(
                f"{service.name} does not run: it is {service.state}",
                f"see 'orthweb logs {service.name}', then run 'orthweb up'",
            )
        elif service.restarts:
            look.warn(
                f"{service.name} ended by itself {_times(service.restarts)} since the site came up",
                f"see why in 'orthweb logs {service.name}'; the count begins anew with 'orthweb down' and 'orthweb up'",
            )
    return f"{len(services)} services run, none was restarted"


@check("server.disk", "The disks that the site writes to have room.", inside=True)
def DISK(look: Look) -> str:
    disks = look.inside.host.disks()
    for disk in disks:
        look.saw(disk.name, _amount(disk))
        remedy = "make room on it, or move the site to a larger one; Orthanc refuses images when it is full"
        if disk.free < max(_LEAST_DISK, disk.total * 0.02):
            look.wrong(f"{disk.name} is nearly full: {_amount(disk)}", remedy)
        elif disk.free < disk.total * 0.1:
            look.warn(f"{disk.name} is filling up: {_amount(disk)}", remedy)
    return "; ".join(_amount(disk) for disk in disks)


@check("server.memory", "The machine has memory to spare.", inside=True)
def MEMORY(look: Look) -> str:
    memory = look.inside.host.memory()
    look.saw(memory.name, _amount(memory))
    remedy = "see what takes it with 'orthweb status' and top; have fewer replicas, or more memory"
    if memory.free < memory.total * 0.03:
        look.fail(f"{memory.name} is nearly used up: {_amount(memory)}", remedy)
    if memory.free < memory.total * 0.1:
        look.warn(f"{memory.name} is getting short: {_amount(memory)}", remedy)
    return _amount(memory)


@check("server.clock", "The clocks of the site and of this machine agree.", needs=(network.WEB,))
def CLOCK(look: Look) -> str:
    worst = 0.0
    for name, offset in _offsets(look).items():
        look.saw(name, _apart(offset))
        worst = max(worst, abs(offset))
        remedy = "let both machines keep time by NTP (timedatectl set-ntp true): certificates and images depend on it"
        if abs(offset) > _CLOCK_FAILURE:
            look.wrong(f"{name} is {_apart(offset)}", remedy)
        elif abs(offset) > _CLOCK_WARNING:
            look.warn(f"{name} is {_apart(offset)}", remedy)
    return f"at most {worst:.0f} s apart" if worst >= 1 else "less than a second apart"


@check(
    "server.started",
    "Every Orthanc server says in its log that it has started.",
    inside=True,
    guide="Server Validation: 'Orthanc has started'",
)
def STARTED(look: Look) -> str:
    gone = []
    for replica in look.inside.replicas:
        last = _last_start(look.inside.host.log(replica.name))
        if last is None:
            gone.append(replica.name)
            look.saw(replica.name, "its start is not in what is kept of its log")
            continue
        look.saw(replica.name, f"{last.state}, {last.errors} errors logged since it began to start")
        if last.state != _STARTED:
            why = f": {last.last_error}" if last.last_error else ""
            look.wrong(
                f"{replica.name} {'has stopped' if last.state == _STOPPED else 'has not come to its start'}{why}",
                f"see 'orthweb logs {replica.name}', then run 'orthweb up'",
            )
    if gone:
        look.skip(f"the log of {', '.join(gone)} no longer goes back to its start: older parts were removed")
    return f"{len(look.inside.replicas)} Orthanc servers have started"


@check("server.finished", "The start-up of the site came to its end.", inside=True, guide=_GUIDE)
def FINISHED(look: Look) -> str:
    missing = look.inside.host.unfinished()
    if missing:
        look.fail(missing, "run 'orthweb up': it goes on from there")
    return "finished"


@dataclass
class _Start:
    """The last start of an Orthanc server, as its log tells it; `state` is empty until it came to its end."""

    state: str = ""
    errors: int = 0
    last_error: str = ""


def _last_start(log: Iterable[str]) -> _Start | None:
    """What a log says of the last start; None when it is not in it any more."""
    start: _Start | None = None
    for line in log:
        if _FIRST_LINE in line:
            # One that fails is tried again and again, and may not have come to its error this time.
            start = _Start(last_error=start.last_error if start is not None and not start.state else "")
        elif start is not None:
            if _STARTED in line or (_STOPPED in line and start.state):
                start.state = _STARTED if _STARTED in line else _STOPPED
            elif _ERROR.match(line):
                start.errors += 1
                start.last_error = line.partition("] ")[2].strip()
        elif _STARTED in line:
            # Its first lines are gone, and this one is not.
            start = _Start(_STARTED)
    return start


def _offsets(look: Look) -> dict[str, float]:
    """By how many seconds each clock of the site is certainly ahead of this machine's; negative behind, 0 perhaps."""
    found = {}
    client = WebClient.of_door(look.target.web)
    path = "/tools/now" if client.credentials is not None else "/"
    answer, sent, heard = _timed(lambda: client.get(path, timeout=look.remaining()))
    with contextlib.suppress(KeyError, ValueError):
        said = email.utils.parsedate_to_datetime(answer.headers["date"]).timestamp()
        found["the web server"] = _ahead(said, _DATE_SECONDS, sent, heard)
    with contextlib.suppress(ValueError):
        # Orthanc's REST API: UTC, as 20261121T162315.
        now = datetime.datetime.strptime(answer.body[:99].decode(), "%Y%m%dT%H%M%S").replace(tzinfo=datetime.UTC)
        found["Orthanc"] = _ahead(now.timestamp(), 1.0, sent, heard)
    if look.target.inside is not None:
        found |= _database_offset(look, look.target.inside.database)
    if not found:
        look.skip("the site says nowhere what time it is")
    return found


def _database_offset(look: Look, address: DatabaseAddress) -> dict[str, float]:
    import psycopg

    try:
        with index.connect(address, look.remaining()) as connection:
            text, sent, heard = _timed(
                lambda: index.value(connection, "SELECT extract(epoch FROM clock_timestamp())::text")
            )
    except (OSError, psycopg.Error):
        # That is for database.connection to tell.
        look.saw("PostgreSQL", "could not be asked")
        return {}
    return {"PostgreSQL": _ahead(float(text), 0.0, sent, heard)}


def _timed(ask: Callable[[], _T]) -> tuple[_T, float, float]:
    sent = time.time()
    return ask(), sent, time.time()


def _ahead(said: float, precision: float, sent: float, heard: float) -> float:
    """How far a clock is ahead at least, which said a time (cut off to `precision`) between `sent` and `heard`."""
    earliest, latest = said - heard, said + precision - sent
    return earliest if earliest > 0 else min(0.0, latest)


def _apart(offset: float) -> str:
    if abs(offset) < 1:
        return "less than a second from this machine's clock"
    return f"{abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} this machine's clock"


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _amount(space: Space) -> str:
    share = 100 * space.free / max(1, space.total)
    return f"{_size(space.free)} of {_size(space.total)} free ({share:.0f} %)"


def _size(count: int) -> str:
    return f"{count / _MB:.0f} MB" if count < 1024 * _MB else f"{count / _MB / 1024:.1f} GB"


CHECKS = (SERVICES, DISK, MEMORY, CLOCK, STARTED, FINISHED)

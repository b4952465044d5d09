"""Keeps the distribution's services from starting while their packages are installed, and at later boots.

What it puts on the machine for that time counts in an installation of Orthweb's only. So a process that is
killed in the middle leaves nothing that has an effect, and the next one finishes its work.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from orthweb.errors import Failure
from orthweb.local.execute import ENVIRONMENT, INSTALLING, Command, Run, Say

SERVICES = ("orthanc", "postgresql")
"""Packages whose installation starts a service of the same name and enables it at boot."""
POLICY = Path("/usr/sbin/policy-rc.d")
NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/zz-orthweb.conf")

_PATIENCE_SECONDS = 900
_MARK = "# Orthweb put this here while it installs packages that bring services: "
_OWNER = re.compile(r"^# process=(\d+) started=(\d+)$", re.MULTILINE)


def policy(brought: Sequence[str], process: int, started: str) -> str:
    """Make the text of policy-rc.d that keeps our installation from starting Orthanc and PostgreSQL.

    Parameters
    ----------
    brought:
        The services that the installation brings, for the one who tidies up after an interruption.
    process, started:
        The process that installs, and when it started in clock ticks since boot, which tells it from a later
        process of the same number.
    """
    return f"""#!/bin/sh
{_MARK}{" ".join(brought)}
# process={process} started={started}
# It has no effect on any other installation, and may be removed once that process has ended.
[ -n "${INSTALLING}" ] || exit 0
for word in "$@"; do
    case $word in
        orthanc|orthanc.service|postgresql|postgresql.service|postgresql@*) exit 101 ;;
    esac
done
exit 0
"""


def put_command(root: Command, target: Path, mode: str) -> Command:
    """Make the command that writes its standard input to `target`."""
    return [*root, "install", "-D", "--mode", mode, "/dev/stdin", str(target)]


def remove_commands(root: Command) -> list[Command]:
    """Make the commands that remove what was put there; the policy last, for it says what is to be done."""
    return [
        [*root, "rm", "-f", str(NO_CLUSTER)],
        [*root, "rmdir", "--parents", "--ignore-fail-on-non-empty", str(NO_CLUSTER.parent)],
        [*root, "rm", "-f", str(POLICY)],
    ]


def disable_commands(root: Command, service: str, systemctl: bool) -> list[Command]:
    """Make the commands that keep a service from starting at boot, with systemd's program and without it."""
    if systemctl:
        return [[*root, *ENVIRONMENT, "systemctl", "--quiet", "disable", service]]
    return [
        [*root, *ENVIRONMENT, "update-rc.d", service, "disable"],
        [*root, *ENVIRONMENT, "deb-systemd-helper", "disable", f"{service}.service"],
    ]


def started_at(process: int) -> str:
    """Tell when a process started, in clock ticks since boot (proc(5)); empty when there is none."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def left_behind() -> list[str] | None:
    """Find what an installation of ours that was killed left: its services, or None when it left nothing."""
    text = _our_policy()
    if text and not _owner_lives(text):
        return text.partition(_MARK)[2].partition("\n")[0].split()
    return [] if not text and NO_CLUSTER.exists() else None


@contextlib.contextmanager
def quiet_services(brought: Sequence[str], root: Command, run: Run, say: Say) -> Iterator[None]:
    """Hold the services while the body installs packages, then keep those that came from starting at boot.

    A policy-rc.d that somebody else put there is respected; services that it let start are stopped.

    Parameters
    ----------
    brought:
        Services that were not on this machine before. Others are held, so that a new plugin doesn't restart
        somebody's Orthanc, and otherwise left alone.
    """
    _wait_for_other(say)
    brought = sorted({*brought, *(left_behind() or ())})
    ours = not POLICY.exists() or bool(_our_policy())
    try:
        if ours:
            _put(root, POLICY, "0755", policy(brought, os.getpid(), started_at(os.getpid())), run)
        if "postgresql" in brought:
            _put(root, NO_CLUSTER, "0644", f"{_MARK}postgresql\ncreate_main_cluster = false\n", run)
        yield
    finally:
        _silence(brought, root, run, say, stop=not ours)
        for command in remove_commands(root):
            if ours or str(POLICY) not in command:
                run(command)


def tidy(root: Command, run: Run, say: Say) -> None:
    """Finish what an installation that was killed left."""
    with quiet_services((), root, run, say):
        pass


def _silence(brought: Sequence[str], root: Command, run: Run, say: Say, stop: bool) -> None:
    there = [service for service in brought if Path(f"/etc/init.d/{service}").exists()]
    systemctl = Path("/usr/bin/systemctl").exists() or Path("/bin/systemctl").exists()
    for service in there:
        if stop:
            run([*root, *ENVIRONMENT, "service", service, "stop"])
        for command in disable_commands(root, service, systemctl):
            run(command)
    if there:
        names = " and ".join(f"{service}.service" for service in there)
        say(
            f"kept the distribution's {names} from starting, now and at boot; "
            f"to use one all the same: sudo systemctl enable --now {there[0]}"
        )


def _put(root: Command, target: Path, mode: str, text: str, run: Run) -> None:
    result = run(put_command(root, target, mode), text=text)
    if result.status != 0:
        raise Failure(f"{target}: could not be written: {result.output.strip()}", "nothing was installed")


def _our_policy() -> str:
    """The text of policy-rc.d when it is ours, or nothing."""
    try:
        text = POLICY.read_text(errors="replace")
    except OSError:
        return ""
    return text if _MARK in text else ""


def _owner_lives(text: str) -> bool:
    owner = _OWNER.search(text)
    return owner is not None and started_at(int(owner[1])) == owner[2]


def _wait_for_other(say: Say) -> None:
    limit = time.monotonic() + _PATIENCE_SECONDS
    told = False
    while (text := _our_policy()) and _owner_lives(text):
        if not told:
            say("waiting for another orthweb, which installs packages")
            told = True
        if time.monotonic() > limit:
            raise Failure(f"{POLICY}: another orthweb has been installing packages for a long time", "look at it")
        time.sleep(0.5)

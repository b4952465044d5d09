"""Installs packages of the distribution, and keeps the services that come with them from starting."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Sequence

from orthweb.errors import Failure, InputError, OrthwebError
from orthweb.local.execute import ENVIRONMENT, Command, Run, Say, execute
from orthweb.local.quiet import SERVICES, quiet_services

SUPPORTED = "Debian 12, Debian 13 or Ubuntu 24.04"

_PATIENCE_SECONDS = 300
# Packages that do what the named one is there for: patterns to ask dpkg for, and which of the answers count.
_EQUIVALENTS = {
    "default-jre-headless": (["openjdk-*-j*", "default-j*"], r"(openjdk-\d+|default)-(jre|jdk)(-headless)?"),
    "postgresql": (["postgresql-[0-9]*"], r"postgresql-\d+"),
}


def missing(names: Sequence[str], run: Run = execute) -> list[str]:
    """Tell which of the packages are not installed; one that does the same counts as installed.

    Raises
    ------
    InputError
        This machine has no dpkg and no apt-get.
    """
    if not shutil.which("dpkg-query") or not shutil.which("apt-get"):
        raise InputError(
            "this machine has no apt-get, which brings Orthanc and PostgreSQL",
            f"use {SUPPORTED}, or a Docker host",
        )
    patterns = [pattern for name in names for pattern in _EQUIVALENTS.get(name, ([], ""))[0]]
    answer = run(["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *names, *patterns])
    installed = [line.split()[0] for line in answer.output.splitlines() if line.endswith(" installed")]
    return [name for name in names if not any(re.fullmatch(_counts_as(name), package) for package in installed)]


def _counts_as(name: str) -> str:
    return f"{re.escape(name)}|{_EQUIVALENTS[name][1]}" if name in _EQUIVALENTS else re.escape(name)


def become_root(names: Sequence[str], run: Run = execute) -> Command:
    """Find what to put before a command so that root runs it: nothing, or sudo.

    Raises
    ------
    InputError
        Neither is possible; the remedy is the line that an administrator runs.
    """
    if os.geteuid() == 0:
        return []
    line = InputError(
        f"the packages {', '.join(names)} are missing and only root can install them",
        f"run: {by_hand(names)}",
    )
    if not shutil.which("sudo"):
        raise line
    if run(["sudo", "-n", "true"]).status == 0:
        return ["sudo", "-n"]
    # sudo asks on the terminal itself, whatever its standard input is.
    if not sys.stdin.isatty() or run(["sudo", "-v"]).status != 0:
        raise line
    return ["sudo"]


def by_hand(names: Sequence[str]) -> str:
    """Make the line that an administrator types to install the packages."""
    return "sudo " + shlex.join(["apt-get", "install", "--no-install-recommends", *names])


def update_command(root: Command) -> Command:
    """Make the command that fetches the lists of packages anew."""
    return [*root, *ENVIRONMENT, "apt-get", "--quiet", "update"]


def install_command(root: Command, names: Sequence[str]) -> Command:
    """Make the command that installs the packages without a question and without removing anything."""
    options = ["--yes", "--quiet", "--no-install-recommends", "--no-remove"]
    for setting in (
        f"DPkg::Lock::Timeout={_PATIENCE_SECONDS}",
        "Dpkg::Options::=--force-confdef",
        "Dpkg::Options::=--force-confold",
    ):
        options += ["-o", setting]
    return [*root, *ENVIRONMENT, "apt-get", *options, "install", *names]


def install(names: Sequence[str], run: Run = execute, say: Say = lambda _: None) -> None:
    """Install the missing packages. Services that come with them start neither now nor at the next boot.

    Raises
    ------
    InputError
        The caller can't become root.
    Failure
        A package isn't offered, can't be downloaded or can't be installed.
    """
    root = become_root(names, run)
    brought = [name for name in SERVICES if name in names]
    say(f"installing system packages: {', '.join(names)}")
    concerned = any(name.startswith(SERVICES) for name in names)
    with quiet_services(brought, root, run, say) if concerned else contextlib.nullcontext():
        _install(root, names, run, say)
    left = missing(names, run)
    if left:
        raise Failure(f"apt-get ended well, and {', '.join(left)} is not installed", f"run: {by_hand(left)}")


def _install(root: Command, names: Sequence[str], run: Run, say: Say) -> None:
    fresh = False
    if without_candidate(names, run):
        _update(root, run, say)
        fresh = True
        unknown = without_candidate(names, run)
        if unknown:
            raise Failure(
                f"this machine's package sources do not offer {', '.join(unknown)}",
                f"Orthweb sets itself up on {SUPPORTED}; on Ubuntu: sudo add-apt-repository universe",
            )
    result = run(install_command(root, names), hear=lambda line: _progress(line, say))
    if result.status != 0 and not fresh and "Failed to fetch" in result.output:
        # Lists that are older than the archive name files that are no longer there.
        _update(root, run, say)
        result = run(install_command(root, names), hear=lambda line: _progress(line, say))
    if result.status != 0:
        raise explain(result.output, names)


def without_candidate(names: Sequence[str], run: Run) -> list[str]:
    """Tell which of the packages no package source offers, as far as the lists that were fetched say."""
    answer = run([*ENVIRONMENT, "apt-cache", "policy", *names]).output
    offered = re.findall(r"^(\S+):\n.*\n {2}Candidate: (?!\(none\))", answer, re.MULTILINE)
    return [name for name in names if name not in offered]


def _update(root: Command, run: Run, say: Say) -> None:
    say("fetching the lists of packages")
    limit = time.monotonic() + _PATIENCE_SECONDS
    # A source that fails does not count here: what is still not offered afterwards does.
    while "Could not get lock" in run(update_command(root)).output and time.monotonic() < limit:
        time.sleep(2)


def _progress(line: str, say: Say) -> None:
    if line.startswith("Setting up orthanc") or line.startswith("Setting up postgresql "):
        say(line.removesuffix(" ..."))


_CAUSES = {
    "Could not get lock": "another program is installing packages: wait until it has ended, and repeat",
    "dpkg was interrupted": "run: sudo dpkg --configure -a, and repeat",
    "Unmet dependencies": "run: sudo apt-get --fix-broken install, and repeat",
    "enough free space": "free some disk space, and repeat",
    "No space left": "free some disk space, and repeat",
    "Failed to fetch": "check this machine's network and package sources, and repeat",
    "Packages need to be removed": "they conflict with what is here: use another machine, or a Docker host",
}


def explain(output: str, names: Sequence[str]) -> OrthwebError:
    """Make one error of what apt-get wrote: its own first complaint, and what to do about it."""
    complaints = [line for line in output.splitlines() if line.startswith(("E: ", "dpkg: error"))]
    last = next((line for line in reversed(output.splitlines()) if line.strip()), "it said nothing")
    remedy = next((remedy for cause, remedy in _CAUSES.items() if cause in output), f"run: {by_hand(names)}")
    return Failure(f"apt-get could not install {', '.join(names)}: {(complaints or [last])[0].strip()}", remedy)

"""An ordinary user of this machine, made for a test and gone afterwards with everything that was theirs."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from harness import Done, TestSite, eventually, run

import orthweb
from orthweb.local.account import Account, ensure_reachable

AS_ROOT = "needs root: run the tests as root, with 'sudo make test'"


def need_root(what: str) -> None:
    """End a test that only root can carry out, and say how."""
    if os.getuid() != 0:
        pytest.fail(f"{what} {AS_ROOT}")


@dataclass(frozen=True)
class Person:
    """A user without privileges, with a home of their own."""

    name: str
    uid: int
    gid: int
    home: Path

    @property
    def options(self) -> dict[str, Any]:
        """What makes a process one of this person's."""
        folders = [os.path.abspath(folder) for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
        source = {"PYTHONPATH": os.pathsep.join(folders)} if folders else {}
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8", "TCP_NODELAY": "1", **source}
        return {"user": self.uid, "group": self.gid, "extra_groups": [], "env": environment, "cwd": self.home}

    def processes(self) -> dict[int, str]:
        """Everything that runs as this person: process id to command line."""
        found = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and entry.stat().st_uid == self.uid:
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ").strip()
        # What has ended and waits for its parent to notice has no command line.
        return {pid: command for pid, command in found.items() if command}


class TheirSite(TestSite):
    """A site in the home of a person, who runs every command themselves."""

    __test__ = False

    def __init__(self, person: Person) -> None:
        super().__init__(person.home / "site")
        self.person = person

    def orthweb(self, *words: str | Path, **options: Any) -> Done:
        return super().orthweb(*words, **{**self.person.options, **options})

    def dcmtk(self, tool: str, *words: str | Path, **options: Any) -> Done:
        return super().dcmtk(tool, *words, **{**self.person.options, **options})


@contextlib.contextmanager
def ordinary_user() -> Iterator[Person]:
    """Make a user who may do nothing special, and who can reach this installation."""
    need_root("making a user for the test")
    name, home = f"ow-{secrets.token_hex(4)}", Path(tempfile.mkdtemp(prefix="ow-"))
    try:
        done = run(["useradd", "--no-create-home", "--home-dir", home, "--shell", "/bin/sh", "--user-group", name])
        assert done.status == 0, done.all
        try:
            entry = pwd.getpwnam(name)
            person = Person(name, entry.pw_uid, entry.pw_gid, home)
            os.chown(home, person.uid, person.gid)
            with _within_reach(person):
                yield person
        finally:
            _end_all(person)
            done = run(["userdel", name])
            assert done.status == 0, done.all
    finally:
        shutil.rmtree(home)


def _end_all(person: Person) -> None:
    for pid in person.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not person.processes(), 20, f"the processes of {person.name} to end")


@contextlib.contextmanager
def _within_reach(person: Person) -> Iterator[None]:
    """Let the person walk to Python and to this package, which may lie in root's home, for as long as the body runs."""
    before = ""
    try:
        if not _runs(person):
            account = Account(person.name, person.uid, person.gid)
            targets = [Path(sys.executable), Path(sys.executable).resolve(), Path(orthweb.__file__)]
            folders = {folder for target in targets for folder in target.parents}
            before = run(["getfacl", "--absolute-names", *sorted(folders)]).out
            for target in targets:
                ensure_reachable(target, account, lambda _: None)
            assert _runs(person), f"{person.name} cannot run {sys.executable}: its files are readable for root only"
        yield
    finally:
        if before:
            done = run(["setfacl", "--restore=-"], input=before.encode())
            assert done.status == 0, done.all


def _runs(person: Person) -> bool:
    command = [sys.executable, "-c", "import orthweb.cli.main, supervisor"]
    try:
        return run(command, **person.options).status == 0
    except PermissionError:
        return False
    except subprocess.SubprocessError:
        return False

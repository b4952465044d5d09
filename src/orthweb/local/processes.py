"""The supervisor of a site's processes, spoken to over its socket, and processes that outlived a supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, cast
from xmlrpc.client import Fault, ServerProxy

from orthweb.errors import Failure, InputError
from orthweb.local.account import Account, unprivileged
from orthweb.waiting import wait_for

_LONGEST_SOCKET = 107  # unix(7): sun_path
_UP = ("RUNNING", "STARTING", "BACKOFF")


@dataclass(frozen=True)
class ProcessState:
    """One supervised process."""

    name: str
    state: str
    pid: int
    started: int
    """Seconds since 1970; 0 when it never started."""

    @property
    def up(self) -> bool:
        return self.state in _UP


class Supervisor:
    """A running or absent supervisord of one site."""

    def __init__(self, run: Path, config: Path, log: Path) -> None:
        self.socket = run / "supervisor.sock"
        self.pidfile = run / "supervisor.pid"
        self.config = config
        self.log = log
        self._rpc: Any = None

    def command(self) -> list[str]:
        """The command line of the supervisor itself."""
        return [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "-c", str(self.config)]

    def check_path(self) -> None:
        """Refuse a folder whose sockets would have too long a path; raises InputError."""
        # Supervisor binds a temporary name first, which is longer by a dot and the process id.
        excess = len(os.fsencode(self.socket)) - _LONGEST_SOCKET + 12
        if excess > 0:
            raise InputError(
                f"{self.socket}: is too long for a socket's path",
                f"move the site to a folder whose path is shorter by {excess} bytes",
            )

    def running(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self._call("getState")["statename"] == "RUNNING")
        except OSError:
            return False

    def pid(self) -> int:
        """Its process id; raises OSError when it doesn't answer."""
        return cast(int, self._call("getPID"))

    def start(self, account: Account, low_ports: bool) -> None:
        """Start it, away from this terminal, with a clean environment; raises Failure with its last words."""
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self.socket.parent),
        }
        # Its first words, before it has its own log; never a file in a folder where a process could put a link.
        words = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process's own handle
        process = subprocess.Popen(
            unprivileged(account, self.command(), low_ports),
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            env=environment,
            cwd=self.socket.parent,
            start_new_session=True,
            umask=0o077,
            preexec_fn=_raise_file_limit,
        )

        def answers() -> bool:
            if process.poll() is not None:
                words.seek(0)
                said = words.read().decode(errors="replace").strip().splitlines()
                # It says what is wrong first, and how to get help last.
                error = next((line for line in said if line.startswith("Error")), [*said, "it said nothing"][0])
                raise Failure(f"the supervisor ended with status {process.returncode}: {error}")
            return self.running()

        wait_for(answers, 15, "the supervisor to answer")

    def states(self) -> dict[str, ProcessState]:
        """Every process by name; empty when the supervisor is not running."""
        try:
            infos = self._call("getAllProcessInfo")
        except OSError:
            return {}
        return {
            info["name"]: ProcessState(info["name"], info["statename"], info["pid"], info["start"]) for info in infos
        }

    def reload(self) -> None:
        """Take up the processes that the configuration names now, and stop those that it no longer names."""
        added, changed, removed = self._call("reloadConfig")[0]
        for name in (*removed, *changed):
            self.stop([name])
            self._call("removeProcessGroup", name)
        for name in (*added, *changed):
            self._call("addProcessGroup", name)

    def start_process(self, name: str) -> None:
        """Start a process without waiting; one that is up already is left alone."""
        try:
            self._call("startProcess", name, False)
        except Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString:
                raise Failure(f"{name} does not start: {fault.faultString}") from None

    def stop(self, names: Iterable[str], limit: float = 60) -> None:
        """Stop processes all at once and wait until they are gone."""
        pending = list(names)
        for name in pending:
            try:
                self._call("stopProcess", name, False)
            except Fault as fault:
                if "NOT_RUNNING" not in fault.faultString and "BAD_NAME" not in fault.faultString:
                    raise Failure(f"{name} does not stop: {fault.faultString}") from None

        def gone() -> bool:
            states = self.states()
            return all(name not in states or states[name].pid == 0 for name in pending)

        wait_for(gone, limit, f"{', '.join(pending)} to stop")

    def kill(self, name: str) -> None:
        """End a process that does not listen any more; it is started again by itself."""
        self._call("signalProcess", name, "KILL")

    def shutdown(self) -> None:
        """End the supervisor and all it still holds."""
        pid = self.pid()
        self._call("shutdown")
        wait_for(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid), 60, "the supervisor to end")

    def _call(self, method: str, *arguments: object) -> Any:
        """Call the supervisor; raises OSError when it doesn't answer."""
        from supervisor.xmlrpc import SupervisorTransport

        if self._rpc is None:
            transport = SupervisorTransport(None, None, f"unix://{self.socket}")
            self._rpc = ServerProxy("http://127.0.0.1", transport=transport)
        try:
            return getattr(self._rpc.supervisor, method)(*arguments)
        except (OSError, HTTPException) as error:
            # A connection that broke once stays broken.
            self._rpc = None
            raise OSError(str(error)) from None


def last_line(path: Path) -> str:
    """The last words of a log, for an error message."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return "it left no log"
    return next((line.strip() for line in reversed(lines) if line.strip()), "it left no log")


def orphans(commands: Mapping[str, Sequence[str]], uid: int) -> dict[int, str]:
    """Processes of `uid` that run one of these command lines: process id to name."""
    wanted = {"\0".join(command) + "\0": name for name, command in commands.items()}
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == uid and (
                    name := wanted.get((entry / "cmdline").read_bytes().decode(errors="replace"))
                ):
                    found[int(entry.name)] = name
            except OSError:
                # It ended while we looked.
                continue
    return found


def end_orphans(
    commands: Mapping[str, Sequence[str]], uid: int, order: Sequence[str], say: Callable[[str], None]
) -> bool:
    """End what outlived a supervisor, in `order`, gently first: TERM (PostgreSQL: a fast stop), then KILL.

    Tells whether there was anything.
    """
    found = orphans(commands, uid)
    for name in order:
        pids = [pid for pid, other in found.items() if other == name]
        for pid in pids:
            say(f"ending {name} (pid {pid}), which outlived its supervisor")
            _end(pid, signal.SIGINT if name == "postgresql" else signal.SIGTERM)
    return bool(found)


def _end(pid: int, gentle: signal.Signals) -> None:
    limit = time.monotonic() + 20
    try:
        os.kill(pid, gentle)
        # A stopped process hears nothing but KILL until it goes on.
        os.kill(pid, signal.SIGCONT)
        while time.monotonic() < limit and Path(f"/proc/{pid}").exists() and not _is_zombie(pid):
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    wait_for(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid), 10, f"process {pid} to end")


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def _raise_file_limit() -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536) if hard > 0 else 65536, hard))

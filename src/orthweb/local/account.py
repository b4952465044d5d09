"""The unprivileged account that the processes of a site run as, and what it must be able to reach."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orthweb.errors import Failure, InputError

SYSTEM_USER = "orthweb"


@dataclass(frozen=True)
class Account:
    """Who the processes run as."""

    name: str
    uid: int
    gid: int

    @property
    def file_owner(self) -> tuple[int, int] | None:
        """Owner of what the processes read or write; None when that is the caller anyway."""
        return (self.uid, self.gid) if os.getuid() == 0 else None

    @property
    def passing_owner(self) -> tuple[int, int] | None:
        """Owner of folders in which only the caller makes files, so that no process can put a link in root's way."""
        return (0, self.gid) if os.getuid() == 0 else None

    @property
    def passing_mode(self) -> int:
        """Mode of those folders: the processes may read in them and no more."""
        return 0o750 if os.getuid() == 0 else 0o700


def ensure_account(say: Callable[[str], None]) -> Account:
    """Find who runs the site: the caller, or a system user of its own when root calls."""
    if os.getuid() != 0:
        return Account(getpass.getuser(), os.getuid(), os.getgid())
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        _run([*command, "--shell", "/usr/sbin/nologin", SYSTEM_USER], "make the system user that runs the site")
        say(f"made the system user {SYSTEM_USER}, which runs the site's processes")
        entry = pwd.getpwnam(SYSTEM_USER)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def current_account() -> Account | None:
    """Find who runs the site without making anybody; None when root calls and nothing ran yet."""
    if os.getuid() != 0:
        return Account(getpass.getuser(), os.getuid(), os.getgid())
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def ensure_reachable(target: Path, account: Account, say: Callable[[str], None]) -> None:
    """Let `account` walk to `target`: folders that it may not pass through get an entry for it alone.

    Only root needs this: a site under /root is walled off from the unprivileged account that runs it.
    """
    if os.getuid() != 0:
        return
    for folder in reversed(target.parents):
        if _passes(folder, account):
            continue
        if shutil.which("setfacl") is None:
            raise Failure(
                f"{folder}: the user {account.name} cannot pass",
                "apt-get install acl, or choose another folder",
            )
        _run(
            ["setfacl", "--modify", f"user:{account.name}:--x", str(folder)],
            f"let {account.name} pass through {folder}; move the site to another folder, such as /srv",
        )
        say(f"let the user {account.name} pass through {folder} (not list it), on the way to {target}")


def unprivileged(account: Account, command: Sequence[str], low_ports: bool) -> list[str]:
    """Make the command line that runs `command` as `account`, never to gain privileges again.

    With `low_ports` the one thing it keeps of root is to listen on ports below 1024.
    """
    if os.getuid() != 0:
        return ["setpriv", "--no-new-privs", "--", *command]
    capabilities = (
        [
            "--inh-caps=-all,+net_bind_service",
            "--ambient-caps=-all,+net_bind_service",
            "--bounding-set=-all,+net_bind_service",
        ]
        if low_ports
        else ["--inh-caps=-all", "--bounding-set=-all"]
    )
    identity = [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
    return ["setpriv", *identity, *capabilities, "--no-new-privs", "--", *command]


def lowest_port() -> int:
    """The first port that the caller may listen on."""
    if os.getuid() == 0:
        return 1
    return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())


def check_low_ports(ports: dict[str, int]) -> bool:
    """Tell whether a port needs a privilege; raises InputError when the caller does not have it."""
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    low = {field: port for field, port in ports.items() if port < first}
    if low and os.getuid() != 0:
        field, port = next(iter(low.items()))
        raise InputError(
            f"orthweb.yaml: {field}: {port}: only root may listen below {first}",
            f"choose a port from {first} on, or run as root",
        )
    return bool(low)


def _passes(folder: Path, account: Account) -> bool:
    command = ["/usr/bin/test", "-x", str(folder)]
    return subprocess.run(command, user=account.uid, group=account.gid, extra_groups=[], check=False).returncode == 0


def _run(command: list[str], what: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"could not {what}: {' '.join(command)}: {done.stderr.strip() or done.returncode}")

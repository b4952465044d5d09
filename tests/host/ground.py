"""Where the tests of hosts keep what is costly to make, what belongs to one run of them, and how they run programs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import eventually

# What packages and images are made of is the same for every run, and may be deleted at any time.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orthweb/tests"
# An ordinary user's PATH lacks what root runs.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_RUNS = Path("/run/orthweb-tests")
_CGROUPS = Path("/sys/fs/cgroup")
SLOTS = range(100)


@dataclass(frozen=True)
class Ground:
    """What one run has for itself: its number is in the names of all that it makes on this machine."""

    slot: int

    @property
    def name(self) -> str:
        """Prefix of its network namespaces and interfaces, and the name of its control groups."""
        return f"owt{self.slot}"

    @property
    def run(self) -> Path:
        """Sockets and what else lives in memory."""
        return _RUNS / str(self.slot)

    @property
    def disk(self) -> Path:
        """Big files; on the disk of the cache, so that what lies there can be linked into it."""
        return CACHE / "runs" / str(self.slot)

    def address(self, number: int) -> str:
        """An address of its network, which is of those set aside for testing networks (RFC 2544)."""
        return f"198.18.{self.slot}.{number}"


def sh(*command: str | Path, timeout: float = 600, **options: object) -> str:
    """Run a program, and fail the test with what it said when it fails."""
    words = [str(word) for word in command]
    settings = {"env": environment(), **options}
    done = subprocess.run(words, capture_output=True, timeout=timeout, check=False, **settings)  # type: ignore[call-overload]
    text = done.stdout.decode(errors="replace")
    assert done.returncode == 0, f"{' '.join(words)}: {(text + done.stderr.decode(errors='replace'))[-4000:]}"
    return str(text)


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """A clean environment of a program of the system."""
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    return (
        {"PATH": SYSTEM_PATH, "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        | proxies
        | {**(more or {})}
    )


def need_root(what: str) -> None:
    """Fail with the line that says what is needed where this isn't root."""
    if os.geteuid() != 0:
        pytest.fail(f"{what} needs root: run 'sudo make test-host', or start Docker and join its group", pytrace=False)


@contextlib.contextmanager
def own_ground(slots: range = SLOTS) -> Iterator[Ground]:
    """A number of these that no other run on this machine has now; what a killed run left under it goes first."""
    need_root("starting a Docker engine or a machine for the tests")
    _RUNS.mkdir(mode=0o700, exist_ok=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    for slot in slots:
        with (_RUNS / f"{slot}.lock").open("w") as lock, contextlib.suppress(BlockingIOError):
            # The system gives it back when this process ends, however it ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ground = Ground(slot)
            tidy(ground)
            ground.run.mkdir(mode=0o700)
            ground.disk.mkdir(parents=True)
            try:
                yield ground
            finally:
                tidy(ground)
            return
    pytest.fail(f"{len(slots)} runs of these tests at once: see {_RUNS}")


def tidy(ground: Ground) -> None:
    """Remove all that bears the name of this run: processes, namespaces, mounts, control groups, folders."""
    spaces = [line.split()[0] for line in sh("ip", "netns", "list").splitlines() if line]
    spaces = [name for name in spaces if name == ground.name or name.startswith(f"{ground.name}-")]
    for _ in range(5):
        ids = {int(word) for name in spaces for word in sh("ip", "netns", "pids", name).split()}
        for group in _groups(ground):
            with contextlib.suppress(OSError):
                ids |= {int(word) for word in (group / "cgroup.procs").read_text().split()}
        for each in ids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        if not ids:
            break
        with contextlib.suppress(AssertionError):
            eventually(lambda ids=ids: not any(_lives(each) for each in ids), 5)  # type: ignore[misc]
    for name in spaces:
        sh("ip", "netns", "delete", name)
    link = Path(f"/sys/class/net/{ground.name}")
    if link.exists():
        # The kernel may take it away by itself meanwhile, as it does with those in namespaces.
        subprocess.run(["ip", "link", "delete", ground.name], capture_output=True, check=False)
        eventually(lambda: not link.exists(), 10, f"{ground.name} to be gone")
    _unmount(ground.run)
    _unmount(ground.disk)
    for group in _groups(ground):
        with contextlib.suppress(OSError):
            group.rmdir()
    for folder in (ground.run, ground.disk):
        if folder.exists():
            # Beside it first: deleting takes time, and a run that is killed then leaves no half folder.
            away = Path(tempfile.mkdtemp(prefix="gone-", dir=folder.parent))
            folder.rename(away / "it")
        sh("rm", "-rf", *folder.parent.glob("gone-*"))


def _groups(ground: Ground) -> list[Path]:
    """Its control groups, the inner ones first."""
    tops = [_CGROUPS / ground.name, *_CGROUPS.glob(f"*/{ground.name}")]
    return [group for top in tops if top.is_dir() for group in [*sorted(top.rglob("*/"), reverse=True), top]]


def _unmount(folder: Path) -> None:
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted({point for point in mounts if Path(point).is_relative_to(folder)}, reverse=True):
        sh("umount", "--lazy", point)


def _lives(process: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def started(
    command: Sequence[str | Path], log: Path, death: str = "TERM", **options: object
) -> subprocess.Popen[bytes]:
    """Start a program that writes to `log`.

    It gets the signal `death` when the thread ends that started it, and so also when this process is killed.
    """
    words = ["setpriv", "--pdeathsig", death, *(str(word) for word in command)]
    with log.open("ab") as file:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, **{"env": environment(), **options}
        )


def ended(process: subprocess.Popen[bytes], limit: float = 30) -> None:
    """End a program that `started` gave, gently at first."""
    process.terminate()
    try:
        process.wait(limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def in_use(made: Path) -> Path:
    """Say that something in the cache is used now."""
    os.utime(made)
    return made


def forget_older(pattern: str) -> None:
    """Remove from the cache what nobody used for a day: another checkout may use what this one has no use for."""
    for old in CACHE.glob(pattern):
        if time.time() - old.stat().st_mtime > 24 * 3600:
            shutil.rmtree(old)


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """One process at a time makes what is called `name`."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

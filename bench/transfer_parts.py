"""The senders and receivers that `dicom_send.py` and `dicom_receive.py` compare, each a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orthweb.pki import ensure_authority

ENVIRONMENT = {"PATH": os.environ["PATH"], "TCP_NODELAY": "1"}


@dataclass
class Receiver:
    """A running receiver; what it used is known once it has ended."""

    port: int
    pid: int
    used: dict[str, float] = field(default_factory=dict)

    def processor_seconds(self) -> float:
        """What it has used so far (proc(5): utime and stime)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def orthweb_receiver(
    folder: str | Path, tls: Path | None = None, namespace: str | None = None, host: str = ""
) -> Iterator[Receiver]:
    """Orthweb's own; `folder` may be `null`."""
    inside = ["ip", "netns", "exec", namespace] if namespace else []
    command = [*inside, sys.executable, str(Path(__file__).with_name("receiver.py")), str(folder)]
    process = subprocess.Popen(
        [*command, *(["--tls", str(tls)] if tls else []), *(["--host", host] if host else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        receiver = Receiver(int(process.stdout.readline()), process.pid)
        yield receiver
        said, _ = process.communicate(timeout=60)
        receiver.used.update(json.loads(said))
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def storescp(folder: Path) -> Iterator[Receiver]:
    """DCMTK's, writing what comes as it comes, a process for each association."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(["storescp", "+B", "--fork", "-od", str(folder), str(port)], env=ENVIRONMENT)
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.05)
        yield Receiver(port, process.pid)
    finally:
        process.terminate()
        process.wait()


def certificates(folder: Path) -> Path:
    """Make a server's and a client's certificate of one authority."""
    authority = ensure_authority(folder, "bench")
    for name, issued in (
        ("server", authority.issue_server(["localhost"])),
        ("client", authority.issue_client("bench")),
    ):
        (folder / f"{name}.crt").write_bytes(issued.fullchain_pem)
        (folder / f"{name}.key").write_bytes(issued.key_pem)
    return folder


def storescu(port: int, tls: Path | None = None) -> list[str]:
    """DCMTK's sender, up to the files."""
    secured = ["+tls", f"{tls}/client.key", f"{tls}/client.crt", "-rc", "+cf", f"{tls}/ca.crt"] if tls else []
    return ["storescu", "-aec", "ANY", *secured, "localhost", str(port)]


def orthweb_send(port: int, tls: Path | None = None, associations: int | None = 1) -> list[str]:
    """Orthweb's sender, up to the files; it keeps its journal in the folder of XDG_STATE_HOME."""
    secured = ["--certificate", f"{tls}/client.crt", "--key", f"{tls}/client.key", "--ca", f"{tls}/ca.crt"]
    many = [] if associations is None else ["--associations", str(associations)]
    to = ["--to", f"localhost:{port}", "--called", "ANY"]
    return [sys.executable, "-m", "orthweb", "send", *to, *many, *(secured if tls else ["--plain"])]


def timed(commands: Sequence[Sequence[str]], state: Path) -> tuple[float, float]:
    """Run commands side by side; returns the seconds they took and the processor time they used."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**ENVIRONMENT, "XDG_STATE_HOME": str(state), "HOME": str(state)}
    started = time.perf_counter()
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for command in commands]
    statuses = [process.wait() for process in running]
    took = time.perf_counter() - started
    if any(statuses):
        raise SystemExit(f"{commands[0][0]} ended with {statuses}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

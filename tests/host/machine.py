"""A Debian 13 machine, as near to an EC2 instance as one Linux can have another: it boots systemd and runs cloud-init.

Its root is an overlay over a cached Debian, its processes live in namespaces (PID, mount, UTS, IPC, cgroup, network)
with systemd as process 1, and Docker's containers are below it. cloud-init's own units run, with the data source Ec2,
which finds a metadata service that answers with tokens only (`metadata_service`).

What differs from an instance on EC2: the kernel, its clock and its memory are this machine's; there is no DHCP, no
boot loader and no disk to grow; udev doesn't run; and control groups are of version 1 where this machine's are.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from authority import authority
from debian import system
from ground import SYSTEM_PATH, Ground, ended, sh, started
from harness import Done, eventually, run
from metadata_service import ADDRESS
from network import Network, Place

PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "udev", "cloud-init", "docker.io", "docker-cli", "docker-compose", "iptables",
    "python3-venv", "curl", "gpgv", "iproute2", "ca-certificates", "procps", "kmod", "netbase",
)  # fmt: skip
_SERVICE = Path(__file__).with_name("metadata_service.py")
_BOOT = Path(__file__).with_name("machine_boot.sh")
# The interface is there already, and nobody types at a console.
_MASKED = (
    "systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket",
    "systemd-udev-trigger.service", "systemd-networkd.service", "systemd-networkd.socket",
    "systemd-networkd-wait-online.service", "console-getty.service",
    "getty.target", "apt-daily.timer", "apt-daily-upgrade.timer", "fstrim.timer", "systemd-pstore.service",
    "systemd-firstboot.service", "systemd-resolved.service",
)  # fmt: skip
# What finds the data source reads lines, not YAML.
_CLOUD = """\
datasource_list: [ Ec2 ]
network: {config: disabled}
# No udev that would listen, and no server for SSH.
updates: {network: {when: [boot-new-instance]}}
ssh_genkeytypes: []
ssh_deletekeys: false
"""
_REBOOT, _POWEROFF = signal.SIGRTMIN + 5, signal.SIGRTMIN + 4


@dataclass
class Machine:
    """One machine, running or not; what is on its disk stays until the body of `machine` ends."""

    ground: Ground
    place: Place
    folder: Path
    """What lives in memory here: its console, the metadata, the metadata service's log."""
    disk: Path
    metadata: dict[str, Any]
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        return self.place.address

    @property
    def console(self) -> str:
        """All that it ever wrote to its console."""
        path = self.folder / "console"
        return path.read_text(errors="replace").replace("\r\n", "\n") if path.exists() else ""

    @property
    def root(self) -> Path:
        """Its root folder as this machine sees it, while it runs."""
        return Path(f"/proc/{self._first}/root")

    def tell(self, **metadata: Any) -> None:
        """Change what the metadata service answers from now on."""
        self.metadata.update(metadata)
        path = self.folder / "metadata.json"
        path.with_suffix(".new").write_text(json.dumps(self.metadata))
        path.with_suffix(".new").rename(path)

    def run(self, *words: str | Path, timeout: float = 120, **options: Any) -> Done:
        """Run a command on the machine, as root."""
        spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wdns=/"]
        clean = ["env", "-i", f"PATH={SYSTEM_PATH}", "HOME=/root", "LANG=C.UTF-8"]
        return run(["nsenter", "--target", str(self._first), *spaces, "--", *clean, *words], timeout, **options)

    @contextlib.contextmanager
    def meanwhile(self, *words: str, timeout: float = 300) -> Iterator[Future[Done]]:
        """Run a command on the machine beside the body."""
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(self.run, *words, timeout=timeout)

    def sh(self, script: str, timeout: float = 120) -> str:
        """Run a shell script on the machine, which must succeed, and give what it wrote."""
        done = self.run("sh", "-c", script, timeout=timeout)
        assert done.status == 0, f"{script}: {done.all}\n{self.console[-3000:]}"
        return done.out

    def boot(self) -> None:
        """Switch it on; returns at once."""
        assert self._process is None or self._process.poll() is not None, "it runs"
        primary, console = pty.openpty()
        lower = system("machine", PACKAGES, _prepared())
        command: list[str | Path] = [
            *self.place.enter, "sh", _BOOT, self.ground.name, self.disk, lower, os.ttyname(console), self.folder.name,
        ]  # fmt: skip
        self._process = started(command, self.folder / "log", "KILL")
        keeping = (self._process, primary, console, self.folder / "console")
        threading.Thread(target=_keep, args=keeping, daemon=True).start()

    def booted(self, limit: float = 120) -> str:
        """Wait until systemd has started what it starts at boot; gives `running` or `degraded`."""

        def state() -> str:
            assert self._process is not None and self._process.poll() is None, (
                f"it is off: {(self.folder / 'log').read_text()[-2000:]}{self.console[-2000:]}"
            )
            with contextlib.suppress(AssertionError, FileNotFoundError, subprocess.TimeoutExpired):
                word = self.run("systemctl", "is-system-running").out.strip()
                return word if word in ("running", "degraded") else ""
            return ""

        return str(eventually(state, limit, f"the machine to boot: {self.console[-2000:]}"))

    def reboot(self) -> None:
        """Restart it in good order, as `systemctl reboot` does."""
        self._end(_REBOOT, 90)
        self.boot()

    def shut_down(self) -> None:
        """Switch it off in good order, as stopping an instance does."""
        self._end(_POWEROFF, 90)

    def cut_off(self) -> None:
        """Take its power away."""
        self._end(signal.SIGKILL, 10)

    def _end(self, how: signal.Signals | int, limit: float) -> None:
        assert self._process is not None
        os.kill(self._first, how)
        self._process.wait(limit)

    @property
    def _first(self) -> int:
        """Its process 1, as this machine counts."""
        assert self._process is not None and self._process.poll() is None, "the machine is off"
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return int(eventually(lambda: children.read_text().split(), 10, "its first process")[0])


@contextlib.contextmanager
def machine(
    ground: Ground, net: Network, user_data: str = "", data: Path | None = None, **metadata: Any
) -> Iterator[Machine]:
    """Make a machine and switch it on; it is gone when the body ends.

    Parameters
    ----------
    user_data:
        What cloud-init gets.
    data:
        What a stopped engine left, to have images in Docker from the start.
    metadata:
        `instance_id`, `role` and `credentials`, and what else `metadata_service` knows.
    """
    place = net.join()
    number = int(place.address.rpartition(".")[2])
    folder, disk = ground.run / f"machine-{number}", ground.disk / f"machine-{number}"
    for path in (folder, disk / "upper", disk / "work", disk / "root", disk / "containerd"):
        path.mkdir(parents=True)
    docker = disk / "docker"
    if data is None:
        docker.mkdir()
    else:
        from engine import link_data

        link_data(data, docker)
    made = Machine(ground, place, folder, disk, {})
    identity = metadata.pop("instance_id", f"i-{number:017x}")
    made.tell(**{**_metadata(identity, made.address), "user_data": user_data, **metadata})
    _own_files(disk / "upper", identity, net)
    sh("ip", "-n", place.namespace, "address", "add", f"{ADDRESS}/32", "dev", "lo")
    service = started([*place.enter, sys.executable, _SERVICE, folder / "metadata.json"], folder / "metadata.log")
    try:
        made.boot()
        yield made
    finally:
        with contextlib.suppress(AssertionError, ProcessLookupError):
            made.cut_off()
        ended(service)
        net.leave(place)


def _metadata(identity: str, address: str) -> dict[str, Any]:
    mac = "02:00:00:00:00:01"
    card = {"device-number": "0", "local-ipv4s": address, "mac": mac, "subnet-ipv4-cidr-block": "198.18.0.0/16"}
    return {
        "document": {"instanceId": identity, "region": "eu-central-1", "availabilityZone": "eu-central-1a",
                     "architecture": "x86_64", "accountId": "123456789012", "privateIp": address},
        "tree": {
            "instance-id": identity, "ami-id": "ami-03cf127a", "instance-type": "m6i.large", "local-ipv4": address,
            "hostname": f"ip-{address.replace('.', '-')}.eu-central-1.compute.internal",
            "local-hostname": f"ip-{address.replace('.', '-')}.eu-central-1.compute.internal",
            "placement": {"availability-zone": "eu-central-1a", "region": "eu-central-1"},
            "mac": mac, "network": {"interfaces": {"macs": {mac: card}}},
            "services": {"domain": "amazonaws.com", "partition": "aws"},
        },
        "role": "clinic-host",
        "credentials": {"AccessKeyId": "ASIATESTING", "SecretAccessKey": "testing", "Token": "testing"},
    }  # fmt: skip


def _prepared() -> str:
    """The script that makes an image for machines of a system."""
    trusted = authority().read_text()
    return f"""
    systemctl mask {" ".join(_MASKED)} >/dev/null 2>&1
    # No DHCP: cloud-init would wait for an answer.
    rm -f /usr/sbin/dhcpcd /etc/machine-id /etc/hostname
    printf '%s' '{trusted}' >/usr/local/share/ca-certificates/tests.crt
    update-ca-certificates >/dev/null 2>&1
    rm -f /etc/apt/apt.conf.d/99tests"""


def _own_files(upper: Path, identity: str, net: Network) -> None:
    (upper / "etc/cloud/cloud.cfg.d").mkdir(parents=True)
    for name, text in {
        "machine-id": f"{int(identity.removeprefix('i-'), 16):032x}\n",
        "resolv.conf": f"nameserver {net.cloud.address}\noptions timeout:2 attempts:5\n",
        "cloud/cloud.cfg.d/90-tests.cfg": _CLOUD,
        "hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost\n",
    }.items():
        (upper / "etc" / name).write_text(text)


def _keep(process: subprocess.Popen[bytes], primary: int, console: int, path: Path) -> None:
    """Write what comes from a machine's console to a file; both ends stay open until the machine is off."""
    with path.open("ab", buffering=0) as file:
        while select.select([primary], [], [], 0.5)[0] or process.poll() is None:
            if select.select([primary], [], [], 0)[0]:
                file.write(os.read(primary, 65536))
    os.close(primary)
    os.close(console)

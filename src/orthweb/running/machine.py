"""The machine under a site, whatever brought the site up: its disks and memory, its addresses, what it runs."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import platform
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from orthweb.running.probe import envoy_admin
from orthweb.site.paths import SitePaths
from orthweb.validation.target import Space

# The commands that bring a site up, as the history names them.
_STARTING = ("up", "demo")


class Machine:
    """What validation asks of this machine and is the same for every engine; see `orthweb.validation.target.Host`.

    Parameters
    ----------
    envoy:
        The socket of Envoy's administration.
    """

    def __init__(self, paths: SitePaths, envoy: Path) -> None:
        self._paths, self._envoy = paths, envoy

    def disks(self) -> Sequence[Space]:
        """The disks under the site's folders, each once."""
        paths = self._paths
        found: dict[int, Space] = {}
        for folder in (paths.state, paths.data, paths.database, paths.objects, paths.bucket, paths.logs):
            if folder.exists():
                usage = shutil.disk_usage(folder)
                found.setdefault(os.stat(folder).st_dev, Space(f"the disk of {folder}", usage.free, usage.total))
        return list(found.values())

    def memory(self) -> Space:
        """The memory of the machine, without the swap; free is what programs may have without it (proc(5))."""
        known = dict(re.findall(r"(\w+):\s+(\d+) kB", Path("/proc/meminfo").read_text()))
        return Space("the memory", int(known["MemAvailable"]) * 1024, int(known["MemTotal"]) * 1024)

    def versions(self) -> Mapping[str, str]:
        """Envoy's, as it says itself, and the system's."""
        found = {}
        with contextlib.suppress(OSError, KeyError):
            found["operating system"] = platform.freedesktop_os_release()["PRETTY_NAME"]
        # "version": "<commit>/1.40.0/Clean/RELEASE/BoringSSL"
        parts = str(json.loads(envoy_admin(self._envoy, "/server_info") or "{}").get("version"))
        if len(words := parts.split("/")) > 1:
            found["Envoy"] = words[1]
        return found

    def unfinished(self) -> str | None:
        """What the last command that brought the site up did not come to, or what it waits for."""
        last = self._last_start()
        if last is not None and last["result"] != "done":
            return f"'orthweb {last['command']}' of {last['time']} was not finished: {last['result']}"
        if envoy_admin(self._envoy, "/ready") is None:
            return "Envoy does not say that it is ready"
        return None

    def encrypted(self, path: Path) -> bool | None:
        """Whether device-mapper encrypts what is under a folder; True or None, since a disk below may do it as well."""
        device = os.stat(path).st_dev
        block = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
        return True if encrypted_device(block) else None

    def _last_start(self) -> dict[str, str] | None:
        try:
            entries = [json.loads(line) for line in self._paths.history.read_text().splitlines()]
        except (OSError, ValueError):
            return None
        return next((entry for entry in reversed(entries) if entry["command"] in _STARTING), None)


def own_addresses() -> list[str]:
    """The addresses of this machine that others could reach: neither loopback nor link-local."""
    found = set()
    with contextlib.suppress(FileNotFoundError):
        # proc(5): the routing table's leaves, each before the line that says what kind of address it is.
        leaves = re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", Path("/proc/net/fib_trie").read_text())
        found |= set(leaves)
    with contextlib.suppress(FileNotFoundError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            digits = line.split()[0]
            found.add(str(ipaddress.IPv6Address(int(digits, 16))))
    addresses = sorted(map(ipaddress.ip_address, found), key=lambda address: (address.version, int(address)))
    return [str(address) for address in addresses if not address.is_loopback and not address.is_link_local]


def encrypted_device(block: Path) -> bool:
    """Whether a block device, by its folder in sysfs, or one that it lies on is dm-crypt's (sysfs-block-dm)."""
    try:
        if (block / "dm/uuid").read_text().startswith("CRYPT-"):
            return True
    except OSError:
        pass
    below = block / "slaves"
    return below.is_dir() and any(encrypted_device(lower) for lower in below.iterdir())

"""This machine as the site's administrator sees it: its processes, its disk and memory, its logs."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from orthweb.local.layout import service_names
from orthweb.local.processes import Supervisor
from orthweb.running.probe import envoy_admin
from orthweb.site.model import Site
from orthweb.site.paths import SitePaths
from orthweb.validation.target import Service, Space

_STARTED = "supervisord started with pid"
_ENDED = re.compile(r"exited: (\S+) \(.*; not expected\)")
# The commands that bring a site up, as the history names them.
_STARTING = ("up", "demo")


class LocalHost:
    """The machine that a site of this folder runs on."""

    def __init__(self, site: Site, paths: SitePaths) -> None:
        self._site, self._paths = site, paths

    def services(self) -> Sequence[Service]:
        """Every process of the site; see `orthweb.validation.target.Host`."""
        paths = self._paths
        supervisor = Supervisor(paths.run, paths.config / "supervisord.conf", paths.logs / "supervisor.log")
        states, ended = supervisor.states(), self._ended()
        found = []
        for name in service_names(self._site):
            state = states.get(name)
            running = state is not None and state.pid != 0
            started = datetime.datetime.fromtimestamp(state.started, datetime.UTC) if state and running else None
            word = state.state.lower() if state else "absent"
            found.append(Service(name, word, running, ended[name], started))
        return found

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

    def log(self, service: str) -> Iterator[str]:
        """The lines of a service's log and before them of the one that was rotated away last."""
        current = self._paths.logs / f"{service}.log"
        for path in (current.with_name(f"{current.name}.1"), current):
            if path.exists():
                with path.open(errors="replace") as lines:
                    yield from lines

    def versions(self) -> Mapping[str, str]:
        """Envoy's, as it says itself, and the system's."""
        found = {}
        with contextlib.suppress(OSError, KeyError):
            found["operating system"] = platform.freedesktop_os_release()["PRETTY_NAME"]
        # "version": "<commit>/1.40.0/Clean/RELEASE/BoringSSL"
        parts = str(json.loads(envoy_admin(self._paths.run / "envoy.sock", "/server_info") or "{}").get("version"))
        if len(words := parts.split("/")) > 1:
            found["Envoy"] = words[1]
        return found

    def unfinished(self) -> str | None:
        """What the last command that brought the site up did not come to, or what it waits for."""
        last = self._last_start()
        if last is not None and last["result"] != "done":
            return f"'orthweb {last['command']}' of {last['time']} was not finished: {last['result']}"
        if envoy_admin(self._paths.run / "envoy.sock", "/ready") is None:
            return "Envoy does not say that it is ready"
        return None

    def encrypted(self, path: Path) -> bool | None:
        """Whether device-mapper encrypts what is under a folder; True or None, since a disk below may do it as well."""
        device = os.stat(path).st_dev
        block = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
        return True if encrypted_device(block) else None

    def _ended(self) -> Counter[str]:
        """How often each process ended by itself since the supervisor started."""
        found: Counter[str] = Counter()
        for line in self.log("supervisor"):
            if _STARTED in line:
                found.clear()
            found.update(_ENDED.findall(line))
        return found

    def _last_start(self) -> dict[str, str] | None:
        try:
            entries = [json.loads(line) for line in self._paths.history.read_text().splitlines()]
        except (OSError, ValueError):
            return None
        return next((entry for entry in reversed(entries) if entry["command"] in _STARTING), None)


def encrypted_device(block: Path) -> bool:
    """Whether a block device, by its folder in sysfs, or one that it lies on is dm-crypt's (sysfs-block-dm)."""
    try:
        if (block / "dm/uuid").read_text().startswith("CRYPT-"):
            return True
    except OSError:
        pass
    below = block / "slaves"
    return below.is_dir() and any(encrypted_device(lower) for lower in below.iterdir())

"""This machine as the site's administrator sees it: its processes, its disk and memory, its logs."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from orthweb.local.layout import service_names
from orthweb.local.probe import envoy_admin
from orthweb.local.processes import Supervisor
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

    def spaces(self) -> Sequence[Space]:
        """The disk of the site and the memory of the machine."""
        disk = shutil.disk_usage(self._paths.state)
        memory = dict(re.findall(r"(\w+):\s+(\d+) kB", Path("/proc/meminfo").read_text()))
        return [
            Space(f"disk of {self._paths.state}", disk.free, disk.total),
            Space("memory", int(memory["MemAvailable"]) * 1024, int(memory["MemTotal"]) * 1024),
        ]

    def log(self, service: str) -> str:
        """The log of a service and the one that was rotated away last."""
        current = self._paths.logs / f"{service}.log"
        parts = [path for path in (current.with_name(f"{current.name}.1"), current) if path.exists()]
        return "".join(path.read_text(errors="replace") for path in parts)

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
        return True if _is_crypt(block) else None

    def _ended(self) -> Counter[str]:
        """How often each process ended by itself since the supervisor started."""
        words = self.log("supervisor").rpartition(_STARTED)[2]
        return Counter(_ENDED.findall(words))

    def _last_start(self) -> dict[str, str] | None:
        try:
            entries = [json.loads(line) for line in self._paths.history.read_text().splitlines()]
        except (OSError, ValueError):
            return None
        return next((entry for entry in reversed(entries) if entry["command"] in _STARTING), None)


def _is_crypt(block: Path) -> bool:
    """Whether a block device or one that it lies on is dm-crypt's (sysfs-block-dm)."""
    try:
        if (block / "dm/uuid").read_text().startswith("CRYPT-"):
            return True
    except OSError:
        pass
    below = block / "slaves"
    return below.is_dir() and any(_is_crypt(lower) for lower in below.iterdir())

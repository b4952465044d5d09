"""This machine as the site's administrator sees it: its processes, its disk and memory, its logs."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from orthweb.local.layout import service_names
from orthweb.local.processes import Supervisor
from orthweb.running.machine import Machine
from orthweb.site.model import Site
from orthweb.site.paths import SitePaths
from orthweb.validation.target import Service

_STARTED = "supervisord started with pid"
_ENDED = re.compile(r"exited: (\S+) \(.*; not expected\)")


class LocalHost(Machine):
    """The machine that a site of this folder runs on."""

    def __init__(self, site: Site, paths: SitePaths) -> None:
        super().__init__(paths, paths.run / "envoy.sock")
        self._site = site

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

    def log(self, service: str) -> Iterator[str]:
        """The lines of a service's log and before them of the one that was rotated away last."""
        current = self._paths.logs / f"{service}.log"
        for path in (current.with_name(f"{current.name}.1"), current):
            if path.exists():
                with path.open(errors="replace") as lines:
                    yield from lines

    def _ended(self) -> Counter[str]:
        """How often each process ended by itself since the supervisor started."""
        found: Counter[str] = Counter()
        for line in self.log("supervisor"):
            if _STARTED in line:
                found.clear()
            found.update(_ENDED.findall(line))
        return found

"""Registers a site as a systemd service, so that it comes back when the machine starts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from orthweb.errors import Failure, InputError
from orthweb.site.files import write_file
from orthweb.site.model import Site
from orthweb.site.paths import SitePaths

_SYSTEM_UNITS = Path("/etc/systemd/system")


def require_systemd() -> None:
    """Refuse where systemd doesn't run the machine; raises InputError."""
    if not Path("/run/systemd/system").is_dir():
        first = Path("/proc/1/comm").read_text().strip()
        raise InputError(
            f"--at-boot: process 1 of this machine is {first}, not systemd",
            "start the site from there with 'orthweb up'",
        )


def ensure_at_boot(site: Site, paths: SitePaths, say: Callable[[str], None]) -> None:
    """Write and enable the unit: a system unit for root, a user unit for anybody else."""
    unit = unit_path(site)
    text = unit_text(site, paths, user=os.getuid() != 0)
    if not unit.exists() or unit.read_text() != text:
        unit.parent.mkdir(parents=True, exist_ok=True)
        write_file(unit, text, 0o644)
        _systemctl("daemon-reload")
        say(f"wrote {unit}")
    _systemctl("enable", unit.name)
    if os.getuid() != 0:
        # Without lingering a user's services start at login and end at logout.
        _run(["loginctl", "enable-linger"])


def remove_at_boot(site: Site, paths: SitePaths, say: Callable[[str], None]) -> None:
    """Take the unit away again if it is this site's."""
    unit = unit_path(site)
    if unit.exists() and f"up --site {_quoted(str(paths.root))}\n" in unit.read_text():
        _systemctl("disable", unit.name)
        unit.unlink()
        _systemctl("daemon-reload")
        say(f"removed {unit}")


def unit_path(site: Site) -> Path:
    """Where the unit of this site lies."""
    folder = _SYSTEM_UNITS if os.getuid() == 0 else Path.home() / ".config/systemd/user"
    return folder / f"orthweb-{site.name}.service"


def unit_text(site: Site, paths: SitePaths, user: bool) -> str:
    """Make the unit: `up` starts the supervisor, which systemd then watches; when it is killed, `up` runs again."""
    command = f"{_quoted(sys.executable)} -m orthweb"
    folder = _quoted(str(paths.root))
    return f"""[Unit]
Description=Orthweb site {site.name}
After=network-online.target
Wants=network-online.target

[Service]
Type=forking
PIDFile={paths.run / "supervisor.pid"}
ExecStart={command} up --site {folder}
ExecStop={command} down --site {folder}
Restart=on-failure
RestartSec=5
TimeoutStartSec=300
TimeoutStopSec=120
KillMode=mixed

[Install]
WantedBy={"default.target" if user else "multi-user.target"}
"""


def _quoted(text: str) -> str:
    # systemd.service(5): % and $ start specifiers and variables, quotes keep spaces.
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if re.search(r"[\s\"']", text) else escaped


def _systemctl(*arguments: str) -> None:
    _run(["systemctl", *([] if os.getuid() == 0 else ["--user"]), *arguments])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")

"""What a site on this machine looks like right now, without changing it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from orthweb.local.layout import service_names
from orthweb.local.processes import ProcessState, Supervisor
from orthweb.local.sockets import holder, listeners
from orthweb.render.envoy_clusters import DICOM_CLUSTER, WEB_CLUSTER
from orthweb.render.place import replica_names
from orthweb.running.overview import certificates, described, disk_room
from orthweb.running.probe import OrthancProbe, healthy_hosts
from orthweb.site.model import HEALTH_USER, Site
from orthweb.site.paths import SitePaths
from orthweb.site.secrets import read_users


def status(site: Site, paths: SitePaths) -> dict[str, Any]:
    """Collect the state of every process, replica, listener and certificate, and of the disk.

    Returns
    -------
    dict
        `healthy` is true when everything the site needs is there and answers.
    """
    supervisor = Supervisor(paths.run, paths.config / "supervisord.conf", paths.logs / "supervisor.log")
    states = supervisor.states()
    services = [_service(name, states.get(name)) for name in service_names(site)]
    replicas = replica_states(site, paths) if states else []
    ports = [_listener(field, port, states) for field, port in site.listening_ports().items()]
    disk = disk_room(paths)
    healthy = (
        bool(states)
        and all(service["state"] in ("running", "starting") for service in services)
        and all(replica["healthy"] for replica in replicas)
        and all(port["open"] for port in ports)
        and disk["enough"]
    )
    return described(site, paths) | {
        "up": bool(states),
        "healthy": healthy,
        "supervisor": _supervisor(supervisor) if states else None,
        "services": services,
        "replicas": replicas,
        "listeners": ports,
        "certificates": certificates(paths),
        "disk": disk,
    }


def _service(name: str, state: ProcessState | None) -> dict[str, Any]:
    if state is None:
        return {"name": name, "state": "absent", "pid": 0, "uptime_s": 0, "memory_mb": 0.0}
    up = state.pid != 0
    return {
        "name": name,
        "state": state.state.lower(),
        "pid": state.pid,
        "uptime_s": int(time.time() - state.started) if up else 0,
        "memory_mb": _memory_mb(state.pid) if up else 0.0,
    }


def _supervisor(supervisor: Supervisor) -> dict[str, Any]:
    pid = supervisor.pid()
    return {"pid": pid, "memory_mb": _memory_mb(pid)}


def _memory_mb(pid: int) -> float:
    """Resident memory of one process, in MB of 2**20 bytes."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def replica_states(site: Site, paths: SitePaths) -> list[dict[str, Any]]:
    """Ask every replica whether it is well, and Envoy whether it sends requests and associations there."""
    ports: dict[str, int] = json.loads((paths.state / "ports.json").read_text())
    probe = OrthancProbe(paths.pki / "internal", read_users(paths)[HEALTH_USER])
    clusters = healthy_hosts(paths.run / "envoy.sock")
    found = []
    for name in replica_names(site):
        http, dicom = ports.get(f"{name}/http"), ports.get(f"{name}/dicom")
        if http is None or dicom is None:
            found.append({"name": name, "healthy": False, "version": None, "web": False, "dicom": False})
            continue
        system = probe.get(http, "/system")
        found.append(
            {
                "name": name,
                "healthy": probe.healthy(http),
                "version": system["Version"] if system else None,
                "web": clusters.get(WEB_CLUSTER, {}).get(f"127.0.0.1:{http}", False),
                "dicom": clusters.get(DICOM_CLUSTER, {}).get(f"127.0.0.1:{dicom}", False),
            }
        )
    return found


def _listener(field: str, port: int, states: dict[str, ProcessState]) -> dict[str, Any]:
    inodes = listeners(port)
    found = holder(inodes) if inodes else None
    ours = found is not None and "envoy" in states and found[0] == states["envoy"].pid
    by = None if found is None else f"{found[1]} (pid {found[0]})"
    return {"field": field, "port": port, "open": bool(inodes) and ours, "by": by}

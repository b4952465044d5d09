"""What a site in containers on this machine looks like right now, without changing it."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path, PurePosixPath
from typing import Any

from orthweb.errors import Failure
from orthweb.host.docker import Container, Docker
from orthweb.host.own import project_name
from orthweb.render.containers import DICOM_PORT, ENVOY, HTTP_PORT, POSTGRESQL, Networks
from orthweb.render.envoy_clusters import DICOM_CLUSTER, WEB_CLUSTER
from orthweb.render.place import replica_names
from orthweb.running.overview import certificates, described, disk_room
from orthweb.running.probe import OrthancProbe, healthy_hosts
from orthweb.site.model import HEALTH_USER, Site
from orthweb.site.paths import SitePaths
from orthweb.site.secrets import read_users


def own_status(site: Site, paths: SitePaths) -> dict[str, Any]:
    """Collect the state of every container, replica, listener and certificate, and of the disk.

    Returns
    -------
    dict
        As `orthweb.local.status.status` gives it.
    """
    containers = _containers(site, paths)
    names = [POSTGRESQL, *replica_names(site), ENVOY]
    services = [_service(name, containers.get(name)) for name in names]
    up = any(container.state == "running" for container in containers.values())
    replicas = _replicas(site, paths) if up else []
    proxy = containers.get(ENVOY)
    listeners = [
        {"field": field, "port": port, "open": proxy is not None and proxy.well, "by": "Docker" if proxy else None}
        for field, port in site.listening_ports().items()
    ]
    disk = disk_room(paths)
    well = all(name in containers and containers[name].well for name in names)
    return described(site, paths) | {
        "up": up,
        "healthy": well and all(replica["healthy"] for replica in replicas) and disk["enough"],
        "supervisor": None,
        "services": services,
        "replicas": replicas,
        "listeners": listeners,
        "certificates": certificates(paths),
        "disk": disk,
    }


def _containers(site: Site, paths: SitePaths) -> dict[str, Container]:
    try:
        return Docker().containers(project_name(site, paths))
    except Failure:
        # Without an engine nothing of the site runs, and that is what is shown.
        return {}


def _service(name: str, container: Container | None) -> dict[str, Any]:
    if container is None:
        return {"name": name, "state": "absent", "pid": 0, "uptime_s": 0, "memory_mb": 0.0}
    running, now = container.state == "running", datetime.datetime.now(datetime.UTC)
    state = (container.health or "running") if running else container.state
    return {
        "name": name,
        "state": "running" if state == "healthy" else state,
        "pid": container.pid,
        "uptime_s": int((now - container.started).total_seconds()) if running else 0,
        "memory_mb": _memory_mb(container.pid) if running else 0.0,
    }


def _memory_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    sizes = [int(line.split()[1]) for line in lines if line.startswith("VmRSS:")]
    return round(sum(sizes) / 1024, 1)


def _replicas(site: Site, paths: SitePaths) -> list[dict[str, Any]]:
    """Ask every replica whether it is well, and Envoy whether it sends requests and associations there."""
    networks = Networks(ipaddress.IPv4Network((paths.state / "network").read_text().strip()))
    probe = OrthancProbe(paths.pki / "internal", read_users(paths)[HEALTH_USER])
    clusters = healthy_hosts(Path(PurePosixPath(paths.config) / ENVOY / "run/envoy.sock"))
    found = []
    for name in replica_names(site):
        host = networks.address(name)
        system = probe.get(HTTP_PORT, "/system", host=host)
        found.append(
            {
                "name": name,
                "healthy": probe.healthy(HTTP_PORT, host=host),
                "version": system["Version"] if system else None,
                "web": clusters.get(WEB_CLUSTER, {}).get(f"{host}:{HTTP_PORT}", False),
                "dicom": clusters.get(DICOM_CLUSTER, {}).get(f"{host}:{DICOM_PORT}", False),
            }
        )
    return found

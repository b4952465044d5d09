"""The Docker Compose project of a site: Envoy with the two ports, the Orthanc servers behind it, and what they may."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from orthweb.render.containers import (
    ENVOY,
    OBJECTS,
    POSTGRES_PASSWORD,
    POSTGRESQL,
    RUN,
    SOCKETS,
    TEMPORARY,
    VIEW,
    Networks,
    container_fingerprint,
    image_user,
    services,
)
from orthweb.render.envoy_listener import only_loopback
from orthweb.render.place import Place, Rendered
from orthweb.site.model import HEALTH_USER, INTERNAL_NAME, Site

COMPOSE_FILE = "compose.json"
FINGERPRINT = "orthweb.fingerprint"
"""The label that says which files a container was started with."""
STOP_SECONDS = 60
"""How long a container may take to end by itself."""
_MB = 2**20
_PLUGINS = "/run/orthanc/plugins"
_TRUST = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class DockerHost:
    """What the project has to know of the host that it runs on; paths are the host's.

    Parameters
    ----------
    files:
        The folder below which each container has its own.
    data:
        The folder of what lasts: objects and database, where these are on the host.
    images:
        Container images by service: `orthanc-1`, …, `envoy`, `postgresql`; `orthanc` for replicas not named.
    memory:
        Bytes that the host has.
    cpus:
        How many processors it has.
    quick_checks:
        Whether the engine knows `start_interval`: it does from Docker 25 on.
    project:
        Name of the Compose project, which the names of its containers and networks begin with.
    owner:
        User and group that all containers run as, where the caller cannot give files to the images' own.
    trust:
        The host's own file of authorities, which the containers then trust too; None leaves them those of the image.
    log:
        Docker's log driver with its options, by service; rotated files when there is none.
    """

    files: PurePosixPath
    data: PurePosixPath
    images: Mapping[str, str]
    memory: int
    cpus: int
    quick_checks: bool
    project: str
    owner: tuple[int, int] | None = None
    trust: PurePosixPath | None = None
    log: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    def image(self, service: str) -> str:
        """The image of a service."""
        return self.images[service] if service in self.images else self.images["orthanc"]

    def account(self, service: str) -> tuple[int, int]:
        """User and group that a service's processes have, and its files."""
        return self.owner or (image_user(service), image_user(service))


def compose_file(
    site: Site, place: Place, networks: Networks, host: DockerHost, files: Mapping[str, Rendered]
) -> Rendered:
    """Make the project; `files` are those of the containers."""
    project = {
        "name": host.project,
        "services": {name: _service(name, site, place, networks, host, files) for name in services(place)},
        "networks": {
            "inside": {"internal": True, "ipam": {"config": [{"subnet": str(networks.inside)}]}},
            "outside": {
                "ipam": {"config": [{"subnet": str(networks.outside)}]},
                # Each container reaches the world from here, and none another.
                "driver_opts": {"com.docker.network.bridge.enable_icc": "false"},
            },
        },
    }
    # Compose replaces variables in what it reads.
    return Rendered(json.dumps(project, indent=2).replace("$", "$$") + "\n")


def _service(
    name: str, site: Site, place: Place, networks: Networks, host: DockerHost, files: Mapping[str, Rendered]
) -> dict[str, Any]:
    inside: dict[str, Any] = {"ipv4_address": networks.address(name)}
    if name == POSTGRESQL:
        inside["aliases"] = [INTERNAL_NAME]
    number, group = host.account(name)
    return {
        "user": f"{number}:{group}",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "pids_limit": 1024,
        "mem_limit": _memory(name, place, host),
        "restart": "unless-stopped",
        "stop_grace_period": f"{STOP_SECONDS}s",
        "labels": {FINGERPRINT: container_fingerprint(name, files)},
        "logging": host.log.get(name) or {"driver": "json-file", "options": {"max-size": "20m", "max-file": "5"}},
        "networks": {"inside": inside, **({} if name == POSTGRESQL else {"outside": {}})},
        **_own(name, site, place, host),
    }


def _own(name: str, site: Site, place: Place, host: DockerHost) -> dict[str, Any]:
    if name == ENVOY:
        return _envoy(site, place, host)
    return _postgresql(host) if name == POSTGRESQL else _orthanc(name, place, host)


def _envoy(site: Site, place: Place, host: DockerHost) -> dict[str, Any]:
    folder = host.files / ENVOY
    command = ["envoy", "-c", str(place.files.config / "envoy/envoy.yaml"), "--disable-hot-restart", "-l", "warning"]
    ranges = {site.web.port: site.web.allowed_cidrs, site.dicom.port: site.dicom.allowed_cidrs}
    if site.web.redirect_port is not None:
        ranges[site.web.redirect_port] = site.web.allowed_cidrs
    if site.dicom.plaintext is not None:
        ranges[site.dicom.plaintext.port] = site.dicom.plaintext.allowed_cidrs
    return {
        "image": host.image(ENVOY),
        "command": [*command, "--concurrency", str(max(2, host.cpus))],
        # Named, so that no IPv6 connection comes in through Docker's proxy with the address of this machine.
        "ports": [
            {"target": port, "published": str(port), "host_ip": "127.0.0.1" if only_loopback(cidrs) else "0.0.0.0"}  # noqa: S104
            for port, cidrs in ranges.items()
        ],
        # Containers may listen on every port without a privilege of their own.
        "sysctls": {"net.ipv4.ip_unprivileged_port_start": "0"},
        "tmpfs": ["/tmp:mode=1777,size=16m"],  # noqa: S108 - the container's own
        "volumes": [_mount(folder / "view", VIEW), _mount(folder / "run", RUN, writable=True)],
        "healthcheck": _check(host, ["CMD", "bash", "-c", f": < /dev/tcp/127.0.0.1/{site.web.port}"]),
    }


def _orthanc(name: str, place: Place, host: DockerHost) -> dict[str, Any]:
    folder = host.files / name
    number, group = host.account(name)
    mounts = [
        _mount(folder / "view", VIEW),
        _mount(folder / "etc", PurePosixPath("/etc/orthanc")),
        _mount(folder / "secrets", PurePosixPath("/run/secrets")),
        _mount(folder / "view/hostid", PurePosixPath("/etc/hostid")),
        _mount(host.data / "tmp" / name, TEMPORARY, writable=True),
    ]
    owned = f"mode=0700,uid={number},gid={group}"
    # The entrypoint puts the plugins there that are configured, and writes the whole configuration to /tmp.
    memory = [f"/tmp:size=16m,{owned}", f"{_PLUGINS}:exec,size=512m,{owned}"]  # noqa: S108 - the container's own
    if place.bucket is None:
        mounts.append(_mount(host.data / "objects", OBJECTS, writable=True))
    else:
        memory.append(f"{OBJECTS}:size=16m,{owned}")
    if host.trust is not None:
        mounts.append(_mount(host.trust, PurePosixPath(_TRUST)))
    return {
        "image": host.image(name),
        # DCMTK reads TCP_NODELAY: without it every C-STORE waits 40 ms for an acknowledgement.
        "environment": {"TCP_NODELAY": "1", "MALLOC_ARENA_MAX": "5", "GENERATE_HOST_ID_IF_MISSING": "false"},
        "tmpfs": memory,
        "volumes": mounts,
        # The image's own probe, which reads the database.
        "healthcheck": _check(
            host,
            [
                "CMD",
                "python3",
                "/probes/test-aliveness.py",
                f"--user={HEALTH_USER}",
                f"--certfile={place.files.pki / 'internal/orthanc.pem'}",
            ],
        ),
    }


def _postgresql(host: DockerHost) -> dict[str, Any]:
    folder, data = host.files / POSTGRESQL, PurePosixPath("/var/lib/postgresql/data")
    number, group = host.account(POSTGRESQL)
    return {
        "image": host.image(POSTGRESQL),
        "command": ["postgres", "-c", f"config_file={VIEW / 'config/postgresql/postgresql.conf'}"],
        "environment": {"POSTGRES_PASSWORD_FILE": f"/run/secrets/{POSTGRES_PASSWORD}", "PGDATA": str(data)},
        "stop_signal": "SIGINT",
        "shm_size": "256m",
        "tmpfs": [f"{SOCKETS}:mode=0700,uid={number},gid={group}", "/tmp:mode=1777,size=64m"],  # noqa: S108
        "volumes": [
            _mount(folder / "view", VIEW),
            _mount(folder / "etc", PurePosixPath("/docker-entrypoint-initdb.d")),
            _mount(folder / "secrets", PurePosixPath("/run/secrets")),
            _mount(host.data / POSTGRESQL, data, writable=True),
        ],
        # While it makes the database, the entrypoint runs another server behind its own process.
        "healthcheck": _check(
            host,
            ["CMD-SHELL", f"grep -qx postgres /proc/1/comm && pg_isready --quiet --host {SOCKETS} --username postgres"],
        ),
    }


def _mount(source: PurePosixPath, target: PurePosixPath, writable: bool = False) -> dict[str, Any]:
    # Docker would make what is missing, as root: after a reboot the folder in memory is, until it is rendered again.
    bind = {"create_host_path": False}
    return {"type": "bind", "source": str(source), "target": str(target), "read_only": not writable, "bind": bind}


def _check(host: DockerHost, test: list[str]) -> dict[str, Any]:
    timing = {"interval": "15s", "timeout": "10s", "retries": 3, "start_period": "120s"}
    if host.quick_checks:
        return {"test": test, **timing, "start_interval": "1s"}
    return {"test": test, **timing, "interval": "3s"}


def _memory(name: str, place: Place, host: DockerHost) -> int:
    """Bytes that a container may use: Envoy and PostgreSQL a share, and the Orthanc servers what the host can spare."""
    fixed = {ENVOY: 512 * _MB, POSTGRESQL: max(512 * _MB, host.memory // 4)}
    if name in fixed:
        return fixed[name]
    others = fixed[ENVOY] + (fixed[POSTGRESQL] if place.database.listen is not None else 0) + 512 * _MB
    return max(512 * _MB, (host.memory - others) // len(place.replicas))

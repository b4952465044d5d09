"""A site in containers as validation and audit take it: its addresses and credentials, and the view from inside."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from pathlib import Path

from orthweb.dicom.tls import TlsFiles
from orthweb.host.docker import Container, Docker
from orthweb.host.own import project_name
from orthweb.pki.of_site import another_device
from orthweb.render.containers import DICOM_PORT, ENVOY, HTTP_PORT, POSTGRES_PORT, POSTGRESQL, Networks
from orthweb.render.place import Database, replica_names
from orthweb.running.machine import Machine, own_addresses
from orthweb.running.target import rendered_configuration, target_here
from orthweb.site import bucket_keys
from orthweb.site.model import INTERNAL_NAME, Site
from orthweb.site.paths import SitePaths
from orthweb.site.secrets import read_password
from orthweb.validation.target import (
    BucketStorage,
    DatabaseAddress,
    FolderStorage,
    Inside,
    Internal,
    ReplicaAddress,
    Service,
    Target,
)

# What nobody but the site may reach, by the ports that others know it by: no container publishes one.
_INTERNALS = (
    Internal("Orthanc's", HTTP_PORT),
    Internal("Orthanc's", DICOM_PORT),
    Internal("PostgreSQL's", POSTGRES_PORT),
    Internal("Envoy's administration", 9901),
)


class ContainerHost(Machine):
    """The machine that a site in containers runs on."""

    def __init__(self, site: Site, paths: SitePaths) -> None:
        super().__init__(paths, paths.config / ENVOY / "run/envoy.sock")
        self._docker, self._names = Docker(), (POSTGRESQL, *replica_names(site), ENVOY)
        self._project = project_name(site, paths)

    def services(self) -> Sequence[Service]:
        """Every container of the site; see `orthweb.validation.target.Host`. Raises Failure without an engine."""
        there = self._docker.containers(self._project)
        return [_service(name, there.get(name)) for name in self._names]

    def log(self, service: str) -> Iterator[str]:
        """What the engine has kept of a container's log; raises Failure without an engine."""
        container = self._docker.containers(self._project).get(service)
        yield from self._docker.log(container) if container else ()


def own_target(site: Site, paths: SitePaths, device: Path) -> Target:
    """Describe the site to validation.

    Parameters
    ----------
    device:
        An empty folder, for the certificate of a device that isn't Orthweb's own.

    Raises
    ------
    Failure
        It has never been up.
    InputError
        A file of it is damaged.
    """
    return target_here(site, paths, paths.state / "network", lambda: _inside(site, paths, device))


def _inside(site: Site, paths: SitePaths, device: Path) -> Inside:
    networks = Networks(ipaddress.IPv4Network((paths.state / "network").read_text().strip()))
    internal = paths.pki / "internal"
    tls = TlsFiles(internal / "ca.crt", internal / "envoy.crt", internal / "envoy.key")
    replicas = tuple(
        ReplicaAddress(
            name,
            networks.address(name),
            HTTP_PORT,
            DICOM_PORT,
            tls,
            INTERNAL_NAME,
            rendered_configuration(paths.config / name / "etc/orthanc.json"),
        )
        for name in replica_names(site)
    )
    own = Database(INTERNAL_NAME, POSTGRES_PORT)
    return Inside(
        replicas=replicas,
        database=DatabaseAddress(
            own.host,
            own.port,
            own.name,
            own.user,
            read_password(paths.secrets / "postgres-orthanc"),
            internal / "ca.crt",
            max(int(replica.configuration["PostgreSQL"].get("IndexConnectionsCount", 1)) for replica in replicas),
            networks.address(POSTGRESQL),
        ),
        storage=_storage(site, paths),
        host=ContainerHost(site, paths),
        addresses=tuple(own_addresses()),
        internals=_INTERNALS,
        device=another_device(paths, site, device),
    )


def _storage(site: Site, paths: SitePaths) -> FolderStorage | BucketStorage:
    storage = site.s3()
    if storage is None or storage.endpoint is None:
        return FolderStorage(paths.data / "objects")
    access, secret = bucket_keys.keys(paths, storage)
    ca = paths.root / storage.ca if storage.ca else None
    endpoint = storage.endpoint.rstrip("/")
    return BucketStorage(endpoint, storage.bucket, storage.region, storage.root_path, ca, access, secret)


def _service(name: str, container: Container | None) -> Service:
    if container is None:
        return Service(name, "absent", False, 0, None)
    running = container.state == "running"
    return Service(name, container.state, running, container.restarts, container.started if running else None)

"""A site on this machine as validation takes it: its addresses and credentials, and the view from inside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from orthweb.dicom.tls import TlsFiles
from orthweb.local.host import LocalHost
from orthweb.pki.of_site import another_device
from orthweb.render.place import Database, replica_names
from orthweb.running.machine import own_addresses
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
    Target,
)

# Where Envoy's documentation and most configurations have it.
_ENVOY_ADMIN = 9901


def local_target(site: Site, paths: SitePaths, device: Path) -> Target:
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
    return target_here(site, paths, paths.state / "ports.json", lambda: _inside(site, paths, device))


def _inside(site: Site, paths: SitePaths, device: Path) -> Inside:
    ports: dict[str, int] = json.loads((paths.state / "ports.json").read_text())
    replicas = tuple(_replica(name, ports, paths) for name in replica_names(site) if f"{name}/http" in ports)
    known = {"Orthanc's": [port for name, port in ports.items() if name.startswith("orthanc-")]}
    known |= {"PostgreSQL's": [ports["postgresql"]], "Envoy's administration": [_ENVOY_ADMIN]}
    if _embedded(site):
        known["the object storage's"] = [ports["s3"]]
    return Inside(
        replicas=replicas,
        database=_database(ports, paths, replicas),
        storage=_storage(site, paths, ports),
        host=LocalHost(site, paths),
        addresses=tuple(own_addresses()),
        internals=tuple(Internal(what, port) for what, found in known.items() for port in found),
        device=another_device(paths, site, device),
    )


def _replica(name: str, ports: dict[str, int], paths: SitePaths) -> ReplicaAddress:
    internal = paths.pki / "internal"
    return ReplicaAddress(
        name,
        "127.0.0.1",
        ports[f"{name}/http"],
        ports[f"{name}/dicom"],
        TlsFiles(internal / "ca.crt", internal / "envoy.crt", internal / "envoy.key"),
        INTERNAL_NAME,
        rendered_configuration(paths.config / name / "orthanc.json"),
    )


def _database(ports: dict[str, int], paths: SitePaths, replicas: Sequence[ReplicaAddress]) -> DatabaseAddress:
    address, most = Database("127.0.0.1", ports["postgresql"]), 1
    for replica in replicas:
        most = max(most, int(replica.configuration.get("PostgreSQL", {}).get("IndexConnectionsCount", 1)))
    return DatabaseAddress(
        address.host,
        address.port,
        address.name,
        address.user,
        read_password(paths.secrets / "postgres-orthanc"),
        paths.pki / "internal/ca.crt",
        most,
    )


def _storage(site: Site, paths: SitePaths, ports: dict[str, int]) -> FolderStorage | BucketStorage:
    storage = site.s3()
    if storage is None:
        return FolderStorage(paths.objects)
    access, secret = bucket_keys.keys(paths, storage)
    ca: Path | None
    if storage.endpoint is None:
        endpoint, ca = f"https://127.0.0.1:{ports['s3']}", paths.pki / "internal/ca.crt"
    else:
        endpoint, ca = storage.endpoint.rstrip("/"), paths.root / storage.ca if storage.ca else None
    return BucketStorage(
        endpoint, storage.bucket, storage.region, storage.root_path, ca, access, secret, embedded=_embedded(site)
    )  # fmt: skip


def _embedded(site: Site) -> bool:
    storage = site.s3()
    return storage is not None and storage.endpoint is None

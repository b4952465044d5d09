"""What a place adds to a Site: addresses, versions and folders as the processes there see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from orthweb.site.model import Site


@dataclass(frozen=True)
class Replica:
    """One Orthanc server as the proxy reaches it."""

    name: str
    host: str
    http_port: int
    dicom_port: int


def replica_names(site: Site) -> list[str]:
    """orthanc-1, orthanc-2, …"""
    return [f"orthanc-{number}" for number in range(1, site.orthanc.replicas + 1)]


@dataclass(frozen=True)
class Database:
    """The PostgreSQL server as the Orthanc servers reach it."""

    host: str
    port: int
    name: str = "orthanc"
    user: str = "orthanc"
    ca: PurePosixPath | None = None
    """Who signed what it shows; the authority of the site's own processes when None."""
    listen: str | None = None
    """Where the site's own server listens; None when it is somebody else's."""
    clients: str = "127.0.0.1/32"
    """The range that the site's own server is reached from."""
    sockets: PurePosixPath | None = None
    """Where the site's own server has its Unix socket, for its superuser alone; it has none when None."""


@dataclass(frozen=True)
class Bucket:
    """The bucket of DICOM objects as the Orthanc servers reach it."""

    endpoint: str
    """Empty for AWS's own, which is reached with the role of the host."""
    name: str
    region: str
    root_path: str
    ca: PurePosixPath | None
    folder: PurePosixPath | None
    """Where an embedded server on this machine keeps the objects, which the plugin brings safely to the disk."""


@dataclass(frozen=True)
class Versions:
    """Versions that decide how Orthanc is configured, as (major, minor)."""

    orthanc: tuple[int, ...]
    postgresql_plugin: tuple[int, ...]


@dataclass(frozen=True)
class Files:
    """Where the processes of the site find their files, as paths of the place."""

    config: PurePosixPath
    """Rendered configuration."""
    pki: PurePosixPath
    """Certificates and keys that the processes read."""
    objects: PurePosixPath
    """DICOM objects, where a folder keeps them."""
    temporary: PurePosixPath
    logs: PurePosixPath | None
    """None where each process writes them to its standard output."""
    run: PurePosixPath
    """Sockets."""
    plugins: PurePosixPath | None
    """Orthanc's plugins, as lib….so; None where the container's image finds them by the sections of the settings."""
    gate: PurePosixPath
    """The WebAssembly filter that stands before the DICOM cluster."""
    server_certificate: PurePosixPath
    server_key: PurePosixPath
    s3_plugin: PurePosixPath | None
    """The Python script that keeps objects in a bucket; None where Orthanc's own S3 plugin does."""


@dataclass(frozen=True)
class Place:
    """Everything about where a site runs that its configuration depends on."""

    replicas: tuple[Replica, ...]
    database: Database
    bucket: Bucket | None
    versions: Versions
    files: Files
    ipv6: bool
    """Whether the listeners can also bind IPv6 addresses."""
    remote_proxy: bool
    """Whether the proxy reaches the Orthanc servers from another address than loopback."""
    gateway: str | None = None
    """The address that connections of this machine itself come from, where that is not loopback."""


@dataclass(frozen=True)
class Secrets:
    """What only the rendered files of mode 0600 may say."""

    users: Mapping[str, str]
    """Passwords of the web page and the REST API by user, the health check's included."""
    database: str
    """Password of the Orthanc servers' database user."""
    s3_access_key: str = ""
    s3_secret_key: str = ""
    superuser: str = ""
    """Password of the superuser of the site's own PostgreSQL, where its container makes the database."""


@dataclass(frozen=True)
class Rendered:
    """One file that rendering makes."""

    text: str
    secret: bool = False
    """Secret text is never shown and lies in a file of mode 0600."""

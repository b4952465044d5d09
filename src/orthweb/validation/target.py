"""What is validated: addresses and credentials, and nothing about how the site was built.

An engine that runs a site hands out its inside view as well; for a site of somebody else there is none.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from orthweb.dicom.tls import TlsFiles


@dataclass(frozen=True)
class Credentials:
    """A user of the web page and the REST API."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class WebDoor:
    """The web port.

    Parameters
    ----------
    plain:
        It speaks HTTP without TLS, and whoever asked for the validation knows it.
    ca:
        Whose certificates to trust; the system's authorities when None.
    credentials:
        None when nobody gave any: what needs them is skipped.
    """

    host: str
    port: int
    plain: bool = False
    ca: Path | None = None
    credentials: Credentials | None = None
    redirect_port: int | None = None

    @property
    def address(self) -> str:
        """Scheme, host and port, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme, usual = ("http", 80) if self.plain else ("https", 443)
        return f"{scheme}://{host}" if self.port == usual else f"{scheme}://{host}:{self.port}"


@dataclass(frozen=True)
class DicomDoor:
    """The DICOM port.

    Parameters
    ----------
    tls:
        What to trust and to show; None for DICOM without TLS.
    asks_certificates:
        Whether it lets in only who shows a certificate that it knows.
    plaintext_port:
        A further port without TLS that the site has on purpose.
    """

    host: str
    port: int
    called: str
    calling: str = "ORTHWEB"
    tls: TlsFiles | None = None
    asks_certificates: bool = True
    plaintext_port: int | None = None


@dataclass(frozen=True)
class ReplicaAddress:
    """One Orthanc server behind the proxy.

    Parameters
    ----------
    tls:
        What to trust and to show, as the proxy does; None for HTTP without TLS.
    server_name:
        Name in its certificate.
    configuration:
        Its configuration as it was rendered, secrets excepted.
    """

    name: str
    host: str
    http_port: int
    dicom_port: int
    tls: TlsFiles | None
    server_name: str
    configuration: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class DatabaseAddress:
    """The PostgreSQL server, as the Orthanc servers reach it.

    Parameters
    ----------
    host:
        Name in its certificate.
    ca:
        Who has to have signed its certificate.
    connections:
        How many connections each Orthanc server may open.
    address:
        Where it is, for a name that only the Orthanc servers can look up.
    """

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)
    ca: Path
    connections: int
    address: str | None = None


@dataclass(frozen=True)
class FolderStorage:
    """DICOM objects in a folder, as Orthanc lays them out: `ab/cd/abcd….`"""

    path: Path


@dataclass(frozen=True)
class BucketStorage:
    """DICOM objects in an S3-compatible bucket, path-style: `root_path/UUID.dcm`.

    Parameters
    ----------
    embedded:
        The server is part of the site and keeps what it is given as plain files.
    """

    endpoint: str
    bucket: str
    region: str
    root_path: str
    ca: Path | None
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    embedded: bool = False


@dataclass(frozen=True)
class Service:
    """One process or container of the site.

    Parameters
    ----------
    restarts:
        How often it ended by itself and was started again since the site came up.
    started:
        None while it does not run.
    """

    name: str
    state: str
    running: bool
    restarts: int
    started: datetime.datetime | None


@dataclass(frozen=True)
class Space:
    """A resource of the machine, in bytes."""

    name: str
    free: int
    total: int


class Host(Protocol):
    """The machine that the site runs on, as an administrator sees it."""

    def services(self) -> Sequence[Service]:
        """Every process or container that the site is made of, also those that don't run."""
        ...

    def disks(self) -> Sequence[Space]:
        """Disks that the site writes to."""
        ...

    def memory(self) -> Space:
        """The memory that the site may use."""
        ...

    def log(self, service: str) -> Iterator[str]:
        """The lines that are kept of a service's log, the oldest first; an Orthanc server's is that of its name."""
        ...

    def versions(self) -> Mapping[str, str]:
        """Versions that nobody sees from outside, by part, such as `Envoy`; without those that can't be seen now."""
        ...

    def unfinished(self) -> str | None:
        """What is missing to a finished start-up, in words; None when it is finished."""
        ...

    def encrypted(self, path: Path) -> bool | None:
        """Whether the disk under a folder is encrypted; None when it can't be seen."""
        ...


@dataclass(frozen=True)
class Internal:
    """A port that nobody but the site itself may reach: what it is of, and where it would be."""

    what: str
    port: int


@dataclass(frozen=True)
class Inside:
    """What only somebody on the inside has.

    Parameters
    ----------
    addresses:
        Addresses of the site's machines that others could reach.
    internals:
        Ports there that must not answer others.
    device:
        A certificate of the site's authority for a device that isn't Orthweb's own; None when nobody can issue it.
    """

    replicas: tuple[ReplicaAddress, ...]
    database: DatabaseAddress
    storage: FolderStorage | BucketStorage
    host: Host
    addresses: tuple[str, ...]
    internals: tuple[Internal, ...]
    device: TlsFiles | None


@dataclass(frozen=True)
class Target:
    """A site to validate.

    Parameters
    ----------
    names:
        Names and addresses under which its users call it: its certificate has to hold them.
    state:
        Folder in which a run may remember what it has stored, until that is removed again.
    """

    name: str
    names: tuple[str, ...]
    web: WebDoor
    dicom: DicomDoor
    state: Path
    environment: str = ""
    owner: str = ""
    inside: Inside | None = None

"""What each container of a site sees of its configuration, certificates and secrets, as files.

Every container has a folder of its own, whose parts it finds, read-only, in three places:

- `view/` at `/orthweb`: configuration, certificates and keys;
- `etc/` at `/etc/orthanc` or `/docker-entrypoint-initdb.d`, and `secrets/` at `/run/secrets`, where the public images
  of Orthanc and PostgreSQL look.

So a file that is replaced is seen at once, which a file that is mounted by itself would not be.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from orthweb.render.files import render
from orthweb.render.place import Bucket, Database, Files, Place, Rendered, Replica, Secrets, Versions, replica_names
from orthweb.site.model import INTERNAL_NAME, Site

VIEW = PurePosixPath("/orthweb")
"""Where a container finds its folder `view`."""
ENVOY, POSTGRESQL = "envoy", "postgresql"
POSTGRES_PASSWORD = "postgres-password"  # noqa: S105 - the name of a file
OBJECTS, TEMPORARY = PurePosixPath("/var/lib/orthweb/objects"), PurePosixPath("/var/lib/orthweb/tmp")
"""Where Orthanc keeps its objects, and what it packs for a download: any account may walk there."""
RUN = PurePosixPath("/run/orthweb")
"""Where Envoy has the socket of its administration."""
SOCKETS = PurePosixPath("/var/run/postgresql")
# The image's entrypoint runs it once, as the superuser. What is in backquotes psql runs and takes the output of.
_CREATE = """\\set password `cat /run/secrets/orthanc-password`
CREATE ROLE orthanc LOGIN PASSWORD :'password';
CREATE DATABASE orthanc OWNER orthanc;
"""
# The accounts that the public images make: orthancteam/orthanc, envoyproxy/envoy, Debian's variant of postgres.
_ORTHANC_USER, _ENVOY_USER, _POSTGRES_USER = 999, 101, 999
HTTP_PORT, DICOM_PORT, POSTGRES_PORT = 8042, 4242, 5432
_FIRST_REPLICA = 10
_SHOWN = frozenset({"ca.crt", "internal/ca.crt", "internal/authorities.crt"})

Pems = Mapping[str, str]
"""Certificates and keys in PEM by their path below `pki/`: `ca.crt` of the devices, `internal/…`, `server.crt`, …"""


@dataclass(frozen=True)
class Networks:
    """The addresses of a site's containers.

    Parameters
    ----------
    block:
        An IPv4 network of /24 that is the site's alone on its host.
    """

    block: ipaddress.IPv4Network

    @property
    def inside(self) -> ipaddress.IPv4Network:
        """Between the containers of the site; it leads nowhere else."""
        return next(self.block.subnets(new_prefix=25))

    @property
    def outside(self) -> ipaddress.IPv4Network:
        """Out of the host: to the bucket, the database, the devices."""
        return list(self.block.subnets(new_prefix=25))[1]

    @property
    def gateway(self) -> str:
        """The host on the way out; connections that this machine makes to a published port come from there."""
        return str(self.outside[1])

    def address(self, service: str) -> str:
        """The fixed address of a service among the others."""
        fixed = {ENVOY: 2, POSTGRESQL: 3}
        number = fixed.get(service) or _FIRST_REPLICA + int(service.removeprefix("orthanc-"))
        return str(self.inside[number])


def container_place(
    site: Site,
    networks: Networks,
    database: Database | None,
    bucket: Bucket | None,
    versions: Versions,
    server: str,
    gate: str,
) -> Place:
    """Make the place that the containers of a host are.

    Parameters
    ----------
    database:
        The database elsewhere; None where a container is the site's own.
    server:
        Name of the server certificate's files, without the ending: another pair has another name.
    gate:
        Name of the file of the DICOM gate: another filter has another name.
    """
    pki, config = VIEW / "pki", VIEW / "config"
    own = Database(INTERNAL_NAME, POSTGRES_PORT, listen="*", clients=str(networks.inside), sockets=SOCKETS)
    return Place(
        replicas=tuple(Replica(name, networks.address(name), HTTP_PORT, DICOM_PORT) for name in replica_names(site)),
        database=database or own,
        bucket=bucket,
        versions=versions,
        files=Files(
            config=config,
            pki=pki,
            objects=OBJECTS,
            temporary=TEMPORARY,
            logs=None,
            run=RUN,
            plugins=None,
            gate=VIEW / gate,
            server_certificate=pki / f"{server}.crt",
            server_key=pki / f"{server}.key",
            s3_plugin=None,
        ),
        ipv6=False,
        remote_proxy=True,
        gateway=networks.gateway,
    )


def server_name(certificate: str, key: str) -> str:
    """Name the files of a server certificate after what is in them."""
    return "server-" + hashlib.sha256(f"{certificate}\0{key}".encode()).hexdigest()[:12]


def services(place: Place) -> list[str]:
    """The containers of a site, in the order in which they start."""
    own = [POSTGRESQL] if place.database.listen is not None else []
    return [*own, *(replica.name for replica in place.replicas), ENVOY]


def image_user(service: str) -> int:
    """The number of the account, and of its group, that a service's public image has for its processes."""
    return {ENVOY: _ENVOY_USER, POSTGRESQL: _POSTGRES_USER}.get(service, _ORTHANC_USER)


def container_files(site: Site, place: Place, secrets: Secrets, pems: Pems) -> dict[str, Rendered]:
    """Make every file that the containers see: `<service>/view/…`, `<service>/etc/…`, `<service>/secrets/…`."""
    rendered = render(site, place, secrets)
    files = {f"{ENVOY}/view/config/{path}": content for path, content in rendered.items() if path.startswith("envoy/")}
    server = place.files.server_certificate.stem
    files |= _pki(ENVOY, pems, "ca.crt", *(f"internal/{name}" for name in ("ca.crt", "authorities.crt")))
    files |= _pki(ENVOY, pems, "internal/envoy.crt", "internal/envoy.key", f"{server}.crt", f"{server}.key")
    for replica in place.replicas:
        files |= _of_orthanc(site, place, replica.name, rendered, pems)
    if place.database.listen is not None:
        for name in ("postgresql.conf", "pg_hba.conf"):
            files[f"{POSTGRESQL}/view/config/postgresql/{name}"] = rendered[f"postgresql/{name}"]
        files |= _pki(POSTGRESQL, pems, "internal/ca.crt", "internal/postgresql.crt", "internal/postgresql.key")
        files[f"{POSTGRESQL}/etc/orthanc.sql"] = Rendered(_CREATE)
        files[f"{POSTGRESQL}/secrets/{POSTGRES_PASSWORD}"] = Rendered(secrets.superuser, secret=True)
        files[f"{POSTGRESQL}/secrets/orthanc-password"] = Rendered(secrets.database, secret=True)
    return files


def _of_orthanc(
    site: Site, place: Place, name: str, rendered: Mapping[str, Rendered], pems: Pems
) -> dict[str, Rendered]:
    internal = ["ca.crt", "orthanc.pem", "orthanc-dicom.crt", "orthanc-dicom.key", "trusted.crt"]
    files = _pki(name, pems, *(f"internal/{file}" for file in internal))
    if place.database.ca is not None:
        files |= _pki(name, pems, place.database.ca.name)
    for path, content in rendered.items():
        if path.startswith(f"{name}/"):
            # Secret parts are where the public image looks for secrets.
            folder = "secrets" if content.secret else "etc"
            files[f"{name}/{folder}/{path.removeprefix(name + '/')}"] = _literally(content)
    for path in ("orthanc/health.lua", "postgresql/pgpass"):
        files[f"{name}/view/config/{path}"] = rendered[path]
    # Without one, the image would write it to a disk that is read-only; DCMTK asks for it when it makes UIDs.
    digest = hashlib.sha256(f"{site.name} {name} {place.replicas[0].host}".encode()).hexdigest()
    files[f"{name}/view/hostid"] = Rendered(digest[:8] + "\n")
    return files


def _literally(content: Rendered) -> Rendered:
    """Write the dollar signs of JSON otherwise: the public image puts variables in the place of `$NAME`."""
    return replace(content, text=content.text.replace("$", "\\u0024"))


def _pki(service: str, pems: Pems, *names: str) -> dict[str, Rendered]:
    return {f"{service}/view/pki/{name}": Rendered(pems[name], secret=name not in _SHOWN) for name in names}


def container_fingerprint(service: str, files: Mapping[str, Rendered]) -> str:
    """Tell whether a running container still has the files that it read when it started.

    What is read again while it runs is left out: what Envoy watches, and the password file, which libpq reads at each
    new connection.
    """
    digest = hashlib.sha256()
    for path in sorted(files):
        name = PurePosixPath(path).name
        if path.startswith(f"{service}/") and not name.startswith(("sds-", "eds-", "server-", "pgpass")):
            digest.update(f"\0{path}\0{files[path].text}".encode())
    return digest.hexdigest()

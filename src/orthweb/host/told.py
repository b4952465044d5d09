"""What a host of a site on AWS was told, and the containers that follow from it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509

from orthweb.host.trust import database_authorities
from orthweb.host.values import Values
from orthweb.pki import describe
from orthweb.render.containers import ENVOY, VIEW, Networks, container_files, container_place, server_name
from orthweb.render.place import Bucket, Database, Place, Rendered, Secrets, Versions, replica_names
from orthweb.site.model import Site

SERVER_PARTS = ("certificate", "key")
INTERNAL_PARTS = (
    "ca.crt",
    "devices.crt",
    *(f"{name}.{kind}" for name in ("orthanc", "envoy", "orthanc-dicom") for kind in ("crt", "key")),
)
DATABASE_PARTS = ("username", "password")
_DATABASE_CA = "database-ca.crt"


@dataclass(frozen=True)
class Told:
    """Values and secrets, as docs/aws-hosts.md has them.

    Parameters
    ----------
    role:
        Which of the hosts this is.
    """

    values: Values
    site: Site
    role: str
    server: Mapping[str, str]
    internal: Mapping[str, str]
    users: Mapping[str, str]
    database: Mapping[str, str]

    @property
    def days_left(self) -> int:
        """Days that the server's certificate lasts; negative when it has expired."""
        certificate = x509.load_pem_x509_certificate(self.server["certificate"].encode())
        return describe(certificate, datetime.datetime.now(datetime.UTC)).days_left

    @property
    def database_server(self) -> Database:
        """The database as the containers reach it."""
        server = self.values.database
        return Database(server.host, server.port, server.name, self.database["username"], VIEW / "pki" / _DATABASE_CA)

    def place(self, networks: Networks, versions: Versions, gate: str) -> Place:
        """The place that the containers are."""
        storage = self.values.storage
        bucket = Bucket("", storage.bucket, self.values.region, storage.root_path, None, None)
        server = server_name(self.server["certificate"], self.server["key"])
        return container_place(self.site, networks, self.database_server, bucket, versions, server, gate)

    def files(self, place: Place) -> dict[str, Rendered]:
        """What the containers see."""
        secrets = Secrets(self.users, self.database["password"])
        return container_files(self.site, place, secrets, self._pems(place.files.server_certificate.stem))

    def log_groups(self) -> dict[str, str]:
        """The log group of each container."""
        groups = self.values.log_groups
        return {ENVOY: groups.envoy, **dict.fromkeys(replica_names(self.site), groups.containers)}

    def _pems(self, server: str) -> dict[str, str]:
        given = self.internal
        called = any(modality.tls for modality in self.site.orthanc.modalities.values())
        both = given["ca.crt"] + given["devices.crt"]
        return {
            "ca.crt": given["devices.crt"],
            _DATABASE_CA: database_authorities(self.values.region),
            f"{server}.crt": self.server["certificate"],
            f"{server}.key": self.server["key"],
            "internal/orthanc.pem": given["orthanc.key"] + given["orthanc.crt"],
            "internal/authorities.crt": both,
            "internal/trusted.crt": both if called else given["ca.crt"],
            **{f"internal/{name}": text for name, text in given.items() if name != "devices.crt"},
        }

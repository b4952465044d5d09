"""The description of a site, `orthweb.yaml`, as a model: one description for every place a site runs.

Every field carries its documentation, its default and its limits; the reference page in `docs/` and the
JSON Schema for editors are made from this file.
"""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from orthweb.site.aws import Aws, check_on_aws
from orthweb.site.fields import AeTitle, CertificateName, Cidr, Host, Port, Section, off

LOOPBACK_CIDRS = ("127.0.0.0/8", "::1/128")
HEALTH_USER = "orthweb-health"
INTERNAL_NAME = "orthweb.internal"
"""The name that the certificates have by which the parts of a site know each other."""
OWN_AE_TITLE = "ORTHWEB"
"""What Orthweb's own commands call as; the gate before the DICOM port ties it to their certificate."""

# What is left of a file name, a DNS label and an AWS name when all three must hold.
_NAME = r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$"
_USER = r"^[A-Za-z][A-Za-z0-9._-]{0,31}$"

User = Annotated[str, Field(pattern=_USER)]


class Environment(StrEnum):
    """What a site is for."""

    DEV = "dev"
    TEST = "test"
    STAGING = "staging"
    PRODUCTION = "production"


class ClientCertificates(StrEnum):
    """What the DICOM port asks of a device."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    OFF = "off"


class Modality(Section):
    """A DICOM node that the site may query, retrieve to and send to."""

    ae_title: AeTitle
    """AE title of the node."""
    host: Host
    """DNS name or IP address of the node."""
    port: Port = 104
    """DICOM port of the node."""
    tls: bool = False
    """Whether the site speaks DICOM over TLS to the node, which then needs a certificate of this site's authority."""


class Orthanc(Section):
    """The Orthanc servers."""

    replicas: Annotated[int, Field(ge=1, le=16)] = 3
    """How many Orthanc servers share the index and the storage."""
    ae_title: AeTitle = "ORTHANC"
    """AE title of the site. Associations that call another title are refused."""
    users: Annotated[list[User], Field(min_length=1, max_length=100)] = ["admin"]
    """Users of the web page and the REST API. Each gets a generated password; `orthweb password` shows it."""
    modalities: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")], Modality] = {}
    """DICOM nodes by name. Every Orthanc server knows all of them."""
    settings: dict[str, Any] = {}
    """Any option of Orthanc's configuration, merged last. Options that Orthweb itself sets draw a warning."""
    image: Annotated[str, Field(min_length=1)] = "orthancteam/orthanc:26.8.1"
    """Container image of Orthanc, where the site runs in containers."""

    @model_validator(mode="after")
    def _check_users(self) -> Self:
        if HEALTH_USER in self.users:
            raise ValueError(f"users: {HEALTH_USER} is the name that Orthweb's own health check uses")
        for user in self.users:
            if self.users.count(user) > 1:
                raise ValueError(f"users: {user} is there twice; name every user once")
        return self


class Web(Section):
    """The web page, the REST API and DICOMweb, over HTTPS."""

    port: Port = 443
    """Port for HTTPS. Plain HTTP on this port is redirected to HTTPS."""
    redirect_port: Port | None = None
    """A further port for plain HTTP that redirects to HTTPS: 80 for a public site."""
    allowed_cidrs: list[Cidr] = list(LOOPBACK_CIDRS)
    """Who may connect, as IPv4 and IPv6 ranges. The default is this machine only."""


class PlaintextDicom(Section):
    """A DICOM port without TLS, for devices that cannot speak it, inside a trusted network only."""

    port: Port = 104
    """Port for DICOM without TLS."""
    allowed_cidrs: Annotated[list[Cidr], Field(min_length=1)]
    """Who may connect without TLS: always an explicit list."""

    @model_validator(mode="after")
    def _check_cidrs(self) -> Self:
        for cidr in self.allowed_cidrs:
            if ipaddress.ip_network(cidr).prefixlen == 0:
                raise ValueError(
                    f"allowed_cidrs: {cidr} lets everybody in without encryption; name the device's own range"
                )
        return self


class Dicom(Section):
    """The DICOM port, over TLS."""

    port: Port = 11112
    """Port for DICOM over TLS."""
    allowed_cidrs: list[Cidr] = list(LOOPBACK_CIDRS)
    """Who may connect, as IPv4 and IPv6 ranges. The default is this machine only."""
    client_certificates: Annotated[ClientCertificates, off("off")] = ClientCertificates.REQUIRED
    """Whether a device must show a certificate from the site's authority (`orthweb certs issue`)."""
    plaintext: Annotated[PlaintextDicom | None, off(None)] = None
    """A DICOM port without TLS. Off unless this section is there."""


class OwnCertificate(Section):
    """A server certificate of the user's own."""

    certificate: Annotated[str, Field(min_length=1)]
    """Path of the certificate in PEM, relative to `orthweb.yaml`. May hold the chain as well."""
    key: Annotated[str, Field(min_length=1)]
    """Path of its private key in PEM, without a password."""
    chain: str | None = None
    """Path of the intermediate certificates in PEM."""


class Tls(Section):
    """The certificate that browsers and devices see."""

    certificate: Literal["generated"] | OwnCertificate = "generated"
    """`generated` by the site's own authority, or the files of your own certificate."""
    names: list[CertificateName] = []
    """DNS names and IP addresses of the site. `localhost`, 127.0.0.1, ::1 and this machine's name are always added."""


class S3Storage(Section):
    """DICOM objects in an S3-compatible bucket."""

    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] = "orthanc"
    """Name of the bucket."""
    endpoint: Annotated[str, Field(pattern=r"^https://[^/\s]+/?$")] | None = None
    """Address of the S3-compatible server, https only. Without it an embedded server keeps the bucket here."""
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] = "us-east-1"
    """Region of the bucket."""
    credentials: str | None = None
    """Path of a JSON file of mode 0600 with AccessKey and SecretKey, relative to `orthweb.yaml`. For an endpoint."""
    ca: str | None = None
    """Path of the PEM file of the authority that signed the endpoint's certificate; the system's when absent."""
    root_path: str = ""
    """Folder inside the bucket."""

    @model_validator(mode="after")
    def _check_endpoint(self) -> Self:
        if self.endpoint and not self.credentials:
            raise ValueError("credentials: an endpoint needs a file with AccessKey and SecretKey")
        if self.credentials and not self.endpoint:
            raise ValueError("endpoint: credentials are given but no endpoint to use them with")
        return self


class Envoy(Section):
    """The Envoy proxy in front."""

    image: Annotated[str, Field(min_length=1)] = "envoyproxy/envoy:v1.40.0"
    """Container image of Envoy, where the site runs in containers."""


class Postgresql(Section):
    """The PostgreSQL server of a site that runs in containers and has no database elsewhere."""

    image: Annotated[str, Field(min_length=1)] = "postgres:17.6-bookworm"
    """Container image of PostgreSQL."""


class Site(Section):
    """A site: what `orthweb.yaml` says."""

    name: Annotated[str, Field(pattern=_NAME)]
    """Name of the site: lower-case letters, digits and hyphens."""
    environment: Environment = Environment.DEV
    """What the site is for: dev, test, staging or production."""
    owner: Annotated[str, Field(max_length=128, pattern=r"^[^\x00-\x1f]*$")] = ""
    """Who answers for the site: a person, a team or a mail address."""
    orthanc: Orthanc = Orthanc()
    """The Orthanc servers."""
    web: Web = Web()
    """The web page, the REST API and DICOMweb, over HTTPS."""
    dicom: Dicom = Dicom()
    """The DICOM port, over TLS."""
    tls: Tls = Tls()
    """The certificate that browsers and devices see."""
    storage: Literal["filesystem", "s3"] | S3Storage = "filesystem"
    """Where the DICOM objects are kept: `filesystem`, `s3` (an embedded server), or a section for a bucket."""
    envoy: Envoy = Envoy()
    """The Envoy proxy in front."""
    postgresql: Postgresql = Postgresql()
    """The PostgreSQL server of a site that runs in containers and has no database elsewhere."""
    aws: Aws | None = None
    """Where the site is on AWS. Without this section it is on this machine."""

    @model_validator(mode="after")
    def _check_on_aws(self) -> Self:
        if self.aws is None:
            return self
        check_on_aws(self.name, self.owner)
        # The security groups and the hosts know these two.
        for field, port, only in (("web.port", self.web.port, 443), ("dicom.port", self.dicom.port, 11112)):
            if port != only:
                raise ValueError(f"{field}: {port}: a site on AWS listens on {only}; leave the field out")
        for field, value in (("web.redirect_port", self.web.redirect_port), ("dicom.plaintext", self.dicom.plaintext)):
            if value is not None:
                raise ValueError(f"{field}: a site on AWS has no port without TLS; leave the field out")
        if isinstance(self.storage, S3Storage):
            raise ValueError("storage: 'apply' makes the bucket of a site on AWS; leave the field out")
        return self

    @model_validator(mode="after")
    def _check_ports(self) -> Self:
        used: dict[int, str] = {}
        for field, port in self.listening_ports().items():
            if port in used:
                raise ValueError(f"{field}: {port} is already the port of {used[port]}; choose another")
            used[port] = field
        return self

    def listening_ports(self) -> dict[str, int]:
        """The ports that the site opens to others, by the field that names them."""
        ports = {"web.port": self.web.port, "dicom.port": self.dicom.port}
        if self.web.redirect_port is not None:
            ports["web.redirect_port"] = self.web.redirect_port
        if self.dicom.plaintext is not None:
            ports["dicom.plaintext.port"] = self.dicom.plaintext.port
        return ports

    def s3(self) -> S3Storage | None:
        """The bucket that keeps the DICOM objects, or None when a folder does."""
        if self.storage == "filesystem":
            return None
        return S3Storage() if self.storage == "s3" else self.storage

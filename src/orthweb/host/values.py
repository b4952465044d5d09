"""What a host is told, as `/etc/orthweb/host.json` and `host/values.json` say it (docs/aws-hosts.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from orthweb.errors import Failure, InputError
from orthweb.site.load import parse_site
from orthweb.site.model import Site

HOST_FILE = Path("/etc/orthweb/host.json")
# A newer Terraform module may say more than this Orthweb knows.
_KNOWN = ConfigDict(extra="ignore", frozen=True)


class Bundle(BaseModel):
    """What the host runs."""

    model_config = _KNOWN
    key: str
    sha256: str


class HostFile(BaseModel):
    """`/etc/orthweb/host.json`: where to look."""

    model_config = _KNOWN
    site: str
    region: str
    bucket: str
    values_key: str
    bundle: Bundle | None = None


class Instance(BaseModel):
    """One of the hosts."""

    model_config = _KNOWN
    id: str
    availability_zone: str = ""
    private_ip: str = ""


class Storage(BaseModel):
    """The bucket of the images."""

    model_config = _KNOWN
    bucket: str
    root_path: str


class DatabaseServer(BaseModel):
    """The database, and where its user and password are."""

    model_config = _KNOWN
    host: str
    port: int
    name: str
    secret: str
    connections: int = 0


class SecretNames(BaseModel):
    """The secrets by what they hold."""

    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=lambda name: name.replace("_", "-"))
    server_certificate: str
    internal: str
    users: str


class LogGroups(BaseModel):
    """Where logs go, by what they are of."""

    model_config = _KNOWN
    boot: str
    containers: str
    envoy: str


class Images(BaseModel):
    """Container images; None where those of the description count."""

    model_config = _KNOWN
    orthanc: str | None = None
    envoy: str | None = None


class Values(BaseModel):
    """`host/values.json`: what is known when everything is made."""

    model_config = _KNOWN
    site: str
    environment: str
    owner: str = ""
    region: str
    description: dict[str, Any] = {}
    address: str
    hosts: dict[str, Instance]
    storage: Storage
    database: DatabaseServer
    secrets: SecretNames
    log_groups: LogGroups
    metric_namespace: str
    bundle: Bundle | None = None
    images: Images | None = None

    def role(self, instance: str) -> str:
        """Which of the hosts an instance is; raises Failure when it is none of them."""
        for role, host in self.hosts.items():
            if host.id == instance:
                return role
        raise Failure(f"{instance} is no host of {self.site}", "it was replaced: 'orthweb apply' tells the new one")

    def described(self) -> Site:
        """The site as its `orthweb.yaml` says; where nobody gave one, a site that its security group alone limits.

        Raises
        ------
        InputError
            The description does not fit this Orthweb.
        """
        known = {"name": self.site, "environment": self.environment, "owner": self.owner}
        if self.description:
            return parse_site(json.dumps({**self.description, **known}))
        everybody = {"allowed_cidrs": ["0.0.0.0/0"]}
        return parse_site(json.dumps({**known, "web": everybody, "dicom": everybody}))


def read_host_file(path: Path) -> HostFile:
    """Read the file that the user data wrote; raises InputError."""
    try:
        return HostFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror})", "the user data of an EC2 host of Orthweb's writes it"
        ) from None
    except ValidationError as error:
        raise InputError(f"{path}: {_first(error)}", "the user data of the host writes it: look there") from None


def parse_values(text: str, where: str) -> Values:
    """Read the values; raises Failure, since somebody may mend them while the host waits."""
    try:
        return Values.model_validate_json(text)
    except ValidationError as error:
        raise Failure(f"{where}: {_first(error)}", "'orthweb apply' writes it anew") from None


def _first(error: ValidationError) -> str:
    detail = error.errors(include_url=False, include_input=False)[0]
    path = ".".join(str(part) for part in detail["loc"])
    return f"{path}: {detail['msg']}" if path else detail["msg"]

"""The `aws:` section of `orthweb.yaml`: where a site is on AWS, and of what size its parts are.

The defaults are those of the Terraform modules, which a test compares.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from orthweb.errors import InputError
from orthweb.site.fields import Cidr, Section

if TYPE_CHECKING:
    from orthweb.site.model import Site

_WIDEST, _NARROWEST = 16, 24
# What S3's bucket names, EC2's groups and tags may not begin with.
_KEPT_BY_AWS = re.compile(r"^(amzn|aws|sg|sthree)(-|$)")
_STATE = re.compile(r"^s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<key>[^/\s][^\s]*)$")


def _vpc_range(value: str) -> str:
    network = ipaddress.ip_network(value)
    if network.version != 4 or not _WIDEST <= network.prefixlen <= _NARROWEST:
        raise ValueError(f"an IPv4 range of /{_WIDEST} to /{_NARROWEST}, so that six subnets fit")
    return value


def _state(value: str) -> str:
    if value != "local" and not _STATE.match(value):
        raise ValueError("local, or a place in a bucket such as s3://my-bucket/orthweb/clinic.tfstate")
    return value


Endpoint = Literal[
    "secretsmanager", "kms", "ssm", "ssmmessages", "ec2messages", "logs", "monitoring", "ecr.api", "ecr.dkr"
]
LogDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]  # fmt: skip
Identifier = Annotated[str, Field(pattern=r"^[a-z]+-[0-9a-f]{8,17}$")]
Tag = Annotated[str, Field(max_length=256, pattern=r"^[\w .:/=+@-]*$")]


class ExistingNetwork(Section):
    """A VPC of your own to build in, instead of one that is made."""

    vpc_id: Identifier
    """Identifier of the VPC."""
    public_subnet_ids: Annotated[list[Identifier], Field(min_length=2)]
    """Subnets for the two hosts, in two zones, with a route to the Internet."""
    private_subnet_ids: Annotated[list[Identifier], Field(min_length=2)]
    """Subnets for the database, in two zones."""
    route_table_ids: list[Identifier] = []
    """Route tables of the subnets; the endpoints are made when they are given, and stay yours when not."""


class AwsNetwork(Section):
    """The network of the site."""

    cidr: Annotated[Cidr, AfterValidator(_vpc_range)] = "172.27.0.0/16"
    """Range of the VPC that is made: /16 to /24. It may not overlap the networks that reach the site over a VPN."""
    zones: Annotated[int, Field(ge=2, le=3)] = 2
    """How many availability zones the subnets are in."""
    zone_names: list[Annotated[str, Field(pattern=r"^[a-z0-9-]+[a-z]$")]] = []
    """These availability zones instead of the region's first ones."""
    existing: ExistingNetwork | None = None
    """A VPC of your own to build in."""
    interface_endpoints: list[Endpoint] = ["secretsmanager", "kms"]
    """AWS services that are reached through an endpoint in each private subnet; each costs by the hour."""
    send_cidrs: list[Cidr] = []
    """Further networks that the site sends DICOM to; those of `dicom.allowed_cidrs` it reaches anyway."""


class AwsHosts(Section):
    """The two hosts."""

    instance_type: Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")] | None = None
    """Type of the two instances; t3.medium when absent."""
    ami_id: Annotated[str, Field(pattern=r"^ami-[0-9a-f]{8,17}$")] | None = None
    """Image of the hosts; Debian 13 of the region when absent."""
    disk_gb: Annotated[int, Field(ge=20, le=16384)] = 40
    """Size of each host's disk in GB. The images are not on it."""
    bundle_images: bool = False
    """Whether the hosts take their container images from the bucket, where `apply` puts those in Docker here."""
    pubkey_data: str | None = None
    """Public key that may log in over Session Manager's SSH, as text."""
    pubkey_path: str | None = None
    """File of that public key, relative to `orthweb.yaml`; when absent ~/.ssh/id_rsa.pub, or none without it."""


class AwsDatabase(Section):
    """The database on RDS."""

    version: Literal["16", "17"] = "17"
    """Version of PostgreSQL. RDS chooses the minor version and raises it."""
    instance_class: Annotated[str, Field(pattern=r"^db\.[a-z0-9-]+\.[a-z0-9-]+$")] = "db.t4g.small"
    """Class of the database instance."""
    multi_az: bool = True
    """Whether a standby in another zone takes over when the database's zone fails."""
    storage_gb: Annotated[int, Field(ge=20, le=65536)] = 20
    """Size of the database's disk in GB. The images are not on it."""
    max_connections: Annotated[int, Field(ge=50, le=5000)] = 200
    """Connections that the database takes."""
    backup_days: Annotated[int, Field(ge=1, le=35)] = 7
    """Days that the automated backups are kept."""


class AwsLogs(Section):
    """Logs and alarms."""

    days: LogDays = 365
    """Days that logs are kept, one of CloudWatch's periods."""
    alarm_email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")] | None = None
    """Who is mailed when an alarm goes off."""


class Aws(Section):
    """The site on AWS. With this section the site lives there, and `orthweb plan` and `apply` make it."""

    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")]
    """Region, such as eu-central-1."""
    profile: Annotated[str, Field(min_length=1)] | None = None
    """Profile of the AWS configuration to use; what the environment says when absent."""
    account: Annotated[str, Field(pattern=r"^[0-9]{12}$")] | None = None
    """Account that the site belongs to: with credentials of another one nothing is done."""
    network: AwsNetwork = AwsNetwork()
    """The network of the site."""
    hosts: AwsHosts = AwsHosts()
    """The two hosts."""
    database: AwsDatabase = AwsDatabase()
    """The database on RDS."""
    logs: AwsLogs = AwsLogs()
    """Logs and alarms."""
    noncurrent_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """Days until an image that was deleted is gone for good."""
    protected: bool | None = None
    """Whether the database refuses to be deleted; yes in production and no elsewhere when absent."""
    keep_data: bool | None = None
    """Whether images, key and a final snapshot outlive `orthweb destroy`; when absent, they do in production."""
    tags: dict[Annotated[str, Field(min_length=1, max_length=128)], Tag] = {}
    """Further tags for everything that is made."""
    state: Annotated[str, AfterValidator(_state)] = "local"
    """Where Terraform's state is kept: `local`, or s3://BUCKET/KEY for a site that several people look after."""

    def state_place(self) -> tuple[str, str] | None:
        """The bucket and key of the state; None when it is kept beside `orthweb.yaml`."""
        found = _STATE.match(self.state)
        return (found["bucket"], found["key"]) if found else None

    @model_validator(mode="after")
    def _check_zones(self) -> Self:
        names = self.network.zone_names
        if names and len(names) != self.network.zones:
            raise ValueError(f"network.zone_names: there are {len(names)} names and {self.network.zones} zones")
        for zone in names:
            if not zone.startswith(self.region):
                raise ValueError(f"network.zone_names: {zone} is no zone of {self.region}")
        return self


def check_on_aws(name: str, owner: str) -> None:
    """Check what a site's name and owner have to be for AWS, beyond what every site's are; raises ValueError."""
    if "--" in name or _KEPT_BY_AWS.match(name):
        raise ValueError(
            f"name: {name}: S3 and RDS take no double hyphen, and none that begins with amzn, aws, sg or sthree"
        )
    if not re.fullmatch(r"[\w .:/=+@-]*", owner):
        raise ValueError("owner: becomes a tag, in which AWS takes letters, digits, spaces and _.:/=+@-")


def aws_of(site: Site) -> Aws:
    """The site's section for AWS; raises InputError when it has none."""
    if site.aws is None:
        raise InputError(
            "orthweb.yaml: aws: is missing: this site is on this machine", "'orthweb init --aws' shows one"
        )
    return site.aws

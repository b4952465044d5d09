"""What Terraform and AWS complain about, said once and in a way that tells what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orthweb.errors import Failure, OrthwebError
from orthweb.render.terraform import MODULE

_CODE = re.compile(r"api error (?P<code>[A-Za-z0-9.]+): (?P<text>.*)", re.DOTALL)
_LOCK = {name: re.compile(rf"^\s*{name}:\s+(.+)$", re.MULTILINE) for name in ("ID", "Operation", "Who", "Created")}
_AGAIN = "the next 'orthweb apply' goes on from here"

_REMEDIES = {
    "AddressLimitExceeded": "release an elastic IP that nobody uses, or ask AWS for more (Service Quotas, EC2)",
    "VpcLimitExceeded": "delete a VPC that nobody uses, or ask AWS for more (Service Quotas, VPC)",
    "VcpuLimitExceeded": "choose a smaller aws.hosts.instance_type, or ask AWS for more (Service Quotas, EC2)",
    "InstanceLimitExceeded": "stop instances, or ask AWS for more (Service Quotas, EC2)",
    "InstanceQuotaExceeded": "delete a database that nobody uses, or ask AWS for more (Service Quotas, RDS)",
    "InsufficientInstanceCapacity": "the zone has none left: wait, or choose another aws.hosts.instance_type",
    "InsufficientDBInstanceCapacity": "the zone has none left: wait, or choose another aws.database.instance_class",
    "Unsupported": "choose an aws.hosts.instance_type that the zones have, or other aws.network.zone_names",
    "InvalidVpcID.NotFound": "correct aws.network.existing.vpc_id, or leave 'existing' out to have one made",
    "InvalidSubnetID.NotFound": "correct the subnets of aws.network.existing",
    "DBInstanceAlreadyExists": "a database of that name is there: give the site another name, or remove that one",
    "BucketAlreadyExists": "give the site another name",
    "EntityAlreadyExists": "it was made by somebody else: give the site another name, or remove that one",
    "DependencyViolation": "something that Orthweb did not make still uses it: remove that first",
    "BucketNotEmpty": "it holds something; see 'orthweb destroy --help'",
    "InvalidDBInstanceState": "the database is busy with something else: wait some minutes",
    "RequestExpired": "set this machine's clock",
    "ExpiredToken": "log in to AWS again",
    "ExpiredTokenException": "log in to AWS again",
    "Throttling": "AWS asks for patience: wait a minute",
    "RequestLimitExceeded": "AWS asks for patience: wait a minute",
}
# What is looked up before anything is made, by a part of its address.
_LOOKED_UP = {
    "data.aws_ssm_parameter.debian": "this region has no Debian 13: name an image of your own in aws.hosts.ami_id",
    "data.aws_ami.own": "correct aws.hosts.ami_id: images are of one region",
}
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"})


@dataclass(frozen=True)
class Trouble:
    """An error or a warning of Terraform's.

    Attributes
    ----------
    address:
        The resource that it is about; empty for one that is about none.
    """

    severity: str
    summary: str
    detail: str
    address: str = ""

    @property
    def code(self) -> str:
        """AWS's own name of it, such as `AddressLimitExceeded`; empty where AWS has not spoken."""
        found = _CODE.search(f"{self.summary} {self.detail}")
        return found["code"] if found else ""


def trouble_of(event: Mapping[str, Any]) -> Trouble | None:
    """Read a `diagnostic` event; None for other events."""
    if event.get("type") != "diagnostic":
        return None
    said = event["diagnostic"]
    return Trouble(said["severity"], said["summary"], said.get("detail", ""), said.get("address", ""))


def explain(trouble: Trouble, unlock: str) -> OrthwebError:
    """Make of an error one line with what to do.

    Parameters
    ----------
    unlock:
        The command that takes a lock away, to which its identifier is added.
    """
    if "acquiring the state lock" in trouble.summary:
        return _locked(trouble, unlock)
    found = _CODE.search(f"{trouble.summary} {trouble.detail}")
    where = trouble.address.removeprefix(f"module.{MODULE}.")
    text = _one_line(found["text"] if found else f"{trouble.summary} {trouble.detail}".strip())
    message = f"{where}: {text}" if where else text
    if trouble.code in _DENIED:
        return Failure(message, "these credentials may not do that: use others, or have the permission given")
    for part, remedy in _LOOKED_UP.items():
        if part in where:
            return Failure(message, remedy)
    remedy = _REMEDIES.get(trouble.code, "")
    return Failure(message, f"{remedy}; {_AGAIN}" if remedy else _AGAIN)


def _locked(trouble: Trouble, unlock: str) -> OrthwebError:
    known = {name: found[1].strip() for name, line in _LOCK.items() if (found := line.search(trouble.detail))}
    if "ID" not in known:
        return Failure(f"the state is locked: {_one_line(trouble.detail)}", "wait until the other is done")
    doing = known.get("Operation", "").removeprefix("OperationType").lower()
    since = known.get("Created", "").split(".")[0]
    return Failure(
        f"the state is locked: {known.get('Who', 'somebody')} has been at '{doing}' since {since}",
        f"wait until that is done; when it certainly runs no more, {unlock} {known['ID']}",
    )


def _one_line(text: str) -> str:
    return " ".join(text.replace("\u2502", " ").split())

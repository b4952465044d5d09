"""The two hosts of a site as EC2 tells of them, and what is done to them there: start, stop, give the address."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orthweb.aws.applied import Applied
from orthweb.errors import Failure

RUNNING, STOPPED, STOPPING = "running", "stopped", "stopping"
GONE = ("terminated", "shutting-down", "gone")
PASSED, FAILED = "ok", "impaired"

# EC2's zones run out of a type now and then.
_CAPACITY = "InsufficientInstanceCapacity"


@dataclass(frozen=True)
class Host:
    """One host.

    Attributes
    ----------
    state:
        As EC2 names it, and `gone` when it knows no such instance any more.
    system_check, instance_check:
        EC2's two status checks: `ok`, `impaired`, `initializing`, `insufficient-data`, `not-applicable`.
    started:
        When it was last started.
    address:
        Its public address; the site's own while it has that. None when it has none.
    holds_address:
        Whether the site's address is with it.
    """

    role: str
    id: str
    zone: str
    type: str
    state: str
    system_check: str
    instance_check: str
    started: datetime.datetime | None
    address: str | None
    holds_address: bool

    @property
    def checks_passed(self) -> bool:
        """Whether EC2 finds both the machine and its system in order."""
        return self.system_check == self.instance_check == PASSED

    @property
    def failed_checks(self) -> list[str]:
        """Which of EC2's checks it fails."""
        checks = {"system status check": self.system_check, "instance status check": self.instance_check}
        return [name for name, state in checks.items() if state == FAILED]


def look_at_hosts(applied: Applied) -> dict[str, Host]:
    """Ask EC2 for both hosts, by role; raises Failure when AWS refuses."""
    ec2 = applied.account.client("ec2")
    ids = list(applied.instances.values())
    # A filter passes over what is not there any more; named by its id it would be an error.
    chosen = [{"Name": "instance-id", "Values": ids}]
    with applied.account.told():
        reservations = ec2.describe_instances(Filters=chosen)["Reservations"]
        found = {each["InstanceId"]: each for reservation in reservations for each in reservation["Instances"]}
        told = ec2.describe_instance_status(InstanceIds=list(found), IncludeAllInstances=True) if found else {}
        holder = address_holder(applied)
    checks = {each["InstanceId"]: each for each in told.get("InstanceStatuses", [])}
    zones = {role: str(host["availability_zone"]) for role, host in applied.parts["hosts"].items()}
    return {
        role: _host(role, id, zones[role], found.get(id, {}), checks.get(id, {}), applied.address, holder == id)
        for role, id in applied.instances.items()
    }


def _host(role: str, id: str, zone: str, told: Any, checks: Any, site_address: str, holds: bool) -> Host:
    public = told.get("PublicIpAddress")
    return Host(
        role=role,
        id=id,
        zone=zone,
        type=str(told.get("InstanceType", "")),
        state=str(told.get("State", {}).get("Name", "gone")),
        system_check=_check(checks, "SystemStatus"),
        instance_check=_check(checks, "InstanceStatus"),
        started=told.get("LaunchTime"),
        # EC2 may tell for a moment of the address that has just left.
        address=site_address if holds else public if public != site_address else None,
        holds_address=holds,
    )


def _check(checks: Any, name: str) -> str:
    return str(checks.get(name, {}).get("Status", "not-applicable"))


def address_holder(applied: Applied) -> str | None:
    """The instance that the site's address is with; None when it is with none. Raises Failure when AWS refuses."""
    with applied.account.told():
        found = applied.account.client("ec2").describe_addresses(AllocationIds=[applied.parts["allocation_id"]])
    return str(found["Addresses"][0].get("InstanceId") or "") or None


def give_address(applied: Applied, host: Host) -> None:
    """Ask EC2 to take the site's address to a host, from whichever has it; raises Failure when AWS refuses."""
    with applied.account.told():
        applied.account.client("ec2").associate_address(
            AllocationId=applied.parts["allocation_id"], InstanceId=host.id, AllowReassociation=True
        )


def start(applied: Applied, host: Host) -> None:
    """Ask EC2 to start a host; raises Failure when it will not."""
    with applied.account.told(), _capacity(host):
        applied.account.client("ec2").start_instances(InstanceIds=[host.id])


def stop(applied: Applied, host: Host) -> None:
    """Ask EC2 to stop a host; raises Failure when it will not."""
    with applied.account.told():
        applied.account.client("ec2").stop_instances(InstanceIds=[host.id])


@contextlib.contextmanager
def _capacity(host: Host) -> Iterator[None]:
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] != _CAPACITY:
            raise
        raise Failure(
            f"{host.role}: {host.zone} has no {host.type} left at the moment", "try again in some minutes"
        ) from None

"""What of a site is still on AWS, found by the tags that everything of it has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from orthweb.aws.account import Account
from orthweb.aws.lasting import kept_as


@dataclass(frozen=True)
class Remains:
    """Resources of a site, as ARNs.

    Attributes
    ----------
    there:
        What is there and may cost money.
    ending:
        What AWS deletes by itself after a waiting time.
    kept:
        What outlives a site on purpose, such as its bucket and key, in words by ARN. It may cost money, too.
    """

    there: list[str] = field(default_factory=list)
    ending: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)


def remains(account: Account, name: str) -> Remains:
    """Find what is on AWS of a site; raises Failure when AWS refuses."""
    found = Remains()
    with account.told():
        pages = account.client("resourcegroupstaggingapi").get_paginator("get_resources")
        filters = [{"Key": "ManagedBy", "Values": ["Orthweb"]}, {"Key": "Site", "Values": [name]}]
        arns = {
            entry["ResourceARN"]
            for page in pages.paginate(TagFilters=filters)
            for entry in page["ResourceTagMappingList"]
        }
        for arn in sorted(arns | _snapshots(account, name)):
            state, words = _state(account, arn), kept_as(arn)
            if state == "ending":
                found.ending.append(arn)
            elif state == "there" and words:
                found.kept[arn] = words
            elif state == "there":
                found.there.append(arn)
    return found


def _snapshots(account: Account, name: str) -> set[str]:
    """The database's last snapshots: their tags are listed only some time after they were made."""
    pages = account.client("rds").get_paginator("describe_db_snapshots")
    return {
        snapshot["DBSnapshotArn"]
        for page in pages.paginate(DBInstanceIdentifier=name, SnapshotType="manual")
        for snapshot in page["DBSnapshots"]
    }


def _state(account: Account, arn: str) -> str:
    """Whether a resource is `there`, `ending` or `gone`: AWS lists the tags of some for a while after their end."""
    from botocore.exceptions import ClientError

    service, rest = arn.split(":", 5)[2], arn.split(":", 5)[5]
    kind, _, identifier = rest.partition("/")
    try:
        if service == "kms":
            return _ending(account.client("kms").describe_key(KeyId=arn)["KeyMetadata"].get("DeletionDate"))
        if service == "secretsmanager":
            return _ending(account.client("secretsmanager").describe_secret(SecretId=arn).get("DeletedDate"))
        if service == "ec2" and kind == "instance":
            return _instance(account.client("ec2"), identifier)
    except ClientError as error:
        if "NotFound" in error.response["Error"]["Code"]:
            return "gone"
        raise
    return "there"


def _ending(date: object) -> str:
    return "there" if date is None else "ending"


def _instance(ec2: Any, identifier: str) -> str:
    for reservation in ec2.describe_instances(InstanceIds=[identifier])["Reservations"]:
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] not in ("terminated", "shutting-down"):
                return "there"
    return "gone"

"""What outlives a site on AWS whose data are to be kept: the key, the buckets, and snapshots of the database."""

from __future__ import annotations

import re
from collections.abc import Iterable

from orthweb.render.terraform import MODULE

# The bucket of the images is no use without the key.
_KEPT_MODULES = ("key", "storage")
# A name that the next site of this name wants, and messages to a topic that goes.
_OF_NO_USE = ("aws_kms_alias", "aws_s3_bucket_notification")
_DATA = ("aws_s3_bucket", "aws_kms_key")

_MODULE = re.compile(rf"module\.{MODULE}\.module\.(?P<name>\w+)")
_BUCKET = re.compile(r"-(objects|logs)-\d+$")
_WORDS = {"objects": "the images", "logs": "the logs"}
# RDS names its own snapshots `rds:…`: they last as long as backups do.
_OF_RDS = {
    "snapshot:rds:": "an automated backup of the database",
    "snapshot:": "a snapshot of the database",
    "auto-backup:": "the automated backups of the database",
}


def divided(addresses: Iterable[str]) -> tuple[list[str], list[str]]:
    """Divide what the state knows into what goes, as Terraform's targets, and what stays.

    Parameters
    ----------
    addresses:
        Of resources, as `terraform state list` gives them.
    """
    goes: dict[str, None] = {}
    stays = []
    for address in addresses:
        module = _MODULE.match(address)
        if module is None:
            goes[address] = None
        elif module["name"] not in _KEPT_MODULES:
            goes[module[0]] = None
        elif address[module.end() + 1 :].startswith(tuple(f"{kind}." for kind in _OF_NO_USE)):
            goes[address] = None
        else:
            stays.append(address)
    return list(goes), stays


def holds_data(kind: str) -> bool:
    """Whether resources of this kind are what is to be kept."""
    return kind in _DATA


def kept_as(arn: str) -> str | None:
    """Say in words what of a site an ARN is, where it is something that outlives it; None for everything else."""
    service, resource = arn.split(":", 5)[2], arn.split(":", 5)[5]
    if service == "s3":
        found = _BUCKET.search(resource)
        return _WORDS[found[1]] if found else "a bucket"
    if service == "kms" and resource.startswith("key/"):
        return "the key"
    if service == "rds":
        return next((words for start, words in _OF_RDS.items() if resource.startswith(start)), None)
    return None

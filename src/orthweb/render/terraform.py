"""A site on AWS as a small Terraform root that calls the packaged module: `Site -> {path: text}`."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from typing import Any

from orthweb.site.aws import Aws
from orthweb.site.model import Site

ROOT_FILE = "main.tf.json"
VALUES_FILE = "terraform.tfvars.json"
MODULE = "site"
"""What the root calls the module: the address of everything made begins with `module.site`."""
OUTPUTS = ("site_address", "host_info", "s3_bucket", "db_endpoint", "site")

# The guide gives these by TF_VAR_…; what orthweb.yaml says goes before.
_OF_THE_GUIDE: dict[str, Any] = {"pubkey_data": "", "pubkey_path": "", "DeploymentOptions": {}}


def terraform_root(site: Site, source: str, version: str, values: dict[str, Any]) -> dict[str, str]:
    """Make the files of the root.

    Parameters
    ----------
    source:
        The packaged module, relative to the root and beginning with a dot.
    version:
        Version of Orthweb, which the state keeps.
    values:
        What `terraform_values` gives.
    """
    aws = _aws(site)
    arguments: dict[str, Any] = {"source": source, **{name: f"${{var.{name}}}" for name in {**_OF_THE_GUIDE, **values}}}
    variables: dict[str, Any] = {name: {"default": default} for name, default in _OF_THE_GUIDE.items()}
    root = {
        "//": "Made by 'orthweb plan' of orthweb.yaml: edit that instead.",
        "terraform": {"required_version": ">= 1.11", "backend": _backend(aws)},
        "provider": {"aws": {"region": aws.region, **_profile(aws), **_account(aws)}},
        "variable": {**variables, **{name: {} for name in values if name not in variables}},
        "module": {MODULE: arguments},
        "output": {
            **{name: {"value": f"${{module.{MODULE}.{name}}}"} for name in OUTPUTS},
            "orthweb_version": {"value": version},
        },
    }
    return {ROOT_FILE: _json(root), VALUES_FILE: _json(values)}


def terraform_values(site: Site, bundle: dict[str, str] | None = None) -> dict[str, Any]:
    """Give the module's variables that the site sets; no secret is among them.

    Parameters
    ----------
    bundle:
        `path` and `sha256` of what the hosts run; None when there is none yet. A path that another administrator has
        as well, such as one relative to the root, keeps Terraform from uploading the same bytes again.
    """
    aws = _aws(site)
    network, hosts, database = aws.network, aws.hosts, aws.database
    values = {
        "name": site.name,
        "environment": site.environment.value,
        "owner": site.owner,
        "protected": aws.protected,
        "keep_data": aws.keep_data,
        "tags": aws.tags,
        "zones": network.zones,
        "zone_names": network.zone_names,
        "vpc_cidr": network.cidr,
        "existing_network": network.existing.model_dump() if network.existing else None,
        "interface_endpoints": list(network.interface_endpoints),
        "web_cidrs": reaching(site.web.allowed_cidrs),
        "dicom_cidrs": reaching(site.dicom.allowed_cidrs),
        "send_cidrs": list(dict.fromkeys([*network.send_cidrs, *_modalities(site)])),
        "instance_type": hosts.instance_type,
        "images": _images(site),
        "ami_id": hosts.ami_id,
        "disk_gb": hosts.disk_gb,
        "pubkey_data": hosts.pubkey_data,
        "pubkey_path": _from_root(hosts.pubkey_path),
        "bundle": bundle,
        "site_json": site_json(site),
        "database_version": database.version,
        "database_class": database.instance_class,
        "database_multi_az": database.multi_az,
        "database_storage_gb": database.storage_gb,
        "database_max_connections": database.max_connections,
        "backup_days": database.backup_days,
        "noncurrent_days": aws.noncurrent_days,
        "log_days": aws.logs.days,
        "alarm_email": aws.logs.alarm_email,
    }
    # What is not said stays the module's, or the guide's variables'.
    return {name: value for name, value in values.items() if value is not None}


def site_json(site: Site) -> str:
    """Give what `orthweb.yaml` says as JSON, without its section for AWS: what is not said is each host's own default.

    The same description gives the same text, whatever its order.
    """
    said = site.model_dump(mode="json", exclude={"aws"}, exclude_unset=True)
    return json.dumps(said, sort_keys=True, separators=(",", ":"))


def terraform_warnings(site: Site) -> list[str]:
    """Say what of a site on AWS is allowed and most often not meant, one line each."""
    aws = _aws(site)
    found = []
    for field, cidrs, what in (
        ("web.allowed_cidrs", site.web.allowed_cidrs, "the web page"),
        ("dicom.allowed_cidrs", site.dicom.allowed_cidrs, "the DICOM port"),
    ):
        outside = reaching(cidrs)
        if not outside:
            found.append(f"{field}: nobody will reach {what} of this site; name the networks that may")
        found += [
            f"{field}: {cidr}: the whole Internet may knock at {what}; only certificates and passwords keep it out"
            for cidr in outside
            if ipaddress.ip_network(cidr).prefixlen == 0
        ]
        if aws.network.existing is None:
            found += [
                f"{field}: {cidr}: overlaps aws.network.cidr {aws.network.cidr}, so what is there cannot be answered"
                for cidr in outside
                if _overlap(cidr, aws.network.cidr)
            ]
    return found


def reaching(cidrs: Iterable[str]) -> list[str]:
    """The ranges that mean something to a site on another machine: those of this machine alone are left out."""
    return [cidr for cidr in cidrs if not ipaddress.ip_network(cidr).network_address.is_loopback]


def _aws(site: Site) -> Aws:
    if site.aws is None:
        raise ValueError("the site is not on AWS")
    return site.aws


def _modalities(site: Site) -> list[str]:
    """The addresses that the site sends to, as ranges; those given by name cannot be known here."""
    found = []
    for modality in site.orthanc.modalities.values():
        try:
            found.append(str(ipaddress.ip_network(modality.host)))
        except ValueError:
            continue
    return found


def _images(site: Site) -> dict[str, str] | None:
    """The container images that orthweb.yaml names; for the others those of the bundle, or the guide's, stand."""
    images = {}
    if "image" in site.orthanc.model_fields_set:
        images["orthanc"] = site.orthanc.image
    if "image" in site.envoy.model_fields_set:
        images["envoy"] = site.envoy.image
    return images or None


def _from_root(path: str | None) -> str | None:
    """A path beside `orthweb.yaml` as Terraform sees it, which works two folders below."""
    return path if path is None or path.startswith(("/", "~")) else f"../../{path}"


def _backend(aws: Aws) -> dict[str, Any]:
    place = aws.state_place()
    if place is None:
        return {"local": {"path": "terraform.tfstate"}}
    bucket, key = place
    # Locked by an object beside it, so there is no table to make.
    where = {"bucket": bucket, "key": key, "region": aws.region, "encrypt": True, "use_lockfile": True}
    return {"s3": {**where, **_profile(aws)}}


def _profile(aws: Aws) -> dict[str, str]:
    return {"profile": aws.profile} if aws.profile else {}


def _account(aws: Aws) -> dict[str, list[str]]:
    return {"allowed_account_ids": [aws.account]} if aws.account else {}


def _overlap(one: str, other: str) -> bool:
    inner, vpc = ipaddress.ip_network(one), ipaddress.ip_network(other)
    return inner.version == vpc.version and inner.prefixlen > 0 and inner.overlaps(vpc)


def _json(data: Any) -> str:
    return json.dumps(data, indent=2) + "\n"

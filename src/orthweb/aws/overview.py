"""How a site on AWS is: hosts, address, database, alarms, certificate, versions."""

from __future__ import annotations

import datetime
import json
from typing import Any

import orthweb
from orthweb.aws.applied import Applied
from orthweb.aws.host_states import host_states
from orthweb.aws.hosts import GONE, RUNNING, Host, look_at_hosts
from orthweb.aws.outside import Answer, ask, doors_of

# RDS has more than these; in the others the database may not answer.
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html
_ANSWERING = frozenset(
    {
        "available", "backing-up", "configuring-enhanced-monitoring", "configuring-iam-database-auth",
        "configuring-log-exports", "maintenance", "modifying", "storage-config-upgrade", "storage-initialization",
        "storage-optimization",
    }
)  # fmt: skip
LEAST_DAYS = 30
"""An apply replaces a certificate that has fewer left, and an alarm goes off."""


def overview(applied: Applied) -> dict[str, Any]:
    """Collect how everything of a site is.

    Returns
    -------
    dict
        `healthy` is true when `troubles`, which says in words what is wrong, is empty.

    Raises
    ------
    Failure
        AWS refuses.
    """
    hosts = look_at_hosts(applied)
    holder = next((host for host in hosts.values() if host.holds_address), None)
    doors = doors_of(applied)
    answer = None if doors is None or holder is None else ask(doors, applied.address)
    database, alarms, states = _database(applied), _alarms(applied), host_states(applied)
    certificate = _certificate(applied, answer)
    troubles = [
        *_of_hosts(hosts, holder),
        *_of_answer(answer, doors is None),
        *([] if database["answers"] else [f"the database is {database['status']}"]),
        *(f"alarm {alarm['name']}: {alarm['description']}" for alarm in alarms if alarm["state"] == "ALARM"),
        *_of_certificate(certificate["days_left"]),
    ]
    return {
        "name": applied.site.name,
        "environment": str(applied.site.environment),
        "owner": applied.site.owner,
        "region": applied.account.aws.region,
        "healthy": not troubles,
        "troubles": troubles,
        "address": {
            "address": applied.address,
            "host": holder.role if holder else None,
            "web": None if answer is None else not answer.web,
            "dicom": None if answer is None or answer.dicom is None else not answer.dicom,
        },
        "hosts": list(hosts.values()),
        "host_states": states,
        "database": database,
        "alarms": alarms,
        "certificate": certificate,
        "versions": _versions(applied, database),
    }


def _of_hosts(hosts: dict[str, Host], holder: Host | None) -> list[str]:
    found = []
    if holder is None:
        found.append("none of the hosts has the site's address: 'orthweb failover' gives it to one")
    for host in hosts.values():
        if host.state in GONE:
            found.append(f"{host.role} is not there any more: 'orthweb apply' makes it anew")
        elif host.holds_address and host.state != RUNNING:
            found.append(f"{host.role}, which has the address, is {host.state}: 'orthweb failover'")
        if host.state == RUNNING and host.failed_checks:
            found.append(f"{host.role} fails EC2's {' and '.join(host.failed_checks)}")
    return found


def _of_answer(answer: Answer | None, no_authority: bool) -> list[str]:
    if no_authority:
        return ["the site cannot be asked from here: .orthweb/pki/ca.crt, its authority, is not on this machine"]
    if answer is None or answer.well:
        return []
    maybe = ", or this machine is not in web.allowed_cidrs" if answer.silent else ""
    return [f"{answer.complaint}{maybe}"]


def _of_certificate(days_left: int | None) -> list[str]:
    if days_left is None:
        return ["the site has no certificate: 'orthweb apply' gives it one"]
    if days_left < LEAST_DAYS:
        return [f"the certificate has {days_left} days left: 'orthweb apply' renews it, or the files of one's own"]
    return []


def _database(applied: Applied) -> dict[str, Any]:
    from botocore.exceptions import ClientError

    name = applied.parts["database"]
    with applied.account.told():
        try:
            found = applied.account.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("DBInstanceNotFound", "DBInstanceNotFoundFault"):
                raise
            found = {"DBInstanceStatus": "gone"}
    status = str(found["DBInstanceStatus"])
    return {
        "name": name,
        "status": status,
        "answers": status in _ANSWERING,
        "engine_version": found.get("EngineVersion"),
        "multi_az": found.get("MultiAZ"),
        "zone": found.get("AvailabilityZone"),
        # Those alone that wait; RDS never tells a password here in clear.
        "pending": sorted(key for key, value in found.get("PendingModifiedValues", {}).items() if value),
    }


def _alarms(applied: Applied) -> list[dict[str, Any]]:
    """The site's alarms; those of a site whose name begins as this one's are told apart by whom they tell."""
    topic = applied.parts["alarm_topic"]
    with applied.account.told():
        pages = applied.account.client("cloudwatch").get_paginator("describe_alarms")
        alarms = [
            alarm
            for page in pages.paginate(AlarmNamePrefix=f"{applied.site.name}-")
            for alarm in page["MetricAlarms"]
            if topic in alarm.get("AlarmActions", [])
        ]
    return [
        {
            "name": alarm["AlarmName"],
            "state": alarm["StateValue"],
            "since": alarm.get("StateUpdatedTimestamp"),
            "description": alarm.get("AlarmDescription", ""),
        }
        for alarm in sorted(alarms, key=lambda alarm: str(alarm["AlarmName"]))
    ]


def _certificate(applied: Applied, answer: Answer | None) -> dict[str, Any]:
    """Days that the certificate lasts which the site shows; of the one that is kept for it, where none was seen."""
    if answer is not None and answer.days_left is not None:
        return {"days_left": answer.days_left, "seen": "at the address"}
    return {"days_left": _kept_days(applied), "seen": "in Secrets Manager"}


def _kept_days(applied: Applied) -> int | None:
    from botocore.exceptions import ClientError
    from cryptography import x509

    from orthweb.pki import describe

    arn = applied.parts["secrets"]["server-certificate"]
    with applied.account.told():
        try:
            text = applied.account.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            return None
    try:
        certificate = x509.load_pem_x509_certificate(str(json.loads(text)["certificate"]).encode())
    except (ValueError, LookupError, TypeError):
        return None
    return describe(certificate, datetime.datetime.now(datetime.UTC)).days_left


def _versions(applied: Applied, database: dict[str, Any]) -> dict[str, Any]:
    site = applied.site
    return {
        "orthweb": orthweb.__version__,
        "applied_by": applied.outputs.get("orthweb_version"),
        "postgresql": database["engine_version"],
        # Where orthweb.yaml names none, the bundle of that Orthweb does.
        "orthanc_image": site.orthanc.image if "image" in site.orthanc.model_fields_set else None,
        "envoy_image": site.envoy.image if "image" in site.envoy.model_fields_set else None,
    }

"""What day two does with a site that was applied on the emulator, where no host answers."""

from __future__ import annotations

import ipaddress
import json

from emulator import REGION, AwsSite


def check_day_two(site: AwsSite) -> None:
    """Go through failover, standby, status and sessions, and leave the address at the primary, and both hosts running.

    The emulator has to give its hosts addresses of loopback: they are asked.
    """
    parts = site.output()["site"]
    ids = {role: host["id"] for role, host in parts["hosts"].items()}
    ec2 = site.emulator.client("ec2")

    def at() -> str:
        (found,) = ec2.describe_addresses(AllocationIds=[parts["allocation_id"]])["Addresses"]
        return next(str(role) for role, id in ids.items() if id == found["InstanceId"])

    def state(role: str) -> str:
        return str(ec2.describe_instances(InstanceIds=[ids[role]])["Reservations"][0]["Instances"][0]["State"]["Name"])

    for reservation in ec2.describe_instances(InstanceIds=list(ids.values()))["Reservations"]:
        for instance in reservation["Instances"]:
            assert ipaddress.ip_address(instance["PublicIpAddress"]).is_loopback, "nothing else may be asked"
    assert at() == "primary"

    done = site.orthweb("failover", "--dry-run", "--json")
    told = json.loads(done.out)
    assert done.status == 0 and told["target"] == "secondary", done.all
    # A host that has just been made is waited for.
    assert told["would"] == "wait" and "connection refused" in told["why"]
    assert at() == "primary"

    done = site.orthweb("failover", "--timeout", "1")
    assert done.status == 1 and "secondary is not healthy" in done.err and at() == "primary", done.all

    done = site.orthweb("failover", "--force", "--timeout", "1", "--json")
    told = json.loads(done.out)
    assert done.status == 1 and (told["moved"], told["verified"]) == (True, False), done.all
    assert at() == "secondary"

    done = site.orthweb("standby", "stop", "secondary")
    assert done.status == 1 and "secondary has the site's address" in done.err, done.all
    done = site.orthweb("standby", "stop")
    assert done.status == 0 and state("primary") == "stopped", done.all
    # By force it is started, and not waited for.
    done = site.orthweb("failover", "--force", "--timeout", "1")
    assert done.status == 1 and "primary: it is stopped; starting it" in done.err, done.all
    assert at() == "primary" and state("primary") == state("secondary") == "running"

    done = site.orthweb("status", "--json")
    told = json.loads(done.out)
    assert done.status == 1 and told["address"]["host"] == "primary", done.all
    assert told["database"]["status"] == "available" and told["certificate"]["days_left"] > 300
    assert all("connection refused" in trouble for trouble in told["troubles"]), told["troubles"]

    done = site.orthweb("connect", "--ssh-config")
    assert done.status == 0 and f"--region {REGION}" in done.out, done.all

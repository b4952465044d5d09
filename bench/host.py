"""From user data to a healthy host, and what each step takes of it: `python bench/host.py`.

It needs the machines of the tests: PYTHONPATH=tests/site:tests/terraform:tests/host, and root. Packages and images are
at hand. The targets: under 60 s from switching on to healthy; `host up` on a healthy host under 3 s, and it changes
nothing.
"""

from __future__ import annotations

import json
import re
import statistics
import time

from aws_machines import Clinic, clinic
from cloud import cloud
from emulator import emulator
from ground import own_ground
from machine import Machine
from network import network

# The first line of each step in the journal, in their order.
_STEPS = (
    ("cloud-init has begun", r"cloud-init.*running 'init-local'|Cloud-init v.*init-local"),
    ("orthweb-boot has begun", r"Starting orthweb-host.service"),
    ("the bundle is fetched", r"orthweb-boot: fetching"),
    ("the bundle is installed", r"orthweb-boot: installing it"),
    ("orthweb host up has begun", r"starting: Orthweb"),
    ("the first Orthanc starts", r"starting: orthanc-1$"),
    ("the others start", r"starting: orthanc-2"),
    ("Envoy starts", r"starting: envoy"),
    ("healthy", r"healthy: primary of clinic"),
)


def steps(host: Machine, began: float) -> dict[str, float]:
    """When each step began, in seconds after the machine was switched on."""
    found: dict[str, float] = {}
    for line in host.sh("journalctl --no-pager --output=short-unix").splitlines():
        moment, _, said = line.partition(" ")
        for name, sign in _STEPS:
            if name not in found and re.search(sign, said):
                found[name] = round(float(moment) - began, 1)
    return found


def again(host: Machine, rounds: int = 5) -> float:
    """Seconds of `host up` on a healthy host; it must change nothing."""
    taken = []
    for _ in range(rounds):
        before, began = host.sh("docker ps --quiet --no-trunc"), time.perf_counter()
        done = host.run("orthweb", "host", "up")
        taken.append(time.perf_counter() - began)
        if done.status != 0 or host.sh("docker ps --quiet --no-trunc") != before:
            raise SystemExit(f"host up changed something: {done.all}")
    return statistics.median(taken)


def main() -> None:
    with (
        own_ground() as ground,
        network(ground) as net,
        emulator() as aws,
        cloud(ground, net, aws) as around,
        clinic(ground, around, ("primary",)) as site,
    ):
        host = _booted(site)
        up = again(host)
        host.cut_off()
        # Once more, as a stopped host is started: nothing is to be installed.
        restarted = time.time()
        host.boot()
        host.booted()
        site.wait_healthy("primary")
        second = time.time() - restarted
        print(json.dumps({"second_boot_seconds": round(second, 1), "host_up_seconds": round(up, 1)}))


def _booted(site: Clinic) -> Machine:
    host, began = site.machines["primary"], site.switched_on
    site.wait_healthy("primary")
    print(json.dumps(steps(host, began)), flush=True)
    return host


if __name__ == "__main__":
    main()

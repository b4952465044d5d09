"""How long a site on AWS is away when a host dies, and what each step of a failover takes: `python bench/failover.py`.

It needs the machines of the tests: PYTHONPATH=tests/site:tests/terraform:tests/host, and root. The host with the site's
address loses its power, and `orthweb failover` is called at once. The emulator moves an address in no time.
"""

from __future__ import annotations

import json
import time

from aws_machines import clinic
from cloud import cloud
from emulator import emulator
from ground import own_ground
from harness import eventually
from network import network


def main() -> None:
    with (
        own_ground() as ground,
        network(ground) as net,
        emulator() as aws,
        cloud(ground, net, aws) as around,
        clinic(ground, around) as site,
    ):
        for role in site.machines:
            site.wait_healthy(role)
        site.machines["primary"].cut_off()
        died = time.perf_counter()
        done = site.orthweb("failover", "--to", "secondary", "--json")
        if done.status != 0:
            raise SystemExit(done.all)
        eventually(lambda: site.status_code("/healthz", user=None) == 200, 60, "the site to answer")
        away = round(time.perf_counter() - died, 1)
    print(json.dumps({"away_seconds": away, "steps": json.loads(done.out)["seconds"]}))


if __name__ == "__main__":
    main()

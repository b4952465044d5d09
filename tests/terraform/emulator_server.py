"""An emulator of AWS for the tests, moto, as a program of its own: `python emulator_server.py PORT`.

It is no AWS: what it does not do is told where a test passes it over. Four things are mended here. Its buckets look at
a policy without the conditions, so that "nobody without TLS" means nobody: statements with conditions are left out.
It lacks EC2's MonitorInstances, which the provider calls for every instance with detailed monitoring. Its hosts would
have addresses of the Internet: they get loopback's, as its elastic IPs are, and nobody else is ever asked. And its
threads disturb each other: one request is answered after the other.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any


def main(port: str) -> None:
    """Serve on loopback until it is ended."""
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
    from moto import server
    from moto.core.responses import ActionResult
    from moto.ec2.models import elastic_network_interfaces
    from moto.ec2.responses.instances import InstanceResponse
    from moto.ec2.utils import random_ip
    from moto.s3 import models

    lock, run_simple = threading.Lock(), vars(server)["run_simple"]

    def one_at_a_time(host: str, number: int, application: Any, **options: Any) -> None:
        def answer(environment: Any, start: Any) -> list[bytes]:
            with lock:
                return list(application(environment, start))

        run_simple(host, number, answer, **options)

    def without_conditions(self: Any, action: str, resource: str) -> Any:
        from moto.iam.access_control import IAMPolicy, PermissionResult

        if self.policy is None:
            return PermissionResult.NEUTRAL
        policy = json.loads(self.policy)
        policy["Statement"] = [each for each in policy["Statement"] if "Condition" not in each]
        return IAMPolicy(json.dumps(policy)).is_action_permitted(action, resource)

    def monitor_instances(self: Any, state: str = "enabled") -> Any:
        told = []
        for each in self._get_param("InstanceIds", []):
            self.ec2_backend.get_instance(each).monitoring_state = state
            told.append({"InstanceId": each, "Monitoring": {"State": state}})
        return ActionResult({"InstanceMonitorings": told})

    def unmonitor_instances(self: Any) -> Any:
        return monitor_instances(self, "disabled")

    models.FakeBucket.get_permission = without_conditions  # type: ignore[method-assign]  # what is mended
    for method in (monitor_instances, unmonitor_instances):
        setattr(InstanceResponse, method.__name__, method)
    vars(elastic_network_interfaces)["random_public_ip"] = random_ip
    vars(server)["run_simple"] = one_at_a_time
    server.main(["-H", "127.0.0.1", "-p", port])


if __name__ == "__main__":
    main(sys.argv[1])

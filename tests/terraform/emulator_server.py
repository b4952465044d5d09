"""An emulator of AWS for the tests, moto, as a program of its own: `python emulator_server.py PORT`.

It is no AWS: what it does not do is told where a test passes it over. One thing is mended here. Its buckets look at
a policy without the conditions, so that "nobody without TLS" means nobody: statements with conditions are left out.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main(port: str) -> None:
    """Serve on loopback until it is ended."""
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
    from moto.s3 import models
    from moto.server import main as serve

    def without_conditions(self: Any, action: str, resource: str) -> Any:
        from moto.iam.access_control import IAMPolicy, PermissionResult

        if self.policy is None:
            return PermissionResult.NEUTRAL
        policy = json.loads(self.policy)
        policy["Statement"] = [each for each in policy["Statement"] if "Condition" not in each]
        return IAMPolicy(json.dumps(policy)).is_action_permitted(action, resource)

    models.FakeBucket.get_permission = without_conditions  # type: ignore[method-assign]  # what is mended
    serve(["-H", "127.0.0.1", "-p", port])


if __name__ == "__main__":
    main(sys.argv[1])

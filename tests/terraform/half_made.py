"""A site on AWS whose apply was interrupted in the middle."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys

from emulator import AwsSite
from harness import eventually


def interrupt_apply(site: AwsSite) -> None:
    """Begin to apply, and stop it when some of it is made."""
    command = [sys.executable, "-m", "orthweb", "apply", "-C", str(site.folder), "--yes", "--no-wait"]
    with subprocess.Popen(command, env=site.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        log = site.state / "logs/terraform.log"

        def some_made() -> bool:
            assert process.poll() is None, process.communicate()
            return log.exists() and len(re.findall(r'"action":"create".*"type":"apply_complete"', log.read_text())) > 12

        try:
            eventually(some_made, 120, "something to be made")
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=180)
        finally:
            process.kill()
    told = err.decode()
    assert process.returncode == 130 and "Traceback" not in told, told
    assert "Terraform finishes what it has begun" in told and "the same command goes on" in told
    state = json.loads((site.terraform / "terraform.tfstate").read_text())
    assert len(state["resources"]) > 10
    assert not (site.terraform / ".terraform.tfstate.lock.info").exists()

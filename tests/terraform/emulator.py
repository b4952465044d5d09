"""An emulator of AWS, and a site's folder whose commands speak to it and to nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tools
from harness import Done, free_port, orthweb, serving

REGION = "eu-central-1"
# One of the images that the emulator knows: it has none of Debian's, nor the parameter that names them.
AMI = "ami-03cf127a"
SITE = f"""\
name: clinic
web: {{allowed_cidrs: [203.0.113.0/24]}}
dicom: {{allowed_cidrs: [203.0.113.0/24]}}
aws: {{region: {REGION}, hosts: {{ami_id: {AMI}}}}}
"""

_SERVER = Path(__file__).parent / "emulator_server.py"
_OVERRIDE_FILE = "emulator_override.tf.json"
# As the emulator's documentation asks of the provider; it never comes into a site of a person's.
_OVERRIDE = {
    "provider": {
        "aws": {
            "access_key": "testing",
            "secret_key": "testing",
            "skip_credentials_validation": True,
            "skip_metadata_api_check": True,
            "skip_region_validation": True,
            "s3_use_path_style": True,
            "max_retries": 3,
        }
    }
}


@dataclass(frozen=True)
class Emulator:
    """An AWS that is none."""

    address: str

    def client(self, service: str) -> Any:
        """A client of one of its services."""
        from botocore.session import Session

        return Session().create_client(
            service, region_name=REGION, endpoint_url=self.address,
            aws_access_key_id="testing", aws_secret_access_key="testing",
        )  # fmt: skip

    def reset(self) -> None:
        """Forget all that was made."""
        with urllib.request.urlopen(f"{self.address}/moto-api/reset", data=b"", timeout=30):
            pass


@dataclass(frozen=True)
class AwsSite:
    """A site's folder, and the environment in which its commands see the emulator and no AWS."""

    folder: Path
    emulator: Emulator
    environment: dict[str, str] = field(repr=False)

    @property
    def state(self) -> Path:
        return self.folder / ".orthweb"

    @property
    def terraform(self) -> Path:
        return self.state / "terraform"

    def describe(self, text: str) -> None:
        """Write another orthweb.yaml."""
        (self.folder / "orthweb.yaml").write_text(text)

    def find_bucket(self, bucket: str, key: str) -> None:
        """Let Terraform find a state in a bucket of the emulator, which has no name of its own as AWS's have."""
        place = {"bucket": bucket, "key": key, "region": REGION, "encrypt": True, "use_lockfile": True}
        backend = {"terraform": {"backend": {"s3": {**place, "use_path_style": True}}}}
        (self.terraform / _OVERRIDE_FILE).write_text(json.dumps({**_OVERRIDE, **backend}))

    def orthweb(self, *words: str | Path, timeout: float = 400, **more: str) -> Done:
        """Run a command of Orthweb's on the site; `more` are variables of its environment."""
        return orthweb(*words, "-C", self.folder, timeout=timeout, env={**self.environment, **more})

    def output(self) -> dict[str, Any]:
        """What `orthweb output --json` says."""
        done = self.orthweb("output", "--json")
        assert done.status == 0, done.all
        return dict(json.loads(done.out))


@contextlib.contextmanager
def emulator() -> Iterator[Emulator]:
    """An emulator of its own, which goes when the body ends."""
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    with serving([sys.executable, str(_SERVER), str(port)], port, env=environment):
        yield Emulator(f"http://127.0.0.1:{port}")


def aws_site(folder: Path, aws: Emulator, text: str = SITE) -> AwsSite:
    """Make a site's folder; nothing of it is on the emulator yet."""
    home = folder / "home"
    home.mkdir(parents=True)
    variables = tools.environment(home, tools.mirror())
    kept = ("PATH", "HOME", "TF_CLI_CONFIG_FILE", "CHECKPOINT_DISABLE", "AWS_EC2_METADATA_DISABLED", "PYTHONPATH")
    environment = {name: variables[name] for name in kept if name in variables}
    environment |= {
        "AWS_ENDPOINT_URL": aws.address,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "LANG": "C.UTF-8",
        "ORTHWEB_TERRAFORM": tools.terraform(),
        # The wheels of the hosts' bundle are the same for all.
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"),
    }
    site = AwsSite(folder / "site", aws, environment)
    site.terraform.mkdir(parents=True)
    site.state.chmod(0o700)
    site.describe(text)
    (site.terraform / _OVERRIDE_FILE).write_text(json.dumps(_OVERRIDE))
    return site

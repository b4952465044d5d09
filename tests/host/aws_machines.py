"""A site that `orthweb apply` makes on the emulator, and machines that boot as its hosts."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cloud import Cloud
from elastic_address import passed_on
from emulator import AMI, REGION, AwsSite, aws_site
from ground import Ground
from harness import TestSite, eventually, run
from images import ENVOY, ORTHANC, images_data
from machine import Machine, machine

SITE = f"""\
name: clinic
web: {{allowed_cidrs: [198.18.0.0/15]}}
dicom: {{allowed_cidrs: [198.18.0.0/15]}}
orthanc: {{image: '{ORTHANC}', replicas: 2}}
envoy: {{image: '{ENVOY}'}}
aws: {{region: {REGION}, hosts: {{ami_id: {AMI}}}}}
"""
ROLES = ("primary", "secondary")


class Clinic(TestSite):
    """A site on the emulator with its two hosts, each a machine; the emulator's addresses lead to them."""

    __test__ = False

    def __init__(self, site: AwsSite, cloud: Cloud) -> None:
        super().__init__(site.folder)
        self.aws, self.cloud = site, cloud
        self.machines: dict[str, Machine] = {}
        self.switched_on = 0.0
        """When the first of them was, in seconds since 1970."""
        self.said = ""
        """What `orthweb apply` printed."""

    @property
    def parts(self) -> dict[str, Any]:
        """What the module puts out of the site."""
        return dict(self.aws.output()["site"])

    def orthweb(self, *words: str | Path, **options: Any) -> Any:
        """Run a command on the site, as its administrator."""
        return self.aws.orthweb(*words, **options)

    @property
    def address(self) -> str:
        """The site's own address."""
        return str(self.aws.output()["site_address"])

    def client(self, service: str) -> Any:
        """A client of the emulator."""
        return self.aws.emulator.client(service)

    def values(self) -> dict[str, Any]:
        """What the hosts are told."""
        return dict(json.loads(self.get_object("host/values.json")))

    def secret(self, arn: str) -> dict[str, str]:
        """The value of a secret."""
        return dict(json.loads(self.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]))

    def put_secret(self, arn: str, value: dict[str, str]) -> None:
        """Change a secret, as RDS does when it rotates its password."""
        self.client("secretsmanager").put_secret_value(SecretId=arn, SecretString=json.dumps(value))

    def tell(self, **changed: Any) -> None:
        """Tell the hosts something else, as the next apply would."""
        body = json.dumps({**self.values(), **changed})
        self.client("s3").put_object(Bucket=self._bucket(), Key="host/values.json", Body=body.encode())

    def put_object(self, key: str, content: bytes) -> None:
        """Put something into the site's bucket."""
        self.client("s3").put_object(Bucket=self._bucket(), Key=key, Body=content)

    def get_object(self, key: str) -> bytes:
        """Take something from the site's bucket."""
        content: bytes = self.client("s3").get_object(Bucket=self._bucket(), Key=key)["Body"].read()
        return content

    def user_data(self) -> str:
        """What Terraform rendered for the hosts."""
        ec2 = self.client("ec2")
        (template,) = ec2.describe_launch_templates()["LaunchTemplates"]
        versions = ec2.describe_launch_template_versions(
            LaunchTemplateId=template["LaunchTemplateId"], Versions=["$Latest"]
        )["LaunchTemplateVersions"]
        text = base64.b64decode(versions[0]["LaunchTemplateData"]["UserData"])
        return str(text.decode())

    def state_of(self, role: str) -> dict[str, str]:
        """What `orthweb host status --json` says on a host; empty before Orthweb is there."""
        done = self.machines[role].run("orthweb", "host", "status", "--json")
        return dict(json.loads(done.out)) if done.out.startswith("{") else {}

    def says(self, state: str, words: str, role: str = "primary") -> bool:
        """Whether a host is in this state, with these words."""
        told = self.state_of(role)
        return told.get("state") == state and words in told["message"]

    def wait_healthy(self, role: str, limit: float = 240) -> None:
        """Wait until a host says that it is healthy."""
        told = f"{role} to be healthy"
        eventually(lambda: self.state_of(role).get("state") == "healthy", limit, told)

    def _bucket(self) -> str:
        names = [bucket["Name"] for bucket in self.client("s3").list_buckets()["Buckets"]]
        return str(next(name for name in names if name.startswith("clinic-objects-")))


@contextlib.contextmanager
def clinic(ground: Ground, cloud: Cloud, roles: Sequence[str] = ROLES) -> Iterator[Clinic]:
    """Let `orthweb apply` make a site while its hosts boot, and give it when `apply` has ended.

    Parameters
    ----------
    roles:
        Which of the hosts are switched on; `apply` waits for them only where both are.
    """
    with tempfile.TemporaryDirectory(prefix="ow-") as folder, contextlib.ExitStack() as stack:
        made = Clinic(aws_site(Path(folder) / "aws", cloud.emulator, SITE), cloud)
        command = [sys.executable, "-m", "orthweb", "apply", "--yes", "-C", str(made.folder)]
        command += [] if tuple(roles) == ROLES else ["--no-wait"]
        apply = subprocess.Popen(
            command, env=made.aws.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        stack.callback(apply.wait)
        stack.callback(apply.kill)
        reader = threading.Thread(target=_hear, args=(apply, made), daemon=True)
        reader.start()

        def said(words: str) -> bool:
            assert apply.poll() in (None, 0), made.said
            return words in made.said

        eventually(lambda: said("secret users: filled"), 420, "apply to have filled the secrets")
        secret = made.secret(made.values()["database"]["secret"])
        cloud.database.make(secret["username"], secret["password"], made.values()["database"]["name"])
        made.host = made.address
        user_data, data, hosts = made.user_data(), images_data(ground, cloud.net), made.values()["hosts"]
        made.switched_on = time.time()
        for role in roles:
            booting = machine(ground, cloud.net, user_data, data=data, instance_id=hosts[role]["id"])
            made.machines[role] = stack.enter_context(booting)
        ec2, ids = made.client("ec2"), {hosts[role]["id"]: role for role in ROLES}

        def holder() -> str | None:
            (address,) = ec2.describe_addresses(PublicIps=[made.host])["Addresses"]
            role = ids.get(address.get("InstanceId", ""), "")
            return made.machines[role].address if role in made.machines else None

        stack.enter_context(passed_on(made.host, holder))
        told = ec2.describe_instances(InstanceIds=list(ids))["Reservations"]
        for instance in (each for reservation in told for each in reservation["Instances"]):
            own, role = instance.get("PublicIpAddress"), ids[instance["InstanceId"]]
            # By which failover looks at the host that has not the site's address.
            if own not in (None, made.host) and role in made.machines:
                address = made.machines[role].address
                stack.enter_context(passed_on(own, lambda address=address: address))  # type: ignore[misc]
        reader.join(900)
        yield made


def _hear(process: subprocess.Popen[str], made: Clinic) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        made.said += line


def bundle_with_images(folder: Path, host: Machine, image: str) -> bytes:
    """What `orthweb bundle --images` makes with a host's Docker engine."""
    (folder / "orthweb.yaml").write_text(f"name: clinic\northanc: {{image: '{image}'}}\nenvoy: {{image: '{ENVOY}'}}\n")
    words = ("bundle", "--images", "--site", folder, "--output", folder / "bundle.tar.gz")
    engine = {**os.environ, "DOCKER_HOST": f"unix://{host.root}/run/docker.sock"}
    done = run([sys.executable, "-m", "orthweb", *words], 200, env=engine)
    assert done.status == 0, done.all
    return (folder / "bundle.tar.gz").read_bytes()


def orthanc_images(host: Machine) -> set[str]:
    """The images that the Orthanc servers of a host run."""
    return set(host.sh("docker ps --filter name=orthanc- --format '{{.Image}}'").split()) - {ENVOY}

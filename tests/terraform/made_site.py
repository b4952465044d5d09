"""A site on an emulator of AWS that looks applied: its hosts, address, alarms and state are made without Terraform.

It takes a second where an apply takes minutes. What answers at the hosts' addresses are real servers over TLS, with
certificates of the site's authority.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import shutil
import ssl
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from emulator import AMI, REGION, AwsSite, Emulator, aws_site
from harness import free_port, serving

from orthweb.dicom.acceptor import StorageService
from orthweb.dicom.server import Server
from orthweb.dicom.tls import TlsFiles, server_context
from orthweb.local.account import lowest_port
from orthweb.pki import Authority, Issued, ensure_authority

_WEB, _DICOM = 443, 11112
_PROGRAM = Path(__file__).parent / "emulator_server.py"
# Nobody stores here: PS3.4 B.2.3.
_FAILURE = 0xA700
_ALARMS = ("primary-status", "secondary-status", "database-disk")


@functools.cache
def _client(aws: Emulator, service: str) -> Any:
    """Kept, for to make one takes longer than to use it."""
    return aws.client(service)


@contextlib.contextmanager
def emulator_with_hosts() -> Iterator[Emulator]:
    """An emulator of its own, which goes when the body ends; its hosts have addresses that can be asked."""
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    with serving([sys.executable, str(_PROGRAM), str(port)], port, env=environment):
        yield Emulator(f"http://127.0.0.1:{port}")


@dataclass(frozen=True)
class MadeSite:
    """A site that looks applied; `own` are the addresses that the hosts were made with."""

    site: AwsSite
    address: str
    allocation: str
    hosts: dict[str, str]
    own: dict[str, str]
    authority: Authority = field(repr=False)

    @property
    def ec2(self) -> Any:
        return _client(self.site.emulator, "ec2")

    def at(self) -> str:
        """The role of the host that the address is with, by EC2."""
        (found,) = self.ec2.describe_addresses(AllocationIds=[self.allocation])["Addresses"]
        return next(role for role, id in self.hosts.items() if id == found["InstanceId"])

    def told(self, role: str) -> Any:
        """What EC2 says of a host."""
        return self.ec2.describe_instances(InstanceIds=[self.hosts[role]])["Reservations"][0]["Instances"][0]

    def run_away(self, role: str) -> None:
        """Take a host away, as nobody should."""
        self.ec2.terminate_instances(InstanceIds=[self.hosts[role]])


@contextlib.contextmanager
def made_site(aws: Emulator) -> Iterator[MadeSite]:
    """Make a site; the primary has its address."""
    aws.reset()
    folder = Path(tempfile.mkdtemp(prefix="ow-"))
    try:
        yield _made(folder, aws)
    finally:
        shutil.rmtree(folder)


def _made(folder: Path, aws: Emulator) -> MadeSite:
    site = aws_site(folder, aws)
    ec2 = _client(aws, "ec2")
    hosts, described = {}, {}
    for role, zone in (("primary", "a"), ("secondary", "b")):
        subnet = next(
            each["SubnetId"]
            for each in ec2.describe_subnets()["Subnets"]
            if each["AvailabilityZone"] == f"{REGION}{zone}"
        )
        network = [{"DeviceIndex": 0, "SubnetId": subnet, "AssociatePublicIpAddress": True}]
        (made,) = ec2.run_instances(
            ImageId=AMI, InstanceType="t3.medium", MinCount=1, MaxCount=1, NetworkInterfaces=network
        )["Instances"]
        hosts[role] = made["InstanceId"]
        described[role] = {"id": made["InstanceId"], "availability_zone": f"{REGION}{zone}", "private_ip": "10.0.0.1"}
    found = ec2.describe_instances(InstanceIds=list(hosts.values()))["Reservations"]
    addresses = {each["InstanceId"]: each["PublicIpAddress"] for part in found for each in part["Instances"]}
    own = {role: str(addresses[id]) for role, id in hosts.items()}
    elastic = ec2.allocate_address(Domain="vpc")
    ec2.associate_address(AllocationId=elastic["AllocationId"], InstanceId=hosts["primary"])
    address = str(elastic["PublicIp"])
    pki = site.state / "pki"
    pki.mkdir(mode=0o700)
    authority = ensure_authority(pki, "clinic authority")
    parts = {
        "name": "clinic",
        "allocation_id": elastic["AllocationId"],
        "hosts": described,
        **_parts(aws, authority, address),
    }
    outputs = {
        "site_address": address,
        "host_info": " ".join(f"{role.title()}:{id}" for role, id in hosts.items()),
        "s3_bucket": "clinic.s3.amazonaws.com",
        "db_endpoint": "clinic.rds.amazonaws.com:5432",
        "orthweb_version": "0.1.0",
        "site": parts,
    }
    state = {
        "version": 4, "terraform_version": "1.11.0", "serial": 1, "lineage": "made", "resources": [],
        "outputs": {name: {"value": value, "type": _type(value)} for name, value in outputs.items()},
    }  # fmt: skip
    (site.terraform / "terraform.tfstate").write_text(json.dumps(state))
    return MadeSite(site, address, elastic["AllocationId"], hosts, own, authority)


def _parts(aws: Emulator, authority: Authority, address: str) -> dict[str, Any]:
    topic = _client(aws, "sns").create_topic(Name="clinic-alarms")["TopicArn"]
    elsewhere = _client(aws, "sns").create_topic(Name="clinic-two-alarms")["TopicArn"]
    watch = _client(aws, "cloudwatch")
    for name, target in [*((f"clinic-{each}", topic) for each in _ALARMS), ("clinic-two-disk", elsewhere)]:
        watch.put_metric_alarm(
            AlarmName=name, AlarmDescription=f"{name} is not well", MetricName="Some", Namespace="Orthweb", Period=60,
            EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold", Statistic="Maximum",
            AlarmActions=[target],
        )  # fmt: skip
        watch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="made so")
    _client(aws, "rds").create_db_instance(
        DBInstanceIdentifier="clinic", Engine="postgres", EngineVersion="17.4", DBInstanceClass="db.t4g.small",
        AllocatedStorage=20, MultiAZ=True, MasterUsername="orthanc", ManageMasterUserPassword=True,
    )  # fmt: skip
    held = json.dumps({"certificate": authority.issue_server([address]).fullchain_pem.decode(), "key": "not needed"})
    secret = _client(aws, "secretsmanager").create_secret(Name="clinic-server", SecretString=held)["ARN"]
    _client(aws, "logs").create_log_group(logGroupName="/orthweb/clinic/boot")
    return {
        "alarm_topic": topic,
        "database": "clinic",
        "secrets": {"server-certificate": secret},
        "log_groups": {"boot": "/orthweb/clinic/boot"},
    }


def _type(value: Any) -> Any:
    """The type of a value as Terraform's state has it."""
    if isinstance(value, dict):
        return ["object", {name: _type(each) for name, each in value.items()}]
    return "string"


class _Health(http.server.BaseHTTPRequestHandler):
    status: ClassVar[int] = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/healthz" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def answering(
    made: MadeSite, address: str, status: int = 200, dicom: bool = True, names: list[str] | None = None
) -> Iterator[None]:
    """What a host does: HTTPS with /healthz, and DICOM over TLS, at an address while the body runs."""
    if lowest_port() > _WEB:
        pytest.fail(f"hosts on AWS listen on {_WEB}, which the user of this test may not: run it as root")
    issued = made.authority.issue_server(names or [made.address])
    with tempfile.TemporaryDirectory(prefix="ow-") as kept:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        files = _files(Path(kept), issued, made.authority)
        context.load_cert_chain(str(files.certificate), str(files.key))
        handler = type("Handler", (_Health,), {"status": status})
        web = http.server.ThreadingHTTPServer((address, _WEB), handler)
        web.socket = context.wrap_socket(web.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        peer = (
            Server(address, _DICOM, StorageService(lambda _: _FAILURE, "ORTHANC"), server_context(files))
            if dicom
            else None
        )
        if peer is not None:
            peer.start()
        try:
            yield
        finally:
            web.shutdown()
            web.server_close()
            thread.join()
            if peer is not None:
                peer.stop(0)


def _files(folder: Path, issued: Issued, authority: Authority) -> TlsFiles:
    files = TlsFiles(folder / "ca.crt", folder / "server.crt", folder / "server.key")
    (folder / "ca.crt").write_bytes(authority.certificate_pem)
    (folder / "server.crt").write_bytes(issued.fullchain_pem)
    (folder / "server.key").write_bytes(issued.key_pem)
    return files

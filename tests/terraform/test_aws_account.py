"""What is seen of an account before anything is made in it, with an emulator of AWS."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from emulator import REGION, Emulator, emulator

from orthweb.aws.account import Account, check_network, check_region, quota_warnings
from orthweb.aws.handover import Handover
from orthweb.aws.remains import remains
from orthweb.aws.state_bucket import ensure_state_bucket
from orthweb.errors import Failure, InputError
from orthweb.pki.handing_over import export_authority, import_authority
from orthweb.pki.of_site import authority
from orthweb.site.aws import Aws
from orthweb.site.load import parse_site
from orthweb.site.model import Site
from orthweb.site.paths import SitePaths
from orthweb.site.secrets import read_users


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with emulator() as found:
        yield found


@pytest.fixture
def aws(running: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Emulator:
    """The emulator, empty, and this process's environment for it."""
    running.reset()
    _speak_to(running.address, monkeypatch, tmp_path)
    return running


def _speak_to(address: str, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(home / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "credentials"),
    }.items():
        monkeypatch.setenv(name, value)


def _site(section: str = "") -> Site:
    return parse_site(f"name: clinic\naws: {{region: {REGION}, {section}}}\n")


def _section(text: str = "") -> Aws:
    found = _site(text).aws
    assert found is not None
    return found


def test_aws_says_who_we_are(aws: Emulator) -> None:
    identity = Account(_section()).identity()
    assert identity.account == "123456789012" and identity.arn.startswith("arn:aws:")


def test_credentials_of_another_account_are_refused(aws: Emulator) -> None:
    with pytest.raises(InputError, match=r"aws\.account: 999999999999: these credentials are of account 123456789012"):
        Account(_section("account: '999999999999'")).identity()


def test_without_credentials_it_is_said_how_to_log_in(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(Failure, match="no credentials for AWS") as raised:
        Account(_section()).identity()
    assert "aws configure" in raised.value.remedy


def test_an_unknown_profile_is_named(aws: Emulator) -> None:
    with pytest.raises(InputError, match=r"aws\.profile: nobody: no such profile"):
        Account(_section("profile: nobody")).identity()


@pytest.mark.parametrize(
    ("code", "said", "remedy"),
    [
        ("ExpiredToken", "the session has expired", "log in to AWS again"),
        ("InvalidClientTokenId", "does not know these credentials", "aws configure"),
        ("AccessDenied", "GetCallerIdentity: not you", "have the permission given"),
    ],
)
def test_what_aws_answers_to_bad_credentials_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, said: str, remedy: str
) -> None:
    with _answering(code) as address:
        _speak_to(address, monkeypatch, tmp_path)
        with pytest.raises(Failure, match=said) as raised:
            Account(_section()).identity()
    assert remedy in raised.value.remedy and "\n" not in str(raised.value)


@contextmanager
def _answering(code: str) -> Iterator[str]:
    """A server that answers as AWS does when it refuses."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = (
                f"<ErrorResponse><Error><Code>{code}</Code><Message>not you</Message></Error></ErrorResponse>".encode()
            )
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_zones_that_the_region_lacks_are_named_with_those_that_it_has(aws: Emulator) -> None:
    check_region(Account(_section()))
    with pytest.raises(InputError, match=r"zone_names\[1\]: eu-central-1z: no such zone: eu-central-1 has"):
        check_region(Account(_section("network: {zone_names: [eu-central-1a, eu-central-1z]}")))


def test_a_network_of_ones_own_has_to_be_there_and_to_fit(aws: Emulator) -> None:
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in enumerate("abaa")
    ]
    good = f"public_subnet_ids: [{subnets[0]}, {subnets[1]}], private_subnet_ids: [{subnets[2]}, {subnets[1]}]"
    check_network(Account(_section(f"network: {{existing: {{vpc_id: {vpc}, {good}}}}}")))
    with pytest.raises(InputError, match=r"existing\.vpc_id: vpc-00000000: no such VPC in eu-central-1"):
        check_network(Account(_section(f"network: {{existing: {{vpc_id: vpc-00000000, {good}}}}}")))
    missing = good.replace(subnets[1], "subnet-00000000")
    with pytest.raises(InputError, match=r"public_subnet_ids: subnet-00000000: no such subnet"):
        check_network(Account(_section(f"network: {{existing: {{vpc_id: {vpc}, {missing}}}}}")))
    same = good.replace(f"{subnets[2]}, {subnets[1]}", f"{subnets[2]}, {subnets[3]}")
    with pytest.raises(InputError, match=r"private_subnet_ids: all are in one zone"):
        check_network(Account(_section(f"network: {{existing: {{vpc_id: {vpc}, {same}}}}}")))


def test_quotas_that_would_stop_the_site_are_named(aws: Emulator) -> None:
    account = Account(_section())
    assert not quota_warnings(account)
    ec2 = aws.client("ec2")
    for _ in range(5):
        ec2.allocate_address(Domain="vpc")
        ec2.create_vpc(CidrBlock="10.9.0.0/16")
    vpcs, addresses = quota_warnings(account)
    assert "of 5 VPCs" in vpcs and "5 of 5 elastic IPs" in addresses


def test_a_bucket_for_the_state_is_made_on_request_and_closed(aws: Emulator) -> None:
    account = Account(_section("state: s3://clinic-states/a.tfstate"))
    with pytest.raises(InputError, match=r"aws\.state: s3://clinic-states: no such bucket: add --create-state"):
        ensure_state_bucket(account, create=False)
    assert ensure_state_bucket(account, create=True)
    assert not ensure_state_bucket(account, create=True)
    s3 = aws.client("s3")
    assert all(s3.get_public_access_block(Bucket="clinic-states")["PublicAccessBlockConfiguration"].values())
    assert s3.get_bucket_versioning(Bucket="clinic-states")["Status"] == "Enabled"
    assert s3.get_bucket_encryption(Bucket="clinic-states")
    assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket="clinic-states")["Policy"]
    assert not ensure_state_bucket(Account(_section()), create=True)


def test_what_is_left_of_a_site_is_found_by_its_tags(aws: Emulator) -> None:
    account, ec2, kms = Account(_section()), aws.client("ec2"), aws.client("kms")
    tags = [{"Key": "ManagedBy", "Value": "Orthweb"}, {"Key": "Site", "Value": "clinic"}]
    others = [{"Key": "ManagedBy", "Value": "Orthweb"}, {"Key": "Site", "Value": "another"}]
    for each in (tags, others):
        ec2.create_vpc(CidrBlock="10.9.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": each}])
    key = kms.create_key(Tags=[{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in tags])["KeyMetadata"]
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    found = remains(account, "clinic")
    assert found.ending == [key["Arn"]]
    assert len(found.there) == 1 and ":vpc/" in found.there[0]
    assert not found.kept
    kept = kms.create_key(Tags=[{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in tags])["KeyMetadata"]["Arn"]
    rds = aws.client("rds")
    for name in ("clinic", "clinic-two"):
        rds.create_db_instance(
            DBInstanceIdentifier=name, Engine="postgres", DBInstanceClass="db.t4g.small", AllocatedStorage=20,
            MasterUsername="orthanc", ManageMasterUserPassword=True,
        )  # fmt: skip
        rds.create_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier=f"{name}-final")
    snapshot = f"arn:aws:rds:{REGION}:123456789012:snapshot:clinic-final"
    assert remains(account, "clinic").kept == {kept: "the key", snapshot: "a snapshot of the database"}


def test_secrets_are_filled_once_and_mended_where_they_are_not_good(aws: Emulator, tmp_path: Path) -> None:
    client = aws.client("secretsmanager")
    arns = {
        name: client.create_secret(Name=f"clinic/{name}")["ARN"] for name in ("server-certificate", "internal", "users")
    }
    site, paths = _site(), SitePaths(tmp_path)
    paths.state.mkdir(mode=0o700)
    said: list[str] = []

    def fill(address: str = "203.0.113.7") -> list[str]:
        said.clear()
        Handover(Account(_section()), site, paths, address).fill(arns, said.append)
        return [line.split(":")[0].removeprefix("secret ") for line in said]

    def value(name: str) -> dict[str, str]:
        return dict(json.loads(client.get_secret_value(SecretId=arns[name])["SecretString"]))

    assert fill() == ["server-certificate", "internal", "users"]
    assert fill() == []
    # Another address needs another certificate, and nothing else.
    assert fill("203.0.113.8") == ["server-certificate"]
    kept = value("internal")
    client.put_secret_value(SecretId=arns["internal"], SecretString=json.dumps({**kept, "envoy.crt": "damaged"}))
    assert fill("203.0.113.8") == ["internal"]
    mended = value("internal")
    assert mended.keys() == kept.keys() and mended["envoy.key"] != kept["envoy.key"]
    assert fill("203.0.113.8") == []
    client.put_secret_value(SecretId=arns["users"], SecretString="not JSON")
    assert fill("203.0.113.8") == ["users"]
    assert set(value("users")) == {"admin", "orthweb-health"}


def test_another_person_goes_on_with_the_sites_passwords_and_only_with_its_authority(
    aws: Emulator, tmp_path: Path
) -> None:
    client = aws.client("secretsmanager")
    arns = {
        name: client.create_secret(Name=f"clinic/{name}")["ARN"] for name in ("server-certificate", "internal", "users")
    }
    site = _site()
    said: list[str] = []
    first, second = SitePaths(tmp_path / "first"), SitePaths(tmp_path / "second")
    for paths in (first, second):
        paths.state.mkdir(parents=True, mode=0o700)
    Handover(Account(_section()), site, first, "203.0.113.7").fill(arns, said.append)
    before = {name: client.get_secret_value(SecretId=arn)["SecretString"] for name, arn in arns.items()}
    stranger = Handover(Account(_section()), site, second, "203.0.113.7")
    with pytest.raises(Failure, match="is missing: the authority of clinic"):
        stranger.check_authority(arns)
    with pytest.raises(Failure, match="is missing: the authority of clinic") as raised:
        stranger.fill(arns, said.append)
    assert "orthweb certs import" in raised.value.remedy
    Handover(Account(_section()), site, first, "203.0.113.7").check_authority(arns)
    export_authority(authority(first, site), tmp_path / "authority.p12", "correct horse battery")
    import_authority(tmp_path / "authority.p12", "correct horse battery", second.pki)
    said.clear()
    Handover(Account(_section()), site, second, "203.0.113.7").fill(arns, said.append)
    assert not said
    assert {name: client.get_secret_value(SecretId=arn)["SecretString"] for name, arn in arns.items()} == before
    assert read_users(second) == read_users(first)

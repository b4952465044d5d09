"""The site on AWS through the command line, with the real Terraform and provider and an emulator of AWS.

The emulator is no AWS. What it lacks: hosts that boot, RDS's Performance Insights and what some resources say of
themselves, so that a second plan finds differences of the emulator's; conditions in bucket policies; Debian's images.
"""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from day_two_parts import check_day_two
from emulator import AMI, REGION, SITE, AwsSite, Emulator, aws_site, emulator
from half_made import interrupt_apply

pytestmark = pytest.mark.timeout(600)

# Its data outlive it, as those of a production site.
_LASTING = SITE.replace("aws: {", "aws: {keep_data: true, ")

# Differences that a second plan finds on the emulator and would not on AWS: it forgets what it was told of these.
_FORGOTTEN = {
    "aws_db_instance.this": {
        "performance_insights_enabled", "performance_insights_kms_key_id", "performance_insights_retention_period",
    },
    "aws_db_parameter_group.this": {"parameter"},
    "aws_vpc_security_group_ingress_rule.hosts": {"description"},
    "aws_vpc_security_group_egress_rule.hosts": {"description"},
    "aws_launch_template.this": {"latest_version", "default_version", "tag_specifications"},
    'aws_instance.this["primary"]': {"vpc_security_group_ids"},
    'aws_instance.this["secondary"]': {"vpc_security_group_ids"},
}  # fmt: skip


@pytest.fixture(scope="module")
def aws() -> Iterator[Emulator]:
    with emulator() as running:
        yield running


@pytest.fixture(scope="module")
def applied(aws: Emulator, tmp_path_factory: pytest.TempPathFactory) -> AwsSite:
    """A site that `orthweb apply` has made, after a first try that was interrupted in the middle."""
    site = aws_site(tmp_path_factory.mktemp("applied"), aws, _LASTING)
    interrupt_apply(site)
    done = site.orthweb("apply", "--yes", "--no-wait")
    assert done.status == 0, done.all
    (site.folder / "apply.txt").write_text(done.all)
    return site


def test_a_plan_says_what_would_be_made_and_makes_nothing(aws: Emulator, tmp_path: Path) -> None:
    site = aws_site(tmp_path, aws)
    done = site.orthweb("plan")
    assert done.status == 0, done.all
    assert f"clinic in {REGION}, account 123456789012, as arn:aws:" in done.err
    for concern in ("database", "hosts", "identity", "key", "network", "observability", "storage"):
        assert re.search(rf"^ {concern} +\d+", done.out, re.MULTILINE), done.out
    # Plain where nobody looks at a terminal.
    assert "\x1b" not in done.all
    assert not (site.terraform / "terraform.tfstate").exists()
    assert site.orthweb("output").status == 1


def test_an_apply_goes_on_after_an_interruption_and_ends_with_the_four_outputs(applied: AwsSite) -> None:
    told = (applied.folder / "apply.txt").read_text()
    for name in ("site_address", "host_info", "s3_bucket", "db_endpoint"):
        assert f"{name} = " in told
    for secret in ("server-certificate", "internal", "users"):
        assert f"secret {secret}: filled" in told
    assert re.search(r"^\d+ of \d+: making module.database.aws_db_instance.this: done after", told, re.MULTILINE)
    outputs = applied.output()
    hosts = outputs["site"]["hosts"]
    assert outputs["host_info"] == f"Primary:{hosts['primary']['id']} Secondary:{hosts['secondary']['id']}"
    assert hosts["primary"]["availability_zone"] != hosts["secondary"]["availability_zone"]


def test_day_two_of_a_site_whose_hosts_do_not_answer(applied: AwsSite) -> None:
    check_day_two(applied)


def test_no_secret_is_in_the_state_the_plan_or_a_log(applied: AwsSite) -> None:
    client = applied.emulator.client("secretsmanager")
    secrets: list[str] = []
    for entry in client.list_secrets()["SecretList"]:
        value = client.get_secret_value(SecretId=entry["ARN"])["SecretString"]
        try:
            held = json.loads(value)
        except ValueError:
            held = {"value": value}
        # Certificates are no secrets, nor is the name of a user.
        secrets += [text for name, text in held.items() if not str(name).endswith((".crt", "certificate", "username"))]
    assert len(secrets) >= 6, "the password of RDS, those of the users, the keys"
    for path in [path for path in applied.state.rglob("*") if path.is_file() and "/secrets/" not in str(path)]:
        content = path.read_bytes()
        for secret in secrets:
            # As it stands, and as JSON has it.
            lines = max(secret.split("\n"), key=len)
            assert lines.encode() not in content, f"{path} holds a secret"


def test_the_certificate_in_secrets_manager_is_the_authoritys_for_the_sites_address(applied: AwsSite) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    outputs = applied.output()
    held = _secret(applied, outputs["site"]["secrets"]["server-certificate"])
    certificate = x509.load_pem_x509_certificate(held["certificate"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert outputs["site_address"] in {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    authority = x509.load_pem_x509_certificate((applied.state / "pki/ca.crt").read_bytes())
    certificate.verify_directly_issued_by(authority)
    assert load_pem_private_key(held["key"].encode(), None).public_key() == certificate.public_key()
    users = _secret(applied, outputs["site"]["secrets"]["users"])
    assert applied.orthweb("password", "admin").out.strip() == users["admin"]


def test_a_rotated_certificate_is_another_one_and_the_rest_stays(applied: AwsSite) -> None:
    arns = applied.output()["site"]["secrets"]
    before = {name: _secret(applied, arn) for name, arn in arns.items()}
    done = applied.orthweb("certs", "rotate")
    assert done.status == 0, done.all
    after = {name: _secret(applied, arn) for name, arn in arns.items()}
    assert {name for name in arns if before[name] != after[name]} == {"server-certificate"}
    assert "server on AWS" in applied.orthweb("certs", "show").out


def _secret(site: AwsSite, arn: str) -> dict[str, str]:
    client = site.emulator.client("secretsmanager")
    return dict(json.loads(client.get_secret_value(SecretId=arn)["SecretString"]))


def test_nothing_is_open_that_was_not_opened(applied: AwsSite) -> None:
    ec2 = applied.emulator.client("ec2")
    vpc = applied.output()["site"]["vpc_id"]
    groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"]
    open_to: set[tuple[int, str]] = set()
    for group in groups:
        for rule in group["IpPermissions"]:
            assert not rule.get("Ipv6Ranges"), group["GroupName"]
            open_to |= {(rule.get("FromPort", 0), entry["CidrIp"]) for entry in rule["IpRanges"]}
    inside = {entry for entry in open_to if entry[1].startswith("172.27.")}
    assert open_to - inside == {(443, "203.0.113.0/24"), (11112, "203.0.113.0/24")}


def test_what_is_kept_is_encrypted_and_not_public(applied: AwsSite) -> None:
    site = applied.output()["site"]
    s3, rds, ec2 = (applied.emulator.client(name) for name in ("s3", "rds", "ec2"))
    for bucket in (site["bucket"], site["log_bucket"]):
        assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    (rule,) = s3.get_bucket_encryption(Bucket=site["bucket"])["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == site["kms_key"]
    (database,) = rds.describe_db_instances(DBInstanceIdentifier=site["database"])["DBInstances"]
    assert database["StorageEncrypted"] and database["MultiAZ"] and not database["PubliclyAccessible"]
    assert "MasterUserSecret" in database
    ids = [host["id"] for host in site["hosts"].values()]
    for reservation in ec2.describe_instances(InstanceIds=ids)["Reservations"]:
        for instance in reservation["Instances"]:
            assert instance["MetadataOptions"]["HttpTokens"] == "required"


def test_the_hosts_may_do_what_they_need_and_no_more(applied: AwsSite) -> None:
    site = applied.output()["site"]
    iam = applied.emulator.client("iam")
    role = f"clinic-{REGION}-host"
    statements: list[dict[str, Any]] = []
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        statements += document["Statement"]
    assert not iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    written = json.dumps(statements)
    assert site["bucket"] in written and site["database_secret"] in written
    for statement in statements:
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        resources = [statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"]
        assert not [action for action in actions if action == "*" or action.endswith(":*")], statement
        if "*" in resources:
            # These know no resources; what they are for is named by a condition, or is this host's session.
            sessions = all(action.split(":")[0] in ("ssm", "ssmmessages", "ec2messages") for action in actions)
            assert sessions or statement.get("Condition"), statement


def test_what_would_lose_data_is_named_and_needs_the_sites_name(applied: AwsSite) -> None:
    applied.describe(_LASTING.replace("name: clinic", "name: other-clinic"))
    try:
        done = applied.orthweb("apply", "--yes", "--no-wait")
        assert done.status == 2, done.all
        assert "This replaces a bucket with what is in it" in done.out
        assert "--confirm other-clinic" in done.err
        assert "nobody can be asked here" in done.err
        done = applied.orthweb("apply", "--confirm", "clinic", "--no-wait")
        assert done.status == 2 and "the site is called other-clinic" in done.err
    finally:
        applied.describe(_LASTING)


def test_a_second_plan_finds_what_was_changed_what_was_deleted_and_what_the_emulator_forgets(applied: AwsSite) -> None:
    alarms = applied.emulator.client("cloudwatch")
    # Nothing else is made of an alarm, so nothing else changes with it.
    alarms.delete_alarms(AlarmNames=[alarms.describe_alarms()["MetricAlarms"][0]["AlarmName"]])
    other = _LASTING.replace("web: {allowed_cidrs: [203.0.113.0/24]}", "web: {allowed_cidrs: [198.51.100.0/24]}")
    applied.describe(other)
    try:
        told = json.loads(applied.orthweb("plan", "--json").out)
    finally:
        applied.describe(_LASTING)
    door = "module.site.module.hosts.aws_vpc_security_group_ingress_rule.doors"
    (alarm,) = told["deleted_by_hand"]
    assert alarm.startswith("module.site.module.observability.aws_cloudwatch_metric_alarm.")
    found = {change["address"]: change for change in told["changes"]}
    for address, action in (
        (alarm, "create"),
        (f'{door}["web 198.51.100.0/24"]', "create"),
        (f'{door}["web 203.0.113.0/24"]', "destroy"),
        # The hosts are told what orthweb.yaml says.
        ("module.site.aws_s3_object.values", "update"),
    ):
        assert found.pop(address)["action"] == action
    for address, change in found.items():
        name = address.split(".", 4)[-1]
        assert change["action"] == "update" and set(change["attributes"]) <= _FORGOTTEN[name], change


def test_commands_that_only_speak_to_the_site_find_its_address(applied: AwsSite) -> None:
    address = applied.output()["site_address"]
    # The emulator has no hosts that answer.
    done = applied.orthweb("echo")
    assert done.status == 1 and address in done.err
    done = applied.orthweb("validate", "--only", "network", "--json")
    assert done.status == 1 and json.loads(done.out)["address"] == f"https://{address}"


def test_a_site_on_aws_is_not_brought_up_here_by_mistake(applied: AwsSite) -> None:
    for command in ("up", "down", "restart", "logs", "render", "audit"):
        done = applied.orthweb(command)
        assert done.status == 2 and f"orthweb --here {command}" in done.err


def test_a_locked_state_names_who_holds_it_since_when_and_how_to_go_on(applied: AwsSite) -> None:
    info = applied.terraform / ".terraform.tfstate.lock.info"
    held = {
        "ID": "0b1c2d3e", "Operation": "OperationTypeApply", "Who": "anna@desk", "Version": "1.11.4",
        "Created": "2026-11-21T20:01:02.123456789Z", "Path": "terraform.tfstate", "Info": "",
    }  # fmt: skip
    with (applied.terraform / "terraform.tfstate").open("r+") as state:
        # As Terraform does it for a local state.
        fcntl.lockf(state, fcntl.LOCK_EX)
        info.write_text(json.dumps(held))
        try:
            done = applied.orthweb("plan")
        finally:
            info.unlink()
    assert done.status == 1 and "the state is locked: anna@desk has been at 'apply' since 2026-11-21" in done.err
    assert "force-unlock 0b1c2d3e" in done.err and "Traceback" not in done.err


def test_a_region_without_debians_image_is_told_with_what_to_name_instead(aws: Emulator, tmp_path: Path) -> None:
    site = aws_site(tmp_path, aws, SITE.replace(f", hosts: {{ami_id: {AMI}}}", ""))
    done = site.orthweb("plan")
    assert done.status == 1 and "name an image of your own in aws.hosts.ami_id" in done.err, done.all
    site.describe(SITE.replace(AMI, "ami-00000000"))
    done = site.orthweb("plan")
    assert done.status == 1 and "correct aws.hosts.ami_id: images are of one region" in done.err, done.all


def test_an_older_orthweb_leaves_a_newer_ones_site_alone(applied: AwsSite) -> None:
    path = applied.terraform / "terraform.tfstate"
    before = path.read_text()
    state = json.loads(before)
    state["outputs"]["orthweb_version"]["value"] = "999.1"
    path.write_text(json.dumps(state))
    try:
        done = applied.orthweb("plan")
        assert done.status == 1 and "was last applied by Orthweb 999.1" in done.err
    finally:
        path.write_text(before)


def test_a_destroy_asks_for_the_name_and_leaves_what_is_to_be_kept_and_nothing_else(applied: AwsSite) -> None:
    parts, clients = applied.output()["site"], applied.emulator.client
    done = applied.orthweb("destroy")
    assert done.status == 2 and "--confirm clinic" in done.err
    assert "This destroys the index of all images" in done.out and "This destroys a bucket" not in done.out
    assert "This keeps the images and the key that opens them" in done.out
    # As long as the site is there, the only record of it is not deleted.
    done = applied.orthweb("--here", "down", "--purge", "--yes")
    assert done.status == 2 and "orthweb destroy" in done.err
    done = applied.orthweb("destroy", "--confirm", "clinic")
    assert done.status == 0, done.all
    assert "nothing else of it is left on AWS" in done.err
    buckets = [parts["bucket"], parts["log_bucket"]]
    (snapshot,) = clients("rds").describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    kept = dict(re.findall(r"^kept, and paid for: ([a-z ]+): (arn:.*)$", done.out, re.MULTILINE))
    # Which AWS deletes by itself, and the emulator has one.
    kept.pop("an automated backup of the database", None)
    assert kept == {
        "the images": f"arn:aws:s3:::{buckets[0]}",
        "the logs": f"arn:aws:s3:::{buckets[1]}",
        "the key": parts["kms_key"],
        "a snapshot of the database": snapshot["DBSnapshotArn"],
    }
    assert sorted(each["Name"] for each in clients("s3").list_buckets()["Buckets"]) == sorted(buckets)
    assert clients("kms").describe_key(KeyId=parts["kms_key"])["KeyMetadata"]["KeyState"] == "Enabled"
    assert not clients("rds").describe_db_instances()["DBInstances"]
    assert not clients("ec2").describe_addresses()["Addresses"]
    assert applied.orthweb("output").status == 1
    assert "nothing to destroy" in applied.orthweb("destroy", "--confirm", "clinic").err


def test_a_site_of_the_same_name_begins_anew_and_says_what_an_earlier_one_has_left(applied: AwsSite) -> None:
    # Otherwise an apply would fail at it when half of the site is made.
    aliases = applied.emulator.client("kms").list_aliases()["Aliases"]
    assert not [each for each in aliases if each["AliasName"] == "alias/clinic"]
    done = applied.orthweb("plan")
    assert done.status == 0 and "the new site begins empty" in done.err, done.all
    for what in ("the images (arn:aws:s3:::", "the key (arn:aws:kms:", "a snapshot of the database (arn:aws:rds:"):
        assert what in done.err

"""The guide's whole path: `orthweb apply` makes a site on an emulator of AWS, and its hosts really boot.

What differs from EC2 is said in `machine` and `cloud`, and in docs/aws-hosts.md.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from aws_machines import ROLES, Clinic, bundle_with_images, clinic, orthanc_images
from cloud import cloud, denied
from doors import site_authority
from emulator import emulator
from ground import Ground
from harness import eventually
from images import BROKEN_ORTHANC, NEWER_ORTHANC
from network import Network
from own_certificate import DAY, NOW
from polling import polling
from traffic import SLOW, make_images, sending

pytest_plugins = ("host_fixtures",)

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def site(ground: Ground, network: Network) -> Iterator[Clinic]:
    """A site on AWS with both its hosts."""
    with emulator() as aws, cloud(ground, network, aws) as around, clinic(ground, around) as made:
        yield made


def test_apply_waits_for_both_hosts_and_finds_the_site_well(site: Clinic) -> None:
    for role in ROLES:
        assert f"{role}: healthy: {role} of clinic" in site.said, site.said
    assert "the site is well" in site.said, site.said
    assert "site_address = " in site.said


def test_the_host_says_how_it_is_in_its_log_on_the_console_and_in_status(site: Clinic) -> None:
    host = site.machines["primary"]
    assert site.state_of("primary")["state"] == "healthy"
    assert "healthy: primary of clinic" in host.console
    shown = json.loads(site.orthweb("status", "--json").out)
    assert shown["host_states"]["primary"]["state"] == "healthy"


def test_no_secret_leaves_the_hosts_memory(site: Clinic) -> None:
    values = site.values()
    known = site.secret(values["database"]["secret"])["password"], site.password()
    host = site.machines["primary"]
    told = [site.user_data(), host.console, host.sh("journalctl --no-pager"), host.sh("docker inspect $(docker ps -q)")]
    told.append(host.sh("grep -rIl -e PRIVATE /etc/orthweb /var/lib/orthweb || true"))
    for secret in known:
        assert not any(secret in text for text in told)
        # Everything but the RAM disks, on which the kernel's own folders lie as well.
        found = host.run("grep", "-rIlF", "--", secret, "/etc", "/opt", "/var/lib/orthweb", "/var/log", "/root").out
        assert not found
    assert host.sh("stat -f -c %T /run/orthweb").strip() == "tmpfs"
    assert not host.sh("find /run/orthweb/orthanc-1 /run/orthweb/envoy -type f -perm /077").strip()


def test_what_is_stored_through_one_host_is_read_through_the_other(site: Clinic, tmp_path: Path) -> None:
    images = make_images(tmp_path, 5)
    with sending(site, images, senders=1, retry=False) as transfer:
        transfer.finish()
    assert transfer.complete, transfer.troubles
    other = site.machines["secondary"]
    there = other.run(
        "curl", "-sf", "--cacert", "/dev/stdin", "-u", f"admin:{site.password()}",
        "--connect-to", f"{site.host}:443:127.0.0.1:443", f"https://{site.host}/instances",
        input=site.ca.read_bytes(),
    )  # fmt: skip
    assert there.status == 0, there.all
    assert {image.orthanc_id for image in images} <= set(json.loads(there.out))
    objects = site.client("s3").list_objects_v2(Bucket=site.parts["bucket"])["KeyCount"]
    assert objects >= len(images)


def test_a_second_host_up_changes_nothing(site: Clinic) -> None:
    host = site.machines["primary"]
    before = host.sh("docker ps --quiet --no-trunc")
    done = host.run("orthweb", "host", "up")
    assert done.status == 0, done.all
    assert "nothing had to change" in done.err
    assert host.sh("docker ps --quiet --no-trunc") == before


def test_a_rotated_password_and_certificate_are_taken_and_nobody_is_interrupted(site: Clinic, tmp_path: Path) -> None:
    values, host = site.values(), site.machines["primary"]
    arn = values["database"]["secret"]
    known, password = site.secret(arn), secrets.token_urlsafe(24) + "$:\\"
    before, images = _serial(site), make_images(tmp_path, 40)
    with polling(site) as polls, sending(site, images, senders=1, retry=False, environment=SLOW) as transfer:
        transfer.reach(2)
        site.cloud.database.rotate(known["username"], password)
        done = site.orthweb("certs", "rotate")
        assert done.status == 0, done.all
        with host.meanwhile("orthweb", "host", "refresh") as refresh:
            eventually(lambda: site.says("waiting", "refuses the password"), 30, "the host to wait for a password")
            site.put_secret(arn, {**known, "password": password})
            done = refresh.result()
        assert done.status == 0, done.all
        transfer.finish()
        eventually(lambda: _serial(site) != before, 20, "the new certificate")
    assert not polls.failures
    assert (transfer.statuses, transfer.troubles) == ([0], [])
    # A replica that starts now has only the new password.
    host.sh("docker kill $(docker ps -q --filter label=com.docker.compose.service=orthanc-1)")
    assert host.run("orthweb", "host", "up").status == 0
    site.machines["secondary"].run("orthweb", "host", "refresh")


def test_an_expired_certificate_is_told_of_until_it_is_replaced(site: Clinic) -> None:
    host, arn = site.machines["primary"], site.values()["secrets"]["server-certificate"]
    expired = site_authority(site).issue_server([site.host], days=1, now=NOW - 10 * DAY)
    site.put_secret(arn, {"certificate": expired.fullchain_pem.decode(), "key": expired.key_pem.decode()})
    assert host.run("orthweb", "host", "refresh").status == 0
    assert site.says("healthy", "its certificate has expired: 'orthweb certs rotate' makes another")
    shown = site.orthweb("status")
    assert "its certificate has expired" in shown.all
    assert site.orthweb("certs", "rotate").status == 0
    assert host.run("orthweb", "host", "refresh").status == 0
    assert not site.says("healthy", "expired")


def test_an_upgrade_takes_another_image_replica_by_replica_and_goes_back_from_one_that_does_not_work(
    site: Clinic, tmp_path: Path
) -> None:
    host, images = site.machines["primary"], make_images(tmp_path, 40)
    site.tell(images={"orthanc": NEWER_ORTHANC, "envoy": None})
    done = host.run("orthweb", "host", "upgrade")
    assert done.status == 1 and "may change the database's schema" in done.err and "add --schema" in done.err
    with polling(site) as polls, sending(site, images, senders=1, retry=False, environment=SLOW) as transfer:
        transfer.reach(2)
        done = host.run("orthweb", "host", "upgrade", "--schema", timeout=300)
        assert done.status == 0, done.all
        transfer.finish()
    assert not polls.failures
    assert (transfer.statuses, transfer.troubles) == ([0], [])
    assert orthanc_images(host) == {NEWER_ORTHANC}
    site.tell(images={"orthanc": BROKEN_ORTHANC, "envoy": None})
    with polling(site) as polls:
        done = host.run("orthweb", "host", "upgrade", timeout=300)
    assert done.status == 1
    assert "orthanc-1 does not become healthy" in done.err and f"the host runs {NEWER_ORTHANC} again" in done.err
    assert not polls.failures
    assert orthanc_images(host) == {NEWER_ORTHANC}
    site.tell(images={"orthanc": NEWER_ORTHANC, "envoy": None})
    assert host.run("orthweb", "host", "refresh").status == 0
    assert site.state_of("primary")["state"] == "healthy"


def test_another_bundle_and_its_images_are_taken_on_request_and_one_that_was_tampered_with_is_refused(
    site: Clinic, folder: Path
) -> None:
    host, bundle, image = site.machines["primary"], site.values()["bundle"], "orthweb.test/orthanc:bundled"
    host.sh(f"docker tag {NEWER_ORTHANC} {image}")
    packed = bundle_with_images(folder, host, image)
    # Now nobody has an image of this name, and no registry of this name is to be had.
    host.sh(f"docker rmi --no-prune {image}")
    other = hashlib.sha256(packed).hexdigest()
    site.put_object("host/other.tar.gz", packed + b"tampered")
    site.tell(bundle={"key": "host/other.tar.gz", "sha256": other}, images={"orthanc": image, "envoy": None})
    assert host.run("orthweb", "host", "refresh").status == 0
    assert site.says("healthy", f"a newer bundle is there ({other[:12]})")
    done = host.run("orthweb", "host", "upgrade")
    assert done.status == 1
    assert "has another SHA-256 than the site says, and is refused" in done.err
    assert host.sh("readlink /opt/orthweb/current").strip() == bundle["sha256"]
    site.put_object("host/other.tar.gz", packed)
    done = host.run("orthweb", "host", "upgrade", timeout=300)
    assert done.status == 0, done.all
    assert host.sh("readlink /opt/orthweb/current").strip() == other
    assert orthanc_images(host) == {image}
    assert host.run("orthweb", "host", "up").status == 0


_NO_PERMISSION = '{"__type": "AccessDeniedException", "Message": "not authorized to perform this"}'
_SKEWED = "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference is too large.</Message></Error>"


@pytest.mark.parametrize(
    ("when", "answer", "said"),
    [
        ("Host: secretsmanager.", denied(_NO_PERMISSION), "lacks a permission (secretsmanager:GetSecretValue)"),
        ("GET /host/values.json", denied(), "values.json: the host's role lacks a permission (s3:GetObject)"),
        ("GET /host/values.json", "", "values.json: cannot be reached"),
        ("GET /host/values.json", denied(_SKEWED), "this host's clock says"),
    ],
    ids=["no-secret", "no-object", "cut-off", "clock"],
)
def test_what_aws_refuses_is_one_line_and_the_site_goes_on(site: Clinic, when: str, answer: str, said: str) -> None:
    host = site.machines["primary"]
    site.cloud.fail(when, answer=answer)
    try:
        done = host.run("orthweb", "host", "refresh", timeout=200)
    finally:
        site.cloud.mend()
    assert done.status == 1
    assert said in done.err and "Traceback" not in done.all
    assert said in site.state_of("primary")["message"]
    assert site.status_code("/healthz", user=None) == 200
    assert host.run("orthweb", "host", "refresh").status == 0
    assert site.state_of("primary")["state"] == "healthy"


def test_changed_users_and_settings_are_taken_and_a_secret_of_another_shape_is_named(
    site: Clinic,
) -> None:
    host, values = site.machines["primary"], site.values()
    arn, described, password = values["secrets"]["users"], values["description"], secrets.token_urlsafe(16)
    known = site.secret(arn)
    site.put_secret(arn, {**known, "admin": password})
    site.tell(description={**described, "orthanc": {**described["orthanc"], "settings": {"Name": "Renamed"}}})
    with polling(site, ["/healthz"]) as polls:
        done = host.run("orthweb", "host", "refresh", timeout=200)
    assert (done.status, polls.failures) == (0, []), done.all
    assert "what is new was taken" in done.err
    told = site.curl("/system", "--user", f"admin:{password}", user=None)
    assert json.loads(told.out)["Name"] == "Renamed"
    assert site.status_code("/system") == 401
    site.put_secret(arn, {"somebody": "a-password"})
    done = host.run("orthweb", "host", "refresh")
    assert done.status == 1
    assert "has no admin" in done.err and "a-password" not in done.all
    site.put_secret(arn, known)
    site.tell(description=described)
    assert host.run("orthweb", "host", "refresh", timeout=200).status == 0


@pytest.mark.parametrize(
    ("full", "said"),
    [
        ("/var/lib/docker", "0 MB are free and 1024 MB are needed: 'docker system prune --all' removes"),
        ("/var/lib/orthweb", "/var/lib/orthweb/"),
        ("/run/orthweb", "/run/orthweb/"),
    ],
)
def test_a_full_disk_is_one_line_and_the_site_goes_on(site: Clinic, full: str, said: str) -> None:
    host = site.machines["primary"]
    # The command alone sees another disk there: what runs keeps its own.
    script = f"mount -t tmpfs -o size=64k full {full} && head -c 64k /dev/zero >{full}/zero; exec orthweb host up"
    done = host.run("unshare", "--mount", "sh", "-c", script)
    assert done.status == 1, done.all
    assert said in done.err and "Traceback" not in done.all, done.all
    assert site.status_code("/healthz", user=None) == 200
    assert host.run("orthweb", "host", "up").status == 0


def test_a_host_that_is_killed_while_it_starts_goes_on_where_it_was(site: Clinic) -> None:
    host = site.machines["secondary"]
    host.sh("systemctl stop orthweb-host")
    assert site.state_of("secondary")["state"] == "stopped"
    for step in ("orthanc-1", "orthanc-2", "envoy"):
        host.sh("systemctl start --no-block orthweb-host")
        eventually(lambda step=step: site.state_of("secondary")["message"] == step, 90, f"{step} to start")  # type: ignore[misc]
        host.sh("systemctl kill --signal=KILL orthweb-host")
        eventually(lambda: host.run("pgrep", "-f", "orthweb host up").status == 1, 30, "its processes to end")
    # Two at once: one waits for the other.
    with host.meanwhile("orthweb", "host", "up") as up, host.meanwhile("orthweb", "host", "refresh") as refresh:
        done = [up.result(), refresh.result()]
    assert [each.status for each in done] == [0, 0], done
    assert sum("waiting for host" in each.err for each in done) >= 1
    assert site.state_of("secondary")["state"] == "healthy"


def test_a_host_that_restarts_is_healthy_again_by_itself(site: Clinic) -> None:
    host = site.machines["secondary"]
    host.reboot()
    host.booted()
    site.wait_healthy("secondary")


def test_a_host_that_dies_while_images_come_in_loses_none_that_was_acknowledged(site: Clinic, tmp_path: Path) -> None:
    images = make_images(tmp_path, 200)
    site.wait_healthy("secondary")
    with sending(site, images, senders=2) as transfer:
        transfer.reach(20)
        site.machines["primary"].cut_off()
        done = site.orthweb("failover", "--to", "secondary")
        assert done.status == 0, done.all
        transfer.finish(240)
    assert transfer.complete
    assert {image.orthanc_id for image in images} <= set(site.instances())


def _serial(site: Clinic) -> str:
    done = site.curl("/healthz", "--insecure", "--verbose", user=None)
    lines = [line for line in done.err.splitlines() if "expire date" in line or "start date" in line]
    return "\n".join(lines)

"""Shows that the ground on which hosts are tested holds: the engine, the images, the machine, the stand-ins for AWS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cloud import cloud, denied
from emulator import REGION, emulator
from engine import Engine
from ground import Ground, environment, own_ground, sh
from harness import eventually, free_port, run
from images import BROKEN_ORTHANC, ORTHANC, POSTGRESQL, images_data
from machine import Machine, machine
from network import Network
from scripted_archive import CT
from small_stack import COMPOSE, PROXY, SETTINGS

BUCKET = f"https://clinic-bucket.s3.{REGION}.amazonaws.com"
DATABASE = f"clinic.aaaaaaaaaa.{REGION}.rds.amazonaws.com"
USER_DATA = """#cloud-config
packages: [tree]
write_files: [{path: /etc/written, content: by cloud-init}]
runcmd: ["date >>/var/lib/ran"]
"""
# A run that is killed while its network, a folder and a program in a namespace are there.
KILLED = """
import subprocess, time
from ground import own_ground
from network import network

pytest_plugins = ("host_fixtures",)
with own_ground(range(100, 200)) as ground, network(ground) as net:
    subprocess.Popen([*net.join().enter, "sleep", "600"])
    (ground.run / "left").mkdir()
    (ground.disk / "left").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "left", ground.run / "left"], check=True)
    print(ground.name, flush=True)
    time.sleep(600)
"""
# As a host of the site's would: without keys, so that the instance's role is asked.
STORAGE = {
    "AuthenticationEnabled": False,
    "AwsS3Storage": {"BucketName": "clinic-bucket", "Region": REGION, "RootPath": "dicom"},
}


def test_the_engine_runs_compose_and_nothing_of_it_is_in_this_machines_network(engine: Engine) -> None:
    assert engine.compose("version", "--short").lstrip("v").split(".")[0] == "2"
    info = json.loads(engine.docker("info", "--format", "{{json .}}"))
    assert info["MemoryLimit"] and info["PidsLimit"]


def test_what_a_killed_run_left_is_tidied_by_the_next() -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, env=with_these_modules()) as other:
        assert other.stdout is not None
        name = other.stdout.readline().decode().strip()
        other.kill()
    assert name in sh("ip", "netns", "list")
    with own_ground(range(100, 200)) as next_one:
        assert next_one.name == name
        assert f"{name}-" not in sh("ip", "netns", "list")
        assert f"{name}@" not in sh("ip", "-brief", "link")
        assert not list(next_one.run.iterdir()) and not list(next_one.disk.iterdir())


@pytest.mark.timeout(600)
def test_the_images_run_as_the_public_ones_do_and_one_is_broken(engine: Engine, folder: Path) -> None:
    port = 443 if engine.place else free_port()
    for name, text in {
        "compose.yaml": COMPOSE.replace("PORT", str(port)),
        "envoy.yaml": json.dumps(PROXY),
        "etc/orthanc.json": f"// a comment\n{json.dumps(SETTINGS)}",
        "secrets/users.json": json.dumps({"RegisteredUsers": {"admin": "secret"}}),
        "secrets/password": "pass$word\n",
    }.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        os.chown(path, 999, 999)
        path.chmod(0o600)
    os.chown(folder / "envoy.yaml", 101, 101)
    folder.chmod(0o755)
    file = ("--file", folder / "compose.yaml")
    try:
        engine.compose(*file, "up", "--detach", "--wait")
        address = f"http://{engine.address}:{port}/system"
        done = eventually(lambda: curl(address, "--user", "admin:secret"), 20, "Orthanc through Envoy")
        system = json.loads(done)
        assert (system["Name"], system["DatabaseBackendPlugin"] != "") == ("from a variable", True)
        assert curl(f"http://{engine.address}:{port}/dicom-web/studies", "--user", "admin:secret").strip() == "[]"
        status = engine.run("docker", "run", "--rm", "--read-only", "--tmpfs", "/tmp", BROKEN_ORTHANC).status
        assert status == 1
    finally:
        engine.compose(*file, "down", "--volumes", "--timeout", "1")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_machine_boots_with_cloud_init_and_its_containers_reach_what_stands_in_for_aws(
    ground: Ground, network: Network
) -> None:
    with emulator() as aws, cloud(ground, network, aws) as stand_in:
        s3 = aws.client("s3")
        s3.create_bucket(Bucket="clinic-bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        stand_in.database.make("orthanc", "it's secret", "index")
        with machine(ground, network, USER_DATA, images_data(ground, network)) as host:
            assert host.booted() == "running", host.sh("systemctl --failed")
            status = json.loads(host.sh("cloud-init status --format json"))
            assert (status["status"], status["errors"]) == ("done", []), status
            assert "Datasource DataSourceEc2Local" in host.console
            assert host.sh("cat /etc/written; tree --version").startswith("by cloud-init")
            only_tokens_are_answered(host)
            an_orthanc_with_the_instances_role_keeps_its_objects_in_the_bucket(host)
            kept = [each["Key"] for each in s3.list_objects_v2(Bucket="clinic-bucket")["Contents"]]
            assert kept and all(key.startswith("dicom/") for key in kept)
            the_database_shows_a_certificate_of_its_name(host)

            stand_in.fail("Host: clinic-bucket.", answer=denied())
            assert "AccessDenied" in host.sh(f"curl -s {BUCKET}/any")
            stand_in.mend()
            assert "AccessDenied</Code><Message>Access Denied" not in host.sh(f"curl -s {BUCKET}/any")

            host.reboot()
            assert host.booted() == "running"
            host.cut_off()
            host.boot()
            assert host.booted() == "running"
            assert len(host.sh("cat /var/lib/ran").splitlines()) == 1, "it is the same instance, which was set up"


def only_tokens_are_answered(host: Machine) -> None:
    token = "-X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token"
    where = "http://169.254.169.254/latest/meta-data/iam/security-credentials/"
    assert host.sh(f"curl -s -o /dev/null -w '%{{http_code}}' {where}") == "401"
    assert host.sh(f'curl -sf -H "X-aws-ec2-metadata-token: $(curl -sf {token})" {where}') == "clinic-host"


def an_orthanc_with_the_instances_role_keeps_its_objects_in_the_bucket(host: Machine) -> None:
    (host.root / "root/ct.dcm").write_bytes(CT.read_bytes())
    (host.root / "root/settings").write_text(f"ORTHANC_JSON={json.dumps(STORAGE)}\n")
    host.sh(
        "docker run --detach --name orthanc --env-file /root/settings --read-only --tmpfs /tmp:uid=999 --memory 300m "
        "--tmpfs /run/orthanc/plugins:uid=999,exec --tmpfs /var/lib/orthanc/db:uid=999 --publish 8042:8042 "
        f"--env GENERATE_HOST_ID_IF_MISSING=false {ORTHANC}"
    )
    # It is reached from outside of the machine.
    address = f"http://{host.address}:8042"
    eventually(lambda: curl(f"{address}/system"), 60, "Orthanc on the machine")
    limit = host.sh("cat /sys/fs/cgroup/memory/docker/*/memory.limit_in_bytes /sys/fs/cgroup/docker/*/memory.max || :")
    assert limit.split() == [str(300 << 20)]
    answer = host.sh("curl -s --data-binary @/root/ct.dcm http://localhost:8042/instances")
    assert json.loads(answer)["Status"] == "Success", host.sh("docker logs orthanc 2>&1")
    assert len(json.loads(curl(f"{address}/instances"))) == 1
    host.sh("docker rm --force orthanc")


def the_database_shows_a_certificate_of_its_name(host: Machine) -> None:
    words = f"host={DATABASE} user=orthanc dbname=index sslmode=verify-full sslrootcert=/ca.crt"
    rows = host.sh(
        f'docker run --rm --env PGPASSWORD="it\'s secret" -v /etc/ssl/certs/ca-certificates.crt:/ca.crt:ro '
        f"--entrypoint psql {POSTGRESQL} '{words}' -Atc 'SHOW server_version'"
    )
    assert rows.startswith("17.")


def with_these_modules() -> dict[str, str]:
    return environment({"PYTHONPATH": os.pathsep.join(sys.path), "HOME": os.environ["HOME"]})


def curl(address: str, *words: str) -> str:
    """Give what a server answers, or nothing while it doesn't."""
    done = run(["curl", "--silent", "--fail", "--max-time", "5", *words, address])
    return done.out if done.status == 0 else ""

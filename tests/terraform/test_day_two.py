"""Standby, status and sessions of a site on AWS, through the command line.

AWS is an emulator, and the site only looks applied (made_site.py). What answers at the addresses are real servers over
TLS. The emulator lacks: hosts that boot, status checks that fail, a new address for a host that has lost the site's.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from emulator import REGION, aws_site
from harness import eventually
from made_hosts import boots, failed
from made_site import MadeSite, answering

pytest_plugins = ("aws_fixtures",)

# Standby -------------------------------------------------------------------------------------------------------------


def test_the_standby_is_stopped_and_started_and_both_say_what_that_means(made: MadeSite) -> None:
    done = made.site.orthweb("standby", "stop")
    assert done.status == 0 and made.told("secondary")["State"]["Name"] == "stopped", done.all
    assert "hours of a t3.medium" in done.err and "minutes instead of seconds" in done.err
    assert "stopped already" in made.site.orthweb("standby", "stop").err
    with boots(made, "secondary"):
        done = made.site.orthweb("standby", "start", "--timeout", "60")
    assert done.status == 0 and made.told("secondary")["State"]["Name"] == "running", done.all
    assert "a failover to it takes seconds" in done.err


def test_a_standby_that_does_not_get_healthy_is_a_failure_without_talk_of_force(steady: MadeSite) -> None:
    done = steady.site.orthweb("standby", "start", "--timeout", "1")
    failed(done, "secondary is not healthy", "connection refused")
    assert "--force" not in done.all


def test_the_host_with_the_address_is_never_stopped(steady: MadeSite) -> None:
    done = steady.site.orthweb("standby", "stop", "primary")
    failed(done, "primary has the site's address", "'orthweb failover --to secondary' first")
    assert steady.told("primary")["State"]["Name"] == "running"


def test_a_standby_that_is_gone_can_be_neither_stopped_nor_started(made: MadeSite) -> None:
    made.run_away("secondary")
    for command in ("stop", "start"):
        failed(made.site.orthweb("standby", command), "not there any more", "'orthweb apply'")


# Status --------------------------------------------------------------------------------------------------------------


def test_the_status_of_a_site_that_is_well(steady: MadeSite) -> None:
    with answering(steady, steady.address):
        done = steady.site.orthweb("status", "--json")
        shown = steady.site.orthweb("status")
    assert done.status == 0 and shown.status == 0, done.all + shown.all
    told = json.loads(done.out)
    assert told["healthy"] and told["troubles"] == []
    assert told["address"] == {"address": steady.address, "host": "primary", "web": True, "dicom": True}
    assert [(host["role"], host["holds_address"]) for host in told["hosts"]] == [
        ("primary", True),
        ("secondary", False),
    ]
    assert (told["database"]["status"], told["database"]["multi_az"]) == ("available", True)
    assert [alarm["name"] for alarm in told["alarms"]] == [
        "clinic-database-disk", "clinic-primary-status", "clinic-secondary-status",
    ], "and none of the site clinic-two"  # fmt: skip
    assert told["certificate"]["days_left"] > 300 and told["certificate"]["seen"] == "at the address"
    assert told["versions"]["postgresql"] == "17.4" and told["versions"]["applied_by"] == "0.1.0"
    for word in ("clinic", "healthy", f"address {steady.address}, at primary", "PostgreSQL 17.4", "days left", REGION):
        assert word in shown.out


def test_the_status_says_what_is_wrong_and_fails(made: MadeSite) -> None:
    made.site.emulator.client("cloudwatch").set_alarm_state(
        AlarmName="clinic-database-disk", StateValue="ALARM", StateReason="made so"
    )
    made.site.emulator.client("rds").stop_db_instance(DBInstanceIdentifier="clinic")
    made.ec2.stop_instances(InstanceIds=[made.hosts["primary"]])
    made.run_away("secondary")
    done = made.site.orthweb("status", "--json")
    assert done.status == 1, done.all
    troubles = "\n".join(json.loads(done.out)["troubles"])
    for word in (
        "primary, which has the address, is stopped", "secondary is not there any more", "connection refused",
        "the database is stopped", "alarm clinic-database-disk: clinic-database-disk is not well",
    ):  # fmt: skip
        assert word in troubles
    assert json.loads(done.out)["certificate"]["seen"] == "in Secrets Manager"
    assert "not healthy" in made.site.orthweb("status").out


def test_a_stopped_standby_is_no_trouble(made: MadeSite) -> None:
    made.ec2.stop_instances(InstanceIds=[made.hosts["secondary"]])
    with answering(made, made.address):
        assert made.site.orthweb("status").status == 0


# Sessions ------------------------------------------------------------------------------------------------------------


def programs(folder: Path, *names: str) -> str:
    """A PATH of programs that print what they were called with, and of Terraform."""
    folder.mkdir()
    for name in names:
        (folder / name).write_text('#!/bin/sh\necho "$0 $*"\n')
        (folder / name).chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_connect_opens_a_session_on_the_host_with_the_address_or_on_the_one_that_is_named(
    steady: MadeSite, tmp_path: Path
) -> None:
    path = programs(tmp_path / "bin", "aws", "session-manager-plugin")
    done = steady.site.orthweb("connect", PATH=path)
    assert done.status == 0, done.all
    target = steady.hosts["primary"]
    assert done.out == f"{tmp_path}/bin/aws ssm start-session --target {target} --region {REGION}\n"
    assert f"--target {steady.hosts['secondary']} " in steady.site.orthweb("connect", "secondary", PATH=path).out


def test_connect_says_what_is_missing_and_which_page_installs_it(steady: MadeSite, tmp_path: Path) -> None:
    done = steady.site.orthweb("connect", PATH=programs(tmp_path / "none"))
    failed(done, "aws is not on this machine: https://docs.aws.amazon.com/cli/")
    done = steady.site.orthweb("connect", PATH=programs(tmp_path / "half", "aws"))
    failed(done, "session-manager-plugin is not on this machine: https://docs.aws.amazon.com/systems-manager/")


def test_connect_to_a_stopped_host_says_so(made: MadeSite, tmp_path: Path) -> None:
    made.ec2.stop_instances(InstanceIds=[made.hosts["secondary"]])
    path = programs(tmp_path / "bin", "aws", "session-manager-plugin")
    failed(made.site.orthweb("connect", "secondary", PATH=path), "secondary is stopped", "'orthweb standby start'")


@pytest.mark.parametrize(
    ("more", "key", "profile"),
    [
        ("", "~/.ssh/id_rsa", []),
        (
            'profile: "100% o\'clinic", hosts: {pubkey_path: keys of ours/host.pub}',
            "{folder}/keys of ours/host",
            ["--profile", "100% o'clinic"],
        ),
    ],
)
def test_ssh_reads_the_block_and_goes_through_session_manager(
    steady: MadeSite, folder: Path, more: str, key: str, profile: list[str]
) -> None:
    program = shutil.which("ssh")
    assert program, "OpenSSH's client is needed: sudo apt-get install openssh-client"
    # A site that has not been applied: the block needs no AWS.
    site = aws_site(folder, steady.site.emulator, f"name: clinic\naws: {{region: {REGION}, {more}}}\n")
    done = site.orthweb("connect", "--ssh-config", AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert done.status == 0, done.all
    block = folder / "ssh.config"
    block.write_text(done.out)

    def ssh(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{folder}/bin:/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
        return subprocess.run(
            [program, "-F", block, *words], env=environment, capture_output=True, text=True, timeout=30, check=False
        )

    read = ssh("-G", "i-0abc")
    assert read.returncode == 0, read.stderr
    assert {"user admin", f"identityfile {key.format(folder=site.folder)}"} <= set(read.stdout.splitlines())
    assert "proxycommand" not in ssh("-G", "example.org").stdout, "other hosts are none of its business"
    programs(folder / "bin")
    (folder / "bin" / "aws").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{folder}/words"\n')
    (folder / "bin" / "aws").chmod(0o755)
    assert ssh("-o", "BatchMode=yes", "i-0abc", "true").returncode == 255, "nobody answers"
    words = ["ssm", "start-session", "--region", REGION, *profile, "--document-name", "AWS-StartSSHSession"]
    words += ["--target", "i-0abc", "--parameters", "portNumber=22"]
    assert (folder / "words").read_text().splitlines() == words


def test_the_boot_log_is_followed_until_ctrl_c(steady: MadeSite) -> None:
    logs, group = steady.site.emulator.client("logs"), "/orthweb/clinic/boot"

    def write(role: str, text: str) -> None:
        logs.put_log_events(
            logGroupName=group, logStreamName=steady.hosts[role],
            logEvents=[{"timestamp": int(time.time() * 1000), "message": text}],
        )  # fmt: skip

    for role in steady.hosts:
        logs.create_log_stream(logGroupName=group, logStreamName=steady.hosts[role])
    write("primary", "the bundle is there")
    shown = steady.site.folder / "log.txt"
    with shown.open("wb") as written:
        command = [sys.executable, "-m", "orthweb", "connect", "--log", "-C", str(steady.site.folder)]
        process = subprocess.Popen(command, env=steady.site.environment, stdout=written, stderr=subprocess.STDOUT)
        try:
            eventually(lambda: "primary: the bundle is there\n" in shown.read_text(), 30, "the first line")
            write("secondary", "docker runs")
            eventually(lambda: "secondary: docker runs\n" in shown.read_text(), 30, "the second line")
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
    lines = shown.read_text().splitlines()
    assert [line for line in lines if ": " in line] == ["primary: the bundle is there", "secondary: docker runs"]


# Bad input -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["failover", "--to", "third"], "--to: third: no such host: there are primary and secondary"),
        (["standby", "stop", "third"], "standby stop: third: no such host"),
        (["connect", "third"], "connect: third: no such host"),
        (["connect", "--log", "--ssh-config"], "--ssh-config and --log do not go together"),
        (["failover", "--timeout", "0"], "--timeout"),
    ],
)
def test_what_cannot_be_meant_is_refused(steady: MadeSite, words: list[str], told: str) -> None:
    done = steady.site.orthweb(*words)
    assert done.status == 2 and told in done.err and "Traceback" not in done.err, done.all


@pytest.mark.parametrize(
    "words", [["failover"], ["standby", "stop"], ["standby", "start"], ["status"], ["connect", "--log"]]
)
def test_a_site_that_was_not_applied_says_so(steady: MadeSite, folder: Path, words: list[str]) -> None:
    failed(aws_site(folder, steady.site.emulator).orthweb(*words), "clinic has not been applied", "'orthweb apply'")


@pytest.mark.parametrize("words", [["failover"], ["standby", "stop"], ["connect"]])
def test_a_site_on_this_machine_has_no_day_two_on_aws(steady: MadeSite, folder: Path, words: list[str]) -> None:
    site = aws_site(folder, steady.site.emulator, "name: clinic\n")
    done = site.orthweb(*words)
    assert done.status == 2 and "aws: is missing" in done.err, done.all

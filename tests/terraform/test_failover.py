"""Failover of a site on AWS, through the command line.

AWS is an emulator, and the site only looks applied (made_site.py). What answers at the addresses are real servers over
TLS. The emulator lacks: hosts that boot, status checks that fail, a new address for a host that has lost the site's.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest
from harness import eventually
from made_hosts import boots, both_answer, failed
from made_site import MadeSite, answering

pytest_plugins = ("aws_fixtures",)


def test_a_failover_moves_the_address_to_a_healthy_host_and_says_how_long_each_step_took(made: MadeSite) -> None:
    with both_answer(made):
        done = made.site.orthweb("failover")
    assert done.status == 0, done.all
    assert made.at() == "secondary"
    assert f"{made.address} is at secondary, and the site answers there" in done.out
    for step in (
        "looked at both hosts",
        "secondary is ready",
        f"moved {made.address} to secondary",
        "asked for the site",
    ):
        assert any(line.startswith(step) and line.endswith(" s") for line in done.err.splitlines()), done.err
    entry = json.loads((made.site.state / "history.jsonl").read_text().splitlines()[-1])
    assert (entry["command"], entry["result"]) == ("failover", "done")


def test_a_failover_as_json_has_what_was_seen_and_done(made: MadeSite) -> None:
    with both_answer(made):
        done = made.site.orthweb("failover", "--json")
    told = json.loads(done.out)
    assert (told["target"], told["moved"], told["verified"], told["complaint"]) == ("secondary", True, True, None)
    assert told["hosts"]["secondary"]["from_outside"] == {"well": True, "complaint": None}
    assert set(told["seconds"]) == {
        "looked at both hosts", "secondary is ready", f"moved {made.address} to secondary",
        "asked for the site from outside",
    }  # fmt: skip


def test_a_stopped_host_is_started_first(made: MadeSite) -> None:
    made.ec2.stop_instances(InstanceIds=[made.hosts["secondary"]])
    with answering(made, made.address), boots(made, "secondary"):
        done = made.site.orthweb("failover", "--timeout", "60")
    assert done.status == 0, done.all
    assert "secondary: it is stopped; starting it" in done.err
    assert made.told("secondary")["State"]["Name"] == "running" and made.at() == "secondary"


def test_an_address_that_is_there_already_is_only_verified(steady: MadeSite) -> None:
    with answering(steady, steady.address):
        done = steady.site.orthweb("failover", "--to", "primary")
    assert done.status == 0, done.all
    assert f"{steady.address} is at primary already" in done.err and "moved" not in done.err


def test_a_site_that_does_not_answer_where_its_address_is_already_is_a_failure(steady: MadeSite) -> None:
    failed(
        steady.site.orthweb("failover", "--to", "primary", "--timeout", "1"), "does not answer", "connection refused"
    )


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ({"status": 503}, "/healthz answers 503: no Orthanc is well"),
        ({"dicom": False}, "DICOM: nobody listens there"),
        ({"names": ["other.example"]}, "its certificate is not good"),
    ],
)
def test_the_address_stays_where_it_is_when_the_other_host_is_sick(
    steady: MadeSite, how: dict[str, object], complaint: str
) -> None:
    own = steady.own["secondary"]
    with answering(steady, steady.address), answering(steady, own, **how):  # type: ignore[arg-type]  # one of its options
        done = steady.site.orthweb("failover", "--timeout", "1")
    failed(done, "secondary is not healthy", complaint, "--force")
    assert steady.at() == "primary"


def test_a_sick_host_gets_the_address_by_force_and_the_site_is_said_not_to_answer(made: MadeSite) -> None:
    done = made.site.orthweb("failover", "--force", "--timeout", "1")
    failed(done, "warning: secondary: HTTPS: connection refused", "'orthweb failover --to primary' goes back")
    assert made.at() == "secondary"


def test_back_where_a_host_has_no_address_of_its_own_the_checks_of_ec2_have_to_do(made: MadeSite) -> None:
    with both_answer(made):
        assert made.site.orthweb("failover").status == 0
        done = made.site.orthweb("failover", "--timeout", "1")
    assert done.status == 0, done.all
    assert "warning: primary: it has no public address of its own at the moment" in done.err
    assert made.at() == "primary"


def test_without_the_authority_a_failover_warns_moves_and_does_not_call_it_verified(made: MadeSite) -> None:
    (made.site.state / "pki/ca.crt").unlink()
    done = made.site.orthweb("failover")
    failed(done, "warning: secondary: the certificate of the site's authority is not on this machine", "ca.crt")
    assert made.at() == "secondary"
    assert not (made.site.state / "pki/ca.crt").exists(), "no other authority was made"


def test_a_machine_without_the_authoritys_key_asks_for_https_alone(made: MadeSite) -> None:
    (made.site.state / "pki/ca.key").unlink()
    own = made.own["secondary"]
    with answering(made, made.address, dicom=False), answering(made, own, dicom=False):
        done = made.site.orthweb("failover")
    assert done.status == 0, done.all


def test_a_host_that_is_gone_never_gets_the_address(made: MadeSite) -> None:
    made.run_away("secondary")
    failed(made.site.orthweb("failover", "--force"), "the instance is not there any more", "'orthweb apply'")
    assert made.at() == "primary"


def test_a_rehearsal_says_what_would_be_done_and_does_nothing(made: MadeSite) -> None:
    with both_answer(made):
        done = made.site.orthweb("failover", "--dry-run")
        assert done.status == 0 and "would find secondary ready, then move" in done.out, done.all
        told = json.loads(made.site.orthweb("failover", "--dry-run", "--to", "primary", "--json").out)
        assert (told["would"], told["dry_run"]) == ("verify", True)
        made.ec2.stop_instances(InstanceIds=[made.hosts["secondary"]])
        assert "would start secondary" in made.site.orthweb("failover", "--dry-run").out
    assert made.at() == "primary" and made.told("secondary")["State"]["Name"] == "stopped"
    made.run_away("secondary")
    failed(made.site.orthweb("failover", "--dry-run"), "not there any more")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_failover_that_is_interrupted_while_it_waits_goes_on(made: MadeSite, how: signal.Signals) -> None:
    with answering(made, made.address):
        told = interrupted(made, "secondary: HTTPS: connection refused", how)
        assert made.at() == "primary" and "the same command goes on from here" in told
        with answering(made, made.own["secondary"]):
            done = made.site.orthweb("failover")
    assert done.status == 0 and made.at() == "secondary", done.all


def test_a_failover_that_is_interrupted_after_the_move_does_not_go_back(made: MadeSite) -> None:
    with answering(made, made.own["secondary"]):
        # Nobody answers at the address yet, so that it waits there.
        interrupted(made, f"moved {made.address} to secondary", signal.SIGINT)
    assert made.at() == "secondary"
    with answering(made, made.address):
        done = made.site.orthweb("failover")
        assert done.status == 0 and made.at() == "secondary", done.all
        assert "going on with the failover to secondary, which was interrupted" in done.err
        # That one has come to its end: the next is one of its own.
        assert "would" in made.site.orthweb("failover", "--dry-run").out
        assert json.loads(made.site.orthweb("failover", "--dry-run", "--json").out)["target"] == "primary"


def test_what_was_interrupted_long_ago_counts_no_more(made: MadeSite) -> None:
    (made.site.state / "failover.json").write_text(json.dumps({"to": "primary", "since": time.time() - 7200}))
    with both_answer(made):
        assert json.loads(made.site.orthweb("failover", "--dry-run", "--json").out)["target"] == "secondary"
        (made.site.state / "failover.json").write_text("{damaged")
        assert made.site.orthweb("failover", "--dry-run").status == 0


def interrupted(made: MadeSite, when: str, how: signal.Signals) -> str:
    """Begin a failover, and interrupt it when it has said something; returns all that it said."""
    log = made.site.folder / "failover.txt"
    with log.open("wb") as written:
        command = [sys.executable, "-m", "orthweb", "failover", "-C", str(made.site.folder)]
        process = subprocess.Popen(command, env=made.site.environment, stdout=written, stderr=subprocess.STDOUT)
        try:
            eventually(lambda: when in log.read_text() or process.poll() is not None, 60, when)
            process.send_signal(how)
            assert process.wait(30) == 130, log.read_text()
        finally:
            process.kill()
            process.wait()
    assert "Traceback" not in log.read_text()
    return log.read_text()

"""What a failover decides, from what was seen of both hosts."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest

from orthweb.aws.failover import Action, Health, Look, Step, choose_target, health, next_step, refusal
from orthweb.aws.hosts import Host
from orthweb.aws.outside import Answer

NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)
LONG_AGO = NOW - datetime.timedelta(days=30)
WELL, MUTE = Answer("", ""), Answer("HTTPS: connection refused: nobody listens there", None)
SILENT = Answer("HTTPS: no answer at all for 5 s", None, silent=True)
UNSEEN = "it has no public address of its own at the moment"


def host(role: str = "secondary", **more: object) -> Host:
    usual = Host(
        role, f"i-{role}", "eu-central-1b", "t3.medium", "running", "ok", "ok", LONG_AGO, "198.51.100.2", False
    )
    return replace(usual, **more)  # type: ignore[arg-type]  # each test names its own


HOLDER = Look(host("primary", holds_address=True, address="198.51.100.1"), WELL)
BROKEN_HOLDER = replace(HOLDER, answer=MUTE)


def step(
    target: Look, waited: float = 0, other: Look | None = HOLDER, timeout: float = 900, force: bool = False
) -> Step:
    return next_step(target, other, NOW, waited, timeout, force)


def test_the_address_goes_at_once_to_a_host_that_answers() -> None:
    assert step(Look(host(), WELL)) == Step(Action.MOVE)


def test_a_host_that_answers_need_not_wait_for_the_checks_of_ec2() -> None:
    started = host(instance_check="initializing", system_check="initializing", started=NOW)
    assert step(Look(started, WELL)) == Step(Action.MOVE)


def test_a_host_that_answers_and_fails_a_check_is_sick() -> None:
    look = Look(host(system_check="impaired"), WELL)
    assert health(look, NOW) == (Health.SICK, "it fails EC2's system status check")
    assert step(look, waited=31).action is Action.REFUSE


@pytest.mark.parametrize(
    ("state", "action"),
    [
        ("stopped", Action.START), ("stopping", Action.WAIT), ("pending", Action.WAIT),
        ("terminated", Action.REFUSE), ("shutting-down", Action.REFUSE), ("gone", Action.REFUSE),
    ],
)  # fmt: skip
def test_what_is_done_first_follows_from_the_state_of_the_instance(state: str, action: Action) -> None:
    assert step(Look(host(state=state))).action is action


def test_a_host_that_has_just_started_is_waited_for_until_the_time_is_over() -> None:
    look = Look(host(started=NOW), MUTE)
    assert step(look, waited=600).action is Action.WAIT
    assert step(look, waited=900).action is Action.REFUSE


def test_a_host_that_was_started_for_a_long_wait_gets_it() -> None:
    look = Look(host(started=NOW - datetime.timedelta(minutes=40)), MUTE)
    assert step(look, waited=2400, timeout=3600).action is Action.WAIT


def test_a_host_that_has_been_up_for_long_and_does_not_answer_is_refused_after_half_a_minute() -> None:
    look = Look(host(), MUTE)
    assert step(look, waited=10).action is Action.WAIT
    assert step(look, waited=30) == Step(Action.REFUSE, MUTE.web)


def test_a_host_that_only_lacks_dicom_is_sick() -> None:
    assert step(Look(host(), Answer("", "DICOM: connection refused")), waited=30).action is Action.REFUSE


def test_a_host_that_nothing_comes_back_from_is_refused_and_told_where_to_call_from() -> None:
    look = Look(host(), SILENT)
    assert step(look, waited=30).action is Action.REFUSE
    assert "web.allowed_cidrs" in refusal(look, SILENT.web).remedy


def test_force_moves_to_a_sick_host_that_runs_and_starts_one_that_does_not() -> None:
    assert step(Look(host(), MUTE), force=True) == Step(Action.MOVE, MUTE.web)
    assert step(Look(host(system_check="impaired"), WELL), force=True).action is Action.MOVE
    assert step(Look(host(state="stopped")), force=True).action is Action.START
    assert step(Look(host(state="pending")), force=True).action is Action.WAIT


def test_force_moves_to_no_host_that_is_not_there() -> None:
    assert step(Look(host(state="gone")), force=True).action is Action.REFUSE


def test_while_the_site_works_there_is_time_for_the_other_host_to_get_an_address_to_look_at() -> None:
    look = Look(host(address=None), unseen=UNSEEN)
    assert step(look, waited=100) == Step(Action.WAIT, UNSEEN)
    assert step(look, waited=300) == Step(Action.MOVE, UNSEEN)


@pytest.mark.parametrize("other", [BROKEN_HOLDER, None])
def test_when_the_site_does_not_work_the_checks_of_ec2_have_to_do_for_a_host_without_an_address(
    other: Look | None,
) -> None:
    assert step(Look(host(address=None), unseen=UNSEEN), other=other) == Step(Action.MOVE, UNSEEN)


@pytest.mark.parametrize("check", ["initializing", "insufficient-data"])
def test_a_host_that_was_not_seen_is_not_taken_before_ec2_has_checked_it(check: str) -> None:
    look = Look(host(address=None, instance_check=check), unseen=UNSEEN)
    assert step(look, other=BROKEN_HOLDER).action is Action.WAIT
    assert step(look, other=BROKEN_HOLDER, waited=900).action is Action.REFUSE


def test_without_the_authority_nobody_waits_for_an_address() -> None:
    assert step(Look(host(), unseen="the authority is not here")).action is Action.MOVE


def test_the_target_is_the_host_without_the_address_and_of_two_the_one_that_runs() -> None:
    primary, secondary = host("primary"), host("secondary")
    holding = replace(primary, holds_address=True)
    assert choose_target({"primary": holding, "secondary": secondary}) == "secondary"
    assert choose_target({"primary": primary, "secondary": replace(secondary, holds_address=True)}) == "primary"
    assert choose_target({"primary": primary, "secondary": secondary}) == "primary"
    assert choose_target({"primary": replace(primary, state="stopped"), "secondary": secondary}) == "secondary"


def test_a_refusal_tells_what_helps() -> None:
    sick = refusal(Look(host(), MUTE), MUTE.web)
    assert str(sick).startswith("secondary is not healthy: HTTPS: connection refused") and "--force" in sick.remedy
    assert "'orthweb connect secondary'" in sick.remedy
    assert "--force" not in refusal(Look(host(), MUTE), MUTE.web, forcible=False).remedy
    assert "another machine of AWS" in refusal(Look(host(instance_check="impaired")), "it fails").remedy
    assert refusal(Look(host(state="gone")), "it is gone").remedy == "'orthweb apply' makes it anew"

"""A site's life: up again, changed, restarted, down; only what differs is touched, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from anatomy import alive, changed, made_files, pids
from harness import CLIENT_ENVIRONMENT, TestSite, eventually, own_site
from polling import polling
from traffic import SLOW, assert_kept, make_images, sending

from orthweb.site.lock import site_lock
from orthweb.site.paths import SitePaths


@pytest.fixture(scope="module")
def living() -> Iterator[TestSite]:
    """A site that the tests of this file change, and leave up."""
    with own_site("living", more="orthanc: {replicas: 2}") as site:
        yield site


# Up again and changed -------------------------------------------------------------------------------------------


def test_a_second_up_changes_nothing(living: TestSite) -> None:
    before, files = pids(living), made_files(living)
    done = living.up()
    assert done.err == ""
    assert "is up; nothing had to change" in done.out
    assert pids(living) == before
    assert made_files(living) == files


def test_up_minds_no_setting_that_the_caller_has_for_another_database(living: TestSite) -> None:
    before = pids(living)
    theirs = {"PGHOSTADDR": "192.0.2.1", "PGSERVICE": "theirs", "PGOPTIONS": "--bogus", "PGSSLCERT": "/nonexistent"}
    done = living.orthweb("up", env={**CLIENT_ENVIRONMENT, **theirs})
    assert done.status == 0, done.all
    assert pids(living) == before


def test_up_restarts_a_replica_that_runs_and_does_not_answer(living: TestSite) -> None:
    before = pids(living)
    living.kill("orthanc-2", signal.SIGSTOP)
    done = living.up()
    assert "restarted orthanc-2, which ran and did not answer" in done.err
    assert changed(before, pids(living)) == {"orthanc-2"}
    living.healthy()


def test_a_new_modality_restarts_the_replicas_alone_while_the_site_answers(living: TestSite) -> None:
    before = pids(living)
    living.describe("orthanc: {modalities: {ct1: {ae_title: CT1, host: 127.0.0.1, port: 4242}}}")
    with polling(living) as polls:
        living.up()
    after = pids(living)
    assert changed(before, after) == {"orthanc-1", "orthanc-2"}
    assert not polls.failures
    assert living.json("/modalities") == ["ct1", "orthweb"]


def test_a_new_ae_title_is_the_one_that_answers(living: TestSite) -> None:
    before = pids(living)
    living.describe("orthanc: {ae_title: NEWTITLE}")
    living.up()
    assert changed(before, pids(living)) == {"orthanc-1", "orthanc-2"}
    assert living.dcmtk("echoscu", options=["-aec", "NEWTITLE"]).status == 0
    assert living.echo().status != 0


def test_one_replica_more_and_one_less_leave_the_others_alone(living: TestSite) -> None:
    before = pids(living)
    living.describe("orthanc: {replicas: 3}")
    living.up()
    more = pids(living)
    assert changed(before, more) == {"orthanc-3"}
    assert len(living.status()["replicas"]) == 3
    living.describe("orthanc: {replicas: 2}")
    living.up()
    less = pids(living)
    assert changed(more, less) == {"orthanc-3"}
    assert "orthanc-3" not in less
    living.healthy()


# Restart --------------------------------------------------------------------------------------------------------


def test_restart_of_one_replica_touches_no_other_and_the_site_answers(living: TestSite) -> None:
    before = pids(living)
    with polling(living) as polls:
        done = living.orthweb("restart", "orthanc-2")
        assert done.status == 0, done.all
    assert changed(before, pids(living)) == {"orthanc-2"}
    assert not polls.failures


def test_restart_of_each_replica_lets_its_associations_finish(living: TestSite, tmp_path: Path) -> None:
    images = make_images(tmp_path, 60)
    with sending(living, images, senders=1, retry=False, environment=SLOW) as transfer:
        transfer.reach(3)
        for name in ("orthanc-1", "orthanc-2"):
            done = living.orthweb("restart", name, "--drain", "60")
            assert done.status == 0, done.all
        transfer.finish(5)
    assert (transfer.statuses, transfer.troubles, transfer.complete) == ([0], [], True)
    assert_kept(living, images)


def test_restart_restarts_every_service_and_keeps_the_supervisor(living: TestSite) -> None:
    before = pids(living)
    done = living.orthweb("restart")
    assert done.status == 0, done.all
    assert changed(before, pids(living)) == {*before} - {"supervisor"}
    living.healthy()


@pytest.mark.parametrize("name", ["orthanc-9", ":AB:", "[red]", "postgres"])
def test_restart_of_an_unknown_service_is_refused(living: TestSite, name: str) -> None:
    before = pids(living)
    done = living.orthweb("restart", name)
    assert done.status == 2, done.all
    assert f"{name}: no such service" in done.err
    assert "orthanc-1" in done.err
    assert pids(living) == before


# One at a time, and what happened --------------------------------------------------------------------------------


def test_a_second_command_is_refused_with_the_owner_and_the_reason(living: TestSite) -> None:
    before = pids(living)
    with site_lock(SitePaths(living.folder), "certs rotate"):
        for command in (["up"], ["down"], ["restart"], ["certs", "rotate"]):
            done = living.orthweb(*command)
            assert done.status == 1, done.all
            assert f"pid {os.getpid()}" in done.err
            assert "certs rotate" in done.err
            assert len(done.err.splitlines()) == 1
        assert living.orthweb("status").status == 0
    assert pids(living) == before
    living.up()


def test_the_history_says_who_did_what_when_and_with_what_result(living: TestSite) -> None:
    living.up()
    assert living.orthweb("restart", "nothing").status == 2
    *_, up, restart = map(json.loads, (living.state / "history.jsonl").read_text().splitlines())
    assert (up["command"], up["result"]) == ("up", "done")
    assert restart["command"] == "restart nothing"
    assert restart["result"].startswith("failed: nothing: no such service")
    for entry in (up, restart):
        assert entry["user"]
        assert entry["time"].endswith("Z")
        assert entry["seconds"] >= 0


# Down -----------------------------------------------------------------------------------------------------------


def test_down_lets_an_association_in_flight_finish_and_the_next_up_has_its_images(
    living: TestSite, tmp_path: Path
) -> None:
    images = make_images(tmp_path, 60)
    with sending(living, images, senders=1, retry=False, environment=SLOW) as transfer:
        transfer.reach(3)
        done = living.orthweb("down", "--drain", "60")
        assert done.status == 0, done.all
        transfer.finish(5)
    assert (transfer.statuses, transfer.troubles, transfer.complete) == ([0], [], True)
    assert living.orthweb("status").status == 1
    living.up()
    assert_kept(living, images)


def test_down_without_drain_waits_for_nobody_and_loses_nothing_acknowledged(living: TestSite, tmp_path: Path) -> None:
    images = make_images(tmp_path, 60)
    with sending(living, images, senders=1, retry=False, environment=SLOW, hold_at=30) as transfer:
        transfer.reach(3)
        done = living.orthweb("down", "--drain", "0")
        assert done.status == 0, done.all
        transfer.release()
        transfer.finish()
    assert transfer.statuses != [0]
    assert 0 < len(transfer.acknowledged) < len(images)
    again = living.orthweb("down")
    assert (again.status, again.err.splitlines()) == (0, ["test is not up: nothing to stop"]), again.all
    living.up()
    assert_kept(living, [*transfer.acknowledged])


def test_down_of_a_site_that_never_was_up_says_so(folder: Path) -> None:
    site = TestSite(folder / "new").init("new")
    done = site.orthweb("down")
    assert (done.status, done.err.splitlines()) == (0, ["new is not up: nothing to stop"]), done.all
    assert not site.state.exists()


def test_purge_without_a_yes_deletes_nothing(living: TestSite) -> None:
    before, files = pids(living), made_files(living)
    done = living.orthweb("down", "--purge", stdin=-3)
    assert done.status == 2, done.all
    assert "--yes" in done.err
    assert len(done.err.splitlines()) == 1
    assert pids(living) == before
    assert made_files(living) == files


def test_down_ends_what_a_killed_supervisor_left_behind(living: TestSite) -> None:
    left = pids(living)
    living.kill("supervisor")
    eventually(lambda: not living.pid("supervisor"), 10, "the supervisor to be dead")
    done = living.orthweb("down")
    assert done.status == 0, done.all
    assert not [name for name, pid in left.items() if alive(pid)]
    living.up()

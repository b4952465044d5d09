"""`orthweb audit` interrupted by a person, by kill -9 or by the site's trouble: the same command goes on."""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from audit_parts import (
    added,
    alter,
    audit,
    auditing,
    ended,
    found,
    is_reading,
    known,
    new_uuid,
    objects,
    path_of,
    truncate,
)
from harness import TestSite, eventually, own_site
from refusals import refused
from traffic import make_images

from orthweb.site.lock import site_lock
from orthweb.site.paths import SitePaths

OBJECTS, SIZE = 64, 100_000
# Slow enough to be interrupted anywhere: all of them take four seconds.
SLOWLY = ("--md5", "--rate", "1.6", "--restart")


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestSite]:
    """A site with some of everything that an audit finds, all over the range of UUIDs."""
    content = os.urandom(SIZE)
    names = sorted(new_uuid(f"{number * 4:02x}") for number in range(OBJECTS))
    with own_site("interrupted", "orthanc: {replicas: 1}") as site, contextlib.ExitStack() as stack:
        images = make_images(tmp_path_factory.mktemp("images"), 1, 32)
        assert site.store(images[0].path).status == 0
        root = objects(site)
        stack.enter_context(known(site, names, SIZE, hashlib.md5(content).hexdigest()))
        for number, name in enumerate(names):
            path = stack.enter_context(added(path_of(root, name), content))
            if number % 16 == 3:
                path.unlink()
            if number % 16 == 7:
                truncate(path)
            if number % 16 == 11:
                alter(path)
        for start in ("05", "33", "66", "aa", "ee"):
            stack.enter_context(added(path_of(root, new_uuid(start))))
            stack.enter_context(added(path_of(root, new_uuid(start)), age=60))
            stack.enter_context(added(root / start / "foreign"))
        yield site


@pytest.fixture(scope="module")
def in_one_go(damaged: TestSite) -> dict[str, Any]:
    told = audit(damaged, "--md5", "--rate", "0")
    counts = {kind: told[kind] for kind in ("missing", "size", "md5", "orphan", "young", "foreign")}
    assert counts == {"missing": 4, "size": 4, "md5": 4, "orphan": 5, "young": 5, "foreign": 5}
    return told


@pytest.mark.parametrize(
    ("moment", "how"),
    [
        ("1", signal.SIGINT),
        ("1", signal.SIGKILL),
        ("7", signal.SIGTERM),
        ("d", signal.SIGINT),
        ("d", signal.SIGKILL),
    ],
)
def test_what_is_interrupted_goes_on_and_finds_the_same(
    damaged: TestSite, in_one_go: dict[str, Any], how: signal.Signals, moment: str
) -> None:
    with auditing(damaged, *SLOWLY) as process:
        eventually(lambda: max(is_reading(process, objects(damaged)), default="") > moment, 60, "it to be there")
        said = ended(process, how)
    if how != signal.SIGKILL:
        assert said.splitlines()[-1] == "orthweb: interrupted: the same command goes on from here"
    told = audit(damaged, "--md5", "--rate", "0")
    assert found(told) == found(in_one_go)
    assert (told["rows"], told["objects"]) == (in_one_go["rows"], in_one_go["objects"])
    # What was read in the last half second, or was being read, is read again; the rest is not.
    assert told["bytes_read"] < in_one_go["bytes_read"] * 1.4


def test_an_audit_that_goes_on_says_so_and_a_finished_one_begins_anew(damaged: TestSite) -> None:
    with auditing(damaged, *SLOWLY) as process:
        eventually(lambda: max(is_reading(process, objects(damaged)), default="") > "4", 60, "it to be there")
        ended(process, signal.SIGKILL)
    assert "going on with the audit of 20" in damaged.orthweb("audit", "--md5").err
    assert damaged.orthweb("audit", "--md5").err == ""


def test_a_restart_forgets_what_was_found(damaged: TestSite, in_one_go: dict[str, Any]) -> None:
    with auditing(damaged, *SLOWLY) as process:
        eventually(lambda: max(is_reading(process, objects(damaged)), default="") > "8", 60, "it to be there")
        ended(process, signal.SIGKILL)
    done = damaged.orthweb("audit", "--md5", "--restart", "--rate", "0")
    assert done.err == ""
    assert f"{in_one_go['rows']} rows" in done.out


def test_an_audit_killed_while_it_tells_tells_all_again(damaged: TestSite) -> None:
    # More than a pipe holds, so that it waits in the middle of telling.
    with known(damaged, [new_uuid() for _ in range(600)], 1):
        with auditing(damaged) as process:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], 60)[0]
            ended(process, signal.SIGKILL)
        done = damaged.orthweb("audit", "--json")
        assert "going on" in done.err
        assert done.out.count('"kind": "missing"') == 600 + 4


def test_a_deletion_that_is_killed_goes_on_and_counts_each_orphan_once(damaged: TestSite) -> None:
    root, count = objects(damaged), 3000
    with contextlib.ExitStack() as stack:
        orphans = [stack.enter_context(added(path_of(root, new_uuid("7777")))) for _ in range(count)]
        with auditing(damaged, "--delete-orphans", "--yes") as process:
            eventually(lambda: len(list((root / "77/77").iterdir())) < count * 0.9, 60, "some orphans to be gone")
            process.kill()
            process.wait()
        left = sum(path.exists() for path in orphans)
        assert left > 0
        names = {str(path.relative_to(root)) for path in orphans}
        told = audit(damaged, "--delete-orphans", "--yes")
        assert not any(path.exists() for path in orphans)
    assert {finding["name"] for finding in told["findings"] if finding["deleted"]} >= names
    # Those that the site had before are gone too; the young ones are not.
    assert (told["orphan"], told["young"]) == (0, 5)


def test_two_audits_of_one_site_do_not_meet(damaged: TestSite) -> None:
    with auditing(damaged, "--md5", "--rate", "0.1") as process:
        eventually(lambda: is_reading(process, objects(damaged)), 60, "it to read")
        refused(
            damaged.orthweb("audit", "--md5"), "another audit of this site is running: wait until it is done", status=1
        )
        # Sizes are another audit, with a record of its own.
        assert found(audit(damaged))
        assert process.poll() is None
        ended(process, signal.SIGTERM)


def test_a_site_that_another_command_changes_keeps_its_orphans_until_that_is_done(damaged: TestSite) -> None:
    history = (damaged.state / "history.jsonl").read_text()
    with added(path_of(objects(damaged), new_uuid())) as orphan:
        with site_lock(SitePaths(damaged.folder), "restart"):
            done = damaged.orthweb("audit", "--delete-orphans")
            refused(
                done, f"{damaged.folder}: 'orthweb restart' of root (pid {os.getpid()}) has been changing", status=1
            )
        assert orphan.exists()
        assert (damaged.state / "history.jsonl").read_text() == history
        assert audit(damaged, "--delete-orphans")["deleted"] == 1
        assert not orphan.exists()
    assert '"command": "audit --delete-orphans"' in (damaged.state / "history.jsonl").read_text()[len(history) :]


def test_an_index_that_goes_away_ends_an_audit_in_one_line_and_it_goes_on_later(
    damaged: TestSite, in_one_go: dict[str, Any]
) -> None:
    with auditing(damaged, *SLOWLY) as process:
        eventually(lambda: max(is_reading(process, objects(damaged)), default="") > "4", 60, "it to be there")
        postgresql, supervisor = damaged.pid("postgresql"), damaged.kill("supervisor", signal.SIGSTOP)
        try:
            # Nobody starts it again before the audit has asked it for more.
            os.kill(postgresql, signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            os.kill(supervisor, signal.SIGCONT)
    assert process.returncode == 1
    assert said.count("\n") == 1 and said.startswith("orthweb: the index at 127.0.0.1 port "), said
    assert "orthweb status" in said
    damaged.healthy(60)
    done = damaged.orthweb("audit", "--md5", "--rate", "0")
    assert "going on" in done.err
    assert f"{in_one_go['md5']} md5" in done.out and f"{in_one_go['missing']} missing" in done.out


def test_a_damaged_record_is_named_and_nothing_is_lost_with_it(damaged: TestSite) -> None:
    record = damaged.state / "audit/sizes.sqlite"
    record.write_bytes(b"no database, but long enough to look like one" * 100)
    try:
        refused(damaged.orthweb("audit"), f"{record}: is damaged: remove it, and the audit begins anew", status=1)
    finally:
        record.unlink()
    assert oct(record.parent.stat().st_mode & 0o777) == "0o700"
    assert found(audit(damaged))


def test_the_record_is_its_owners_alone(damaged: TestSite) -> None:
    with auditing(damaged, *SLOWLY) as process:
        eventually(lambda: is_reading(process, objects(damaged)), 60, "it to read")
        assert [oct(path.stat().st_mode & 0o777) for path in Path(damaged.state / "audit").iterdir()][:1] == ["0o600"]
        ended(process, signal.SIGINT)

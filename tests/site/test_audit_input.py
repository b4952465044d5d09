"""`orthweb audit` asked wrongly, or of a site that can't be audited: one line that says what to do."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from audit_parts import added, audit, database, known, new_uuid, objects, path_of
from harness import CLIENT_ENVIRONMENT, TestSite, orthweb, own_site, run
from people import need_root
from refusals import refused
from traffic import make_images


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestSite]:
    images = make_images(tmp_path_factory.mktemp("images"), 2, 32)
    with own_site("asked", "orthanc: {replicas: 1}") as site:
        assert site.store(*(image.path for image in images)).status == 0
        yield site


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--md5", "--rate", "-1"], "--rate: -1 is no rate: give MB a second, or 0 for no limit"),
        (["--md5", "--rate", "nan"], "--rate: nan is no rate"),
        (["--md5", "--rate", "inf"], "--rate: inf is no rate"),
        (["--rate", "20"], "--rate: 20: no object is read to compare sizes: it goes with --md5"),
        (["--yes"], "--yes: there is nothing to agree to: it goes with --delete-orphans"),
    ],
)
def test_a_wrong_option_is_told_in_one_line(audited: TestSite, words: list[str], line: str) -> None:
    refused(audited.orthweb("audit", *words), line)


def test_a_rate_that_is_no_number_is_refused(audited: TestSite) -> None:
    done = audited.orthweb("audit", "--md5", "--rate", "fast")
    assert done.status == 2
    assert "Traceback" not in done.err and "--rate" in done.err


def test_a_folder_without_a_site_is_refused(folder: Path) -> None:
    refused(orthweb("audit", "-C", folder), "orthweb.yaml")


def test_a_site_that_has_never_been_up_cannot_be_audited(folder: Path) -> None:
    site = TestSite(folder / "site").init()
    refused(site.orthweb("audit"), "this site has never been up: bring it up with 'orthweb up'", status=1)
    assert not site.state.exists()


def test_a_site_that_is_down_is_told_in_one_line(audited: TestSite) -> None:
    assert audited.orthweb("down").status == 0
    try:
        refused(audited.orthweb("audit"), "the index at 127.0.0.1 port", "'orthweb up'", status=1)
    finally:
        audited.up()
    # It had not come anywhere, so there is nothing to go on with.
    assert audited.orthweb("audit").err == ""


def test_a_storage_that_is_not_mounted_is_told_in_one_line(audited: TestSite) -> None:
    root = objects(audited)
    away = root.with_name("away")
    root.rename(away)
    try:
        refused(audited.orthweb("audit"), f"{root}: No such file or directory: mount or bring back", status=1)
    finally:
        away.rename(root)
    audit(audited, status=0)


def test_an_empty_storage_misses_everything(audited: TestSite) -> None:
    root = objects(audited)
    away = root.with_name("away")
    root.rename(away)
    root.mkdir(mode=0o700)
    try:
        assert audit(audited, "--delete-orphans", status=1)["missing"] == 2
    finally:
        root.rmdir()
        away.rename(root)


def test_an_index_that_does_not_know_the_storage_deletes_nothing_unasked(audited: TestSite) -> None:
    orphans = [path_of(objects(audited), new_uuid()) for _ in range(120)]
    with contextlib.ExitStack() as stack:
        for path in orphans:
            stack.enter_context(added(path))
        done = audited.orthweb("audit", "--delete-orphans")
        refused(done, "120 objects are unknown to the index, and it knows 2", "add --yes", status=1)
        assert all(path.exists() for path in orphans)
        told = audit(audited, "--delete-orphans", "--yes", status=0)
        assert told["deleted"] == 120
        assert not any(path.exists() for path in orphans)


def test_an_orphan_that_cannot_be_deleted_is_told_and_the_others_go(audited: TestSite) -> None:
    need_root("making a file undeletable")
    with added(path_of(objects(audited), new_uuid())) as stuck, added(path_of(objects(audited), new_uuid())) as loose:
        if run(["chattr", "+i", stuck]).status != 0:
            pytest.skip("this disk can't make a file undeletable")
        try:
            told = audit(audited, "--delete-orphans", status=1)
        finally:
            assert run(["chattr", "-i", stuck]).status == 0
        assert stuck.exists() and not loose.exists()
    assert (told["orphan"], told["deleted"]) == (1, 1)
    [left] = [finding for finding in told["findings"] if not finding["deleted"]]
    assert left["detail"] == "cannot be deleted: Operation not permitted"


def test_a_full_disk_is_told_in_one_line_and_the_audit_goes_on_later(audited: TestSite) -> None:
    need_root("mounting a small disk")
    place = audited.state / "audit"
    place.mkdir(mode=0o700, exist_ok=True)
    assert run(["mount", "-t", "tmpfs", "-o", "size=200k,mode=700", "tmpfs", place]).status == 0
    names = [new_uuid() for _ in range(5000)]
    try:
        with known(audited, names, 1):
            refused(audited.orthweb("audit"), f"{place / 'sizes.sqlite'}: database or disk is full", status=1)
            assert run(["mount", "-o", "remount,size=20m", place]).status == 0
            assert audit(audited, status=1)["missing"] == len(names)
    finally:
        assert run(["umount", place]).status == 0


def test_what_an_environment_says_of_another_server_is_not_heard(audited: TestSite) -> None:
    source = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    misleading = {"PGHOSTADDR": "127.0.0.9", "PGSERVICE": "none", "PGOPTIONS": "-c search_path=none", "PGSSLMODE": "no"}
    audit(audited, status=0, env={**CLIENT_ENVIRONMENT, **misleading, **source})


def test_a_server_that_cannot_prove_who_it_is_is_not_told_the_password(audited: TestSite) -> None:
    authority = audited.state / "pki/internal/ca.crt"
    ours = authority.read_bytes()
    authority.write_bytes((audited.state / "pki/ca.crt").read_bytes())
    try:
        refused(audited.orthweb("audit"), "certificate verify failed", status=1)
    finally:
        authority.write_bytes(ours)


def test_another_schema_of_the_index_is_looked_into(audited: TestSite) -> None:
    configuration = audited.state / "config/orthanc-1/orthanc.json"
    text = configuration.read_text()
    with database(audited) as connection:
        connection.execute("CREATE SCHEMA other AUTHORIZATION orthanc")
        try:
            connection.execute("CREATE TABLE other.attachedfiles AS SELECT * FROM attachedfiles LIMIT 1")
            connection.execute("GRANT SELECT ON other.attachedfiles TO orthanc")
            configuration.write_text(text.replace('"PostgreSQL": {', '"PostgreSQL": {"Schema": "Other",'))
            assert audit(audited, status=0)["rows"] == 1
        finally:
            configuration.write_text(text)
            connection.execute("DROP SCHEMA other CASCADE")

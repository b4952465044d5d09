"""`orthweb audit` of a site that keeps its objects in a folder: what it says of every way in which they differ."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from audit_parts import (
    added,
    alter,
    ask,
    audit,
    changed,
    found,
    insert_rows,
    known,
    new_uuid,
    objects,
    path_of,
    truncate,
    uuids,
)
from harness import TestSite, own_site
from pydicom import dcmread
from terminal import on_a_terminal
from traffic import Image, make_images


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Image]:
    return make_images(tmp_path_factory.mktemp("images"), 6, 64)


@pytest.fixture(scope="module")
def audited(images: list[Image]) -> Iterator[TestSite]:
    with own_site("audited", "orthanc: {replicas: 1}") as site:
        assert site.store(*(image.path for image in images)).status == 0
        yield site


@pytest.fixture
def root(audited: TestSite) -> Path:
    return objects(audited)


def test_a_site_whose_index_and_storage_agree_is_well(audited: TestSite, images: list[Image]) -> None:
    for words in ([], ["--md5"]):
        told = audit(audited, *words, status=0)
        assert told["rows"] == told["objects"] == len(images)
        assert not told["findings"]
    done = audited.orthweb("audit")
    assert done.status == 0
    assert f"{len(images)} rows, {len(images)} objects, sizes compared" in done.out
    assert "all is well" in done.out and not done.err


def test_md5s_are_compared_by_reading_every_object_and_sizes_by_reading_none(audited: TestSite, root: Path) -> None:
    total = sum(path.stat().st_size for path in root.rglob("*-*"))
    assert audit(audited)["bytes_read"] == 0
    assert audit(audited, "--md5")["bytes_read"] == total


def test_a_missing_object_is_named_with_the_image_that_it_held(
    audited: TestSite, root: Path, images: list[Image]
) -> None:
    path = path_of(root, uuids(audited)[0])
    uid = str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)
    with changed(path, Path.unlink):
        [finding] = audit(audited, status=1)["findings"]
        done = audited.orthweb("audit")
    assert finding["kind"] == "missing"
    assert finding["name"] == str(path.relative_to(root))
    assert (finding["PatientID"], finding["SOPInstanceUID"]) == ("TRAFFIC", uid)
    assert finding["orthanc_id"] in {image.orthanc_id for image in images}
    assert finding["address"] == (
        f"https://localhost:{audited.web_port}/app/explorer.html#instance?uuid={finding['orthanc_id']}"
    )
    assert done.status == 1
    assert f"{finding['name']}, PatientID TRAFFIC, {finding['address']}" in done.out
    assert "bring the object back from a backup" in done.out


def test_a_truncated_object_is_of_another_size(audited: TestSite, root: Path) -> None:
    path = path_of(root, uuids(audited)[1])
    size = path.stat().st_size
    with changed(path, truncate):
        [finding] = audit(audited)["findings"]
        assert f"{size - 1} bytes instead of {size}" in audited.orthweb("audit").out
    assert (finding["kind"], finding["stated_size"], finding["size"]) == ("size", size, size - 1)


def test_one_changed_byte_is_seen_with_md5_only(audited: TestSite, root: Path) -> None:
    path = path_of(root, uuids(audited)[2])
    with changed(path, alter):
        audit(audited, status=0)
        [finding] = audit(audited, "--md5", status=1)["findings"]
        assert f"{finding['md5']} instead of {finding['stated_md5']}" in audited.orthweb("audit", "--md5").out
    assert finding["kind"] == "md5"
    assert re.fullmatch("[0-9a-f]{32}", finding["md5"]) and finding["md5"] != finding["stated_md5"]


def test_no_more_is_read_in_a_second_than_was_allowed(audited: TestSite) -> None:
    told = audit(audited, "--md5", "--rate", "0.05")
    assert told["bytes_read"] / told["seconds"] < 0.05e6 * 1.1


def test_rows_without_an_md5_are_counted_and_their_sizes_compared(audited: TestSite, root: Path) -> None:
    with known(audited, [name := new_uuid()], 1), added(path_of(root, name)):
        told = audit(audited, "--md5", status=0)
        assert told["without_md5"] == 1
        assert "1 rows without an MD5" in audited.orthweb("audit", "--md5").out


def test_an_object_that_cannot_be_read_is_told_from_a_missing_one(audited: TestSite, root: Path) -> None:
    path = path_of(root, uuids(audited)[3])

    def loop(path: Path) -> None:
        path.unlink()
        path.symlink_to(path)

    with changed(path, loop):
        told = audit(audited, status=1)
    [finding] = [one for one in told["findings"] if "orthanc_id" in one]
    assert (finding["kind"], finding["detail"]) == ("unreadable", "Too many levels of symbolic links")


def test_a_row_whose_uuid_is_none_leads_nowhere(audited: TestSite, root: Path) -> None:
    odd = ["../../../../etc/passwd", "zz", "", "ABCDEF00-0000-0000-0000-000000000000", "\x1b[2J", "é"]
    with known(audited, odd, 5):
        told = audit(audited, "--md5", status=1)
        shown = audited.orthweb("audit")
    assert told["missing"] == len(odd) == len(told["findings"])
    assert "\x1b" not in shown.out


def test_two_rows_with_one_object_both_have_it(audited: TestSite, root: Path) -> None:
    name = new_uuid()
    with known(audited, [name], 1), added(path_of(root, name)):
        insert_rows(audited, [name], 1)
        assert audit(audited, status=0)["rows"] == audit(audited)["objects"] + 1


# What Orthanc did not put there -------------------------------------------------------------------------------------


def test_what_is_not_orthancs_is_named_and_left_alone(audited: TestSite, root: Path) -> None:
    name = new_uuid()
    strange = [
        "lost+found",
        "readme.txt",
        "ab/readme.txt",
        f"ab/cd/{new_uuid('abce')}",
        f"{name[:2]}/{name[2:4]}/{name}.tmp",
        f"{name[:2]}/{name[2:4]}/{name.upper()}x",
        "ab/cd/\x1b[2J",
        os.fsdecode(b"ab/cd/\xff"),
    ]
    with contextlib.ExitStack() as stack:
        stack.enter_context(added(root / strange[0], None))
        stack.enter_context(added(path_of(root, name), None))
        for one in strange[1:]:
            stack.enter_context(added(root / one))
        told = audit(audited, "--delete-orphans", status=0)
        shown = audited.orthweb("audit")
        assert all(os.path.lexists(root / one) for one in strange)
    names = {finding["name"] for finding in told["findings"]}
    assert told["foreign"] == len(strange) + 1
    assert {*strange[:-1], "ab/cd/\\xff", f"{name[:2]}/{name[2:4]}/{name}"} == names
    assert "an audit never deletes them" in shown.out and "\x1b" not in shown.out
    assert shown.status == 0


def test_an_object_behind_a_link_is_found_and_an_unknown_one_there_is_not_deleted(
    audited: TestSite, root: Path, folder: Path
) -> None:
    name = uuids(audited)[4]
    stray, linked = new_uuid(name[:4]), new_uuid()
    # The administrator has moved a folder to another disk; something else lies there as well.
    moved, here = folder / "disk", root / name[:2]
    here.rename(moved)
    here.symlink_to(moved)
    try:
        with (
            added(moved / name[2:4] / stray) as elsewhere,
            added(folder / "somebody's") as somebodys,
            added(path_of(root, linked)) as link,
        ):
            link.unlink()
            link.symlink_to(somebodys)
            os.utime(link, (0, 0), follow_symlinks=False)
            told = audit(audited, "--delete-orphans", status=0)
            assert elsewhere.exists() and somebodys.exists() and link.is_symlink()
    finally:
        here.unlink()
        moved.rename(here)
    assert told["foreign"] == len(told["findings"]) == 2
    assert {finding["detail"] for finding in told["findings"]} == {"behind a symbolic link"}


def test_a_storage_that_is_itself_behind_a_link_is_audited_and_cleaned(
    audited: TestSite, root: Path, folder: Path
) -> None:
    moved = folder / "disk"
    os.chmod(folder, 0o755)
    root.rename(moved)
    root.symlink_to(moved)
    try:
        with added(path_of(root, new_uuid())) as orphan:
            assert audit(audited, "--delete-orphans", status=0)["deleted"] == 1
            assert not orphan.exists()
    finally:
        root.unlink()
        moved.rename(root)


# How it says it -----------------------------------------------------------------------------------------------------


def test_many_findings_are_counted_and_the_first_are_named(audited: TestSite, root: Path) -> None:
    names = sorted(new_uuid() for _ in range(25))
    with known(audited, names, 1):
        done = audited.orthweb("audit")
        assert found(audit(audited)) == {("missing", str(path_of(Path(), name))) for name in names}
    assert "25 missing" in done.out and "and 5 more; --json names them all" in done.out
    assert [name in done.out for name in names] == [True] * 20 + [False] * 5


def test_a_terminal_shows_how_far_it_is_and_a_file_only_the_result(audited: TestSite) -> None:
    status, shown = on_a_terminal(audited, "audit", "--md5")
    assert status == 0
    assert "looking again" in shown and "6/6" in shown
    assert "all is well" in shown


def test_an_audit_leaves_nothing_behind_and_changes_nothing(audited: TestSite) -> None:
    history = (audited.state / "history.jsonl").read_text()
    audit(audited, "--delete-orphans")
    assert list((audited.state / "audit").iterdir()) == []
    assert (audited.state / "history.jsonl").read_text() == history
    assert ask(audited, "SELECT 1 FROM pg_stat_activity WHERE application_name = 'orthweb-audit'") == []

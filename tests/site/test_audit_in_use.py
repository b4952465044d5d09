"""`orthweb audit` of a site that stores and deletes meanwhile: what is only on its way is not told of, nor deleted."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from audit_parts import (
    added,
    ask,
    audit,
    auditing,
    database,
    finished,
    found,
    insert_rows,
    is_reading,
    known,
    new_uuid,
    objects,
    path_of,
)
from harness import TestSite, eventually, own_site
from traffic import Image, assert_kept, make_images, sending


@pytest.fixture(scope="module")
def busy() -> Iterator[TestSite]:
    with own_site("busy") as site:
        yield site


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Image]:
    return make_images(tmp_path_factory.mktemp("images"), 120, 64)


@contextlib.contextmanager
def stores_held_up(site: TestSite) -> Iterator[None]:
    """While the body runs, Orthanc can write objects and no rows."""
    with database(site) as connection:
        connection.execute("SET idle_in_transaction_session_timeout = 0")
        with connection.transaction():
            connection.execute("LOCK TABLE attachedfiles IN EXCLUSIVE MODE")
            yield


@contextlib.contextmanager
def beside(action: Any) -> Iterator[None]:
    """Something that happens beside the body, and is over afterwards."""
    thread = threading.Thread(target=action)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def delete_all(site: TestSite) -> None:
    for patient in site.json("/patients"):
        assert site.curl(f"/patients/{patient}", "--request", "DELETE", "--fail").status == 0


@pytest.fixture
def emptied(busy: TestSite) -> Iterator[TestSite]:
    yield busy
    delete_all(busy)


def test_a_site_that_stores_over_several_associations_meanwhile_is_clean(
    emptied: TestSite, images: list[Image]
) -> None:
    told: list[dict[str, Any]] = []
    with sending(emptied, images, senders=4) as transfer:
        while transfer.running:
            told.append(audit(emptied, *(["--md5"] if len(told) % 2 else []), status=0))
    assert transfer.complete
    assert all(one["young"] == len(one["findings"]) for one in told)
    assert audit(emptied, "--md5", status=0)["rows"] == len(images)


def test_a_site_that_deletes_meanwhile_is_clean(emptied: TestSite, images: list[Image]) -> None:
    assert emptied.store(*(image.path for image in images[:60])).status == 0
    instances = emptied.instances()

    def delete() -> None:
        for instance in instances:
            emptied.curl(f"/instances/{instance}", "--request", "DELETE", "--fail")

    told: list[dict[str, Any]] = []
    with beside(delete):
        while ask(emptied, "SELECT 1 FROM attachedfiles"):
            told.append(audit(emptied, *(["--md5"] if len(told) % 2 else []), status=0))
    assert told
    assert not any(one["findings"] for one in told)


def test_objects_that_are_being_deleted_after_their_rows_are_waited_for(busy: TestSite) -> None:
    root, later, large = objects(busy), new_uuid("ff"), bytes(1_000_000)
    with contextlib.ExitStack() as stack:
        stack.enter_context(some_instance(busy))
        stack.enter_context(added(path_of(root, later), large))
        stack.enter_context(known(busy, [later], len(large), hashlib.md5(large).hexdigest()))
        left = [stack.enter_context(added(path_of(root, new_uuid("00")))) for _ in range(20)]

        def delete() -> None:
            # As Orthanc does with a large study on a slow disk.
            eventually(lambda: later in is_reading(process, root), 60, "the first look to be past all")
            for path in left:
                path.unlink()
                time.sleep(0.3)

        with auditing(busy, "--md5", "--rate", "1") as process, beside(delete):
            told = finished(process)
    assert not told["findings"]


def test_a_store_that_waits_for_the_database_keeps_its_object(emptied: TestSite, images: list[Image]) -> None:
    with contextlib.ExitStack() as held:
        held.enter_context(stores_held_up(emptied))
        with sending(emptied, images[:1], senders=1) as transfer:
            eventually(lambda: len(list(objects(emptied).rglob("*-*"))) == 1, 30, "the object to be written")
            told = audit(emptied, "--delete-orphans", status=0)
            assert (told["young"], told["deleted"]) == (1, 0)
            held.close()
            transfer.finish()
            assert transfer.complete
    assert not audit(emptied, status=0)["findings"]
    assert_kept(emptied, images[:1])


def test_an_object_whose_store_was_killed_is_an_orphan_once_it_is_old(emptied: TestSite, images: list[Image]) -> None:
    assert emptied.store(images[0].path).status == 0
    before = set(objects(emptied).rglob("*-*"))
    with stores_held_up(emptied), sending(emptied, images[1:3], senders=2, retry=False):
        eventually(lambda: len(set(objects(emptied).rglob("*-*")) - before) > 0, 30, "an object to be written")
        for name in ("orthanc-1", "orthanc-2", "orthanc-3"):
            emptied.kill(name)
    emptied.healthy(60)
    left = set(objects(emptied).rglob("*-*")) - before
    assert left
    told = audit(emptied, "--delete-orphans", status=0)
    assert found(told) == {("young", str(path.relative_to(objects(emptied)))) for path in left}
    for path in left:
        grow_old(path)
    told = audit(emptied, status=1)
    assert found(told) == {("orphan", str(path.relative_to(objects(emptied)))) for path in left}
    assert "'orthweb audit --delete-orphans' removes them" in emptied.orthweb("audit").out
    assert all(path.exists() for path in left)
    told = audit(emptied, "--delete-orphans", status=0)
    assert told["deleted"] == len(left) and not found(told)
    assert not any(path.exists() for path in left)
    assert_kept(emptied, images[:1])
    # What could not be stored then, can be now.
    assert emptied.store(*(image.path for image in images[1:3])).status == 0


def test_an_old_orphan_that_gets_its_row_between_both_looks_is_not_deleted(busy: TestSite) -> None:
    root = objects(busy)
    orphan, later = new_uuid("00"), [new_uuid("80"), new_uuid("ff")]
    large = bytes(2_000_000)
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(added(path_of(root, orphan)))
        for name in later:
            stack.enter_context(added(path_of(root, name), large))
        stack.enter_context(some_instance(busy))
        stack.enter_context(known(busy, later, len(large), "0" * 32))
        with auditing(busy, "--md5", "--rate", "1", "--delete-orphans") as process:
            eventually(lambda: set(later) & is_reading(process, root), 60, "the first look to be past the orphan")
            insert_rows(busy, [orphan], 1)
            told = finished(process)
        try:
            assert path.exists()
            assert found(told) == {("md5", str(path_of(Path(), name))) for name in later}
            assert told["deleted"] == 0
        finally:
            ask(busy, "DELETE FROM attachedfiles WHERE uuid = %s", orphan)


def test_a_row_that_goes_between_both_looks_is_not_missing_anything(busy: TestSite) -> None:
    root = objects(busy)
    deleted, later = new_uuid("00"), new_uuid("80")
    large = bytes(2_000_000)
    with contextlib.ExitStack() as stack:
        stack.enter_context(some_instance(busy))
        stack.enter_context(added(path_of(root, later), large))
        stack.enter_context(known(busy, [deleted, later], len(large), "0" * 32))
        with auditing(busy, "--md5", "--rate", "1") as process:
            eventually(lambda: later in is_reading(process, root), 60, "the first look to be past the row")
            ask(busy, "DELETE FROM attachedfiles WHERE uuid = %s", deleted)
            told = finished(process)
    assert found(told) == {("md5", str(path_of(Path(), later)))}


def grow_old(path: Path) -> None:
    os.utime(path, (0, time.time() - 7200))


@contextlib.contextmanager
def some_instance(site: TestSite) -> Iterator[None]:
    """See that there is an instance which attachments may belong to."""
    ask(site, "INSERT INTO resources (internalid, resourcetype, publicid) VALUES (1000000, 3, 'none')")
    try:
        yield
    finally:
        ask(site, "DELETE FROM resources WHERE internalid = 1000000")

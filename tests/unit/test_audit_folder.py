"""An audit goes through a folder of objects in the order of their UUIDs, from wherever it was."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest

from orthweb.audit import files, served
from orthweb.audit.folder import Folder
from orthweb.audit.objects import Missing, Storage, Unreadable
from orthweb.audit.pace import Ended, Pace
from orthweb.audit.served import Served
from orthweb.errors import Failure
from orthweb.plugins.s3_settings import Settings

COUNT = 300


@pytest.fixture
def uuids() -> list[str]:
    return sorted(str(uuid.uuid4()) for _ in range(COUNT))


@pytest.fixture(params=["folder", "served", "served in parts"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    if request.param == "folder":
        return Folder(tmp_path / "objects")
    if request.param == "served in parts":
        monkeypatch.setattr(served, "_NAMES_AT_ONCE", 40)
    (tmp_path / "images/a/b").mkdir(parents=True)
    return Served(tmp_path, Settings("images", "r", "key", "secret", "https://127.0.0.1:1", root="a/b/"))


def write(storage: Storage, name: str, size: int) -> Path:
    path = Path(storage.address, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return path


def test_all_objects_come_once_in_order_with_their_sizes(storage: Storage, uuids: list[str]) -> None:
    for number, name in enumerate(uuids):
        write(storage, storage.name(name, 1), number)
    assert [(one.uuid, one.size) for one in storage.listed("")] == [(name, n) for n, name in enumerate(uuids)]


def test_it_goes_on_after_any_of_them(storage: Storage, uuids: list[str]) -> None:
    for name in uuids:
        write(storage, storage.name(name, 1), 0)
    for place, name in enumerate(uuids):
        assert [one.uuid for one in storage.listed(name)] == uuids[place + 1 :]


def test_what_is_not_orthancs_comes_once_and_without_a_uuid(storage: Storage, uuids: list[str]) -> None:
    strange = [f"{uuids[0]}.tmp", "x", "zz.dcm", f"{uuids[1].upper()}", ".hidden"]
    for name in strange:
        write(storage, name, 1)
    for name in uuids:
        write(storage, storage.name(name, 1), 0)
    found = list(storage.listed(""))
    assert sorted(one.name for one in found if not one.uuid) == sorted(strange)
    assert [one.uuid for one in found if one.uuid] == uuids


def test_a_folder_that_is_not_there_is_told_in_one_line(storage: Storage, tmp_path: Path) -> None:
    root = Path(storage.address)
    if root.exists():
        root.rmdir()
    with pytest.raises(Failure, match="No such file or directory: mount or bring back the folder"):
        list(storage.listed(""))


def test_an_object_is_never_removed_before_its_time(tmp_path: Path) -> None:
    path = tmp_path / "object"
    path.write_bytes(b"x")
    assert not files.remove(tmp_path, "object", 60)
    os.utime(path, (0, path.stat().st_mtime + 600))
    assert not files.remove(tmp_path, "object", 0)
    os.utime(path, (0, path.stat().st_mtime - 1200))
    assert files.remove(tmp_path, "object", 60)
    assert not path.exists()
    with pytest.raises(Missing):
        files.remove(tmp_path, "object", 60)


def test_nothing_is_removed_through_a_link_or_that_is_no_file(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    for folder in (outside, root, root / "real", root / "folder"):
        folder.mkdir()
    precious = outside / "precious"
    precious.write_bytes(b"x")
    (root / "linked").symlink_to(outside)
    (root / "real/link").symlink_to(precious)
    os.mkfifo(root / "pipe")
    for name in ("linked/precious", "real/link", "folder", "pipe"):
        assert not files.remove(root, name, -1e9)
    assert precious.read_bytes() == b"x"
    assert (root / "real/link").is_symlink() and (root / "pipe").exists()
    assert files.look(root, "linked/precious").linked and files.look(root, "real/link").linked
    for name in ("folder", "pipe", "none", "linked/none"):
        with pytest.raises(Missing):
            files.look(root, name)
        with pytest.raises(Missing):
            files.md5(root, name, Pace())


def test_what_cannot_be_read_is_told_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for look in (lambda: files.look(tmp_path, "loop"), lambda: files.md5(tmp_path, "loop", Pace())):
        with pytest.raises(Unreadable, match="Too many levels of symbolic links"):
            look()


def test_a_reader_that_nobody_waits_for_ends(tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(bytes(5 << 20))
    pace = Pace()
    pace.end()
    with pytest.raises(Ended):
        files.md5(tmp_path, "object", pace)
    assert pace.bytes == 1 << 20


def test_names_are_shown_without_what_a_terminal_would_obey() -> None:
    assert files.printable(files.shown(os.fsdecode(b"\xff\x1b[2J"))) == "\\\\xff\\x1b[2J"
    assert files.printable("Ünïcode") == "Ünïcode"

"""What a machine can lack: a folder of one's own, room on the disk, apt; one line says so, and nothing is lost.

The status is 2 where another folder or another machine is the answer, and 1 where this one only needs room.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import TestSite, eventually, run
from people import need_root
from pydicom import dcmread
from pydicom.data import get_testdata_file
from refusals import BEFORE_UP, made, processes, refused, start

CT, MR = (Path(str(get_testdata_file(name))) for name in ("CT_small.dcm", "MR_small.dcm"))


@pytest.fixture
def described(folder: Path) -> TestSite:
    """A site that has a description and was never up."""
    return TestSite(folder / "site").init(more="orthanc: {replicas: 1}")


# The folder ---------------------------------------------------------------------------------------------------------


def test_a_folder_that_somebody_else_made_is_left_alone(described: TestSite) -> None:
    described.state.mkdir()
    (described.state / "thesis.tex").write_text("years of work")
    for words in (["up"], ["down", "--purge", "--yes"]):
        refused(described.orthweb(*words), f"{described.state}: was not made by Orthweb: move it elsewhere")
    assert made(described) == {"thesis.tex"}


def test_a_file_in_the_folder_s_place_is_left_alone(described: TestSite) -> None:
    described.state.write_text("years of work")
    refused(described.orthweb("up"), f"{described.state}: is not a folder: move it elsewhere")
    assert described.state.read_text() == "years of work"


def test_a_link_in_the_folder_s_place_is_not_followed(described: TestSite, tmp_path: Path) -> None:
    described.state.symlink_to(tmp_path)
    refused(described.orthweb("up"), f"{described.state}: is not a folder: move it elsewhere")
    assert list(tmp_path.iterdir()) == []


def test_root_does_not_write_into_the_folder_of_another_user(described: TestSite) -> None:
    need_root("a folder of another user's")
    secret = described.folder / "secret"
    secret.write_text("do not empty me")
    described.state.mkdir()
    (described.state / "lock").symlink_to(secret)
    os.chown(described.state, 65534, 65534)
    for words in (["up"], ["down"], ["certs", "issue", "ct"], ["restart"]):
        refused(described.orthweb(*words), f"{described.state}: belongs to nobody: run as that user, or choose another")
    assert made(described) == {"lock"}
    assert secret.read_text() == "do not empty me"


def test_a_path_that_the_supervisor_cannot_be_told_is_refused(folder: Path) -> None:
    site = TestSite(folder / 'the "site"').init()
    refused(site.orthweb("up"), f"{site.folder}: has a quote or a line break in its path: move it to another folder")
    assert made(site) <= BEFORE_UP


def test_a_path_that_is_too_long_for_sockets_is_refused(folder: Path) -> None:
    site = TestSite(folder / ("x" * 100)).init()
    done = site.orthweb("up")
    refused(done, f"{site.state}/run/supervisor.sock: ", "too long", "shorter")
    assert made(site) <= BEFORE_UP


# The machine --------------------------------------------------------------------------------------------------------


def test_a_machine_without_apt_is_told_what_orthweb_runs_on(described: TestSite, tmp_path: Path) -> None:
    for folder in map(Path, ("/usr/bin", "/usr/sbin", "/bin", "/sbin")):
        for program in folder.iterdir():
            target = tmp_path / program.name
            if not program.name.startswith(("apt", "dpkg")) and not target.is_symlink():
                target.symlink_to(program)
    environment = {"PATH": str(tmp_path), "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    environment |= {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    done = described.orthweb("up", env=environment)
    refused(
        done, "this machine has no apt-get, which brings Orthanc and PostgreSQL: use Debian 12, Debian 13 or Ubuntu"
    )
    assert made(described) <= BEFORE_UP
    assert processes(described) == []


@pytest.fixture
def disk(request: pytest.FixtureRequest, folder: Path) -> Iterator[Path]:
    """A disk of its own with as many MB as the test says."""
    need_root("mounting a disk")
    point = folder / "disk"
    point.mkdir()
    size = f"size={request.param}m,mode=0755"
    done = run(["mount", "-t", "tmpfs", "-o", size, "orthweb-test", point])
    assert done.status == 0, done.all
    try:
        yield point
    finally:
        done = run(["umount", point])
        assert done.status == 0, done.all


@pytest.mark.parametrize("disk", [16], indirect=True)
def test_a_disk_that_is_too_small_is_refused_before_anything_is_made(disk: Path) -> None:
    site = TestSite(disk / "site").init()
    refused(site.orthweb("up"), f"{site.folder}", "MB are free and 200 MB are needed: make room on that disk", status=1)
    assert made(site) <= BEFORE_UP
    assert processes(site) == []


def fill(disk: Path, keep: int) -> Path:
    """Take what is free on a disk but for `keep` MB."""
    free = shutil.disk_usage(disk).free - keep * 2**20
    with (disk / "filling").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free)
    return disk / "filling"


@pytest.mark.parametrize("disk", [260], indirect=True)
def test_a_disk_that_fills_up_while_a_site_starts_or_stores_loses_nothing_that_was_acknowledged(disk: Path) -> None:
    site = TestSite(disk / "site").init(more="orthanc: {replicas: 1}")
    starting = start(site)
    try:
        # The folders come once the disk was found to be large enough.
        eventually(lambda: (site.state / "logs").exists(), 30, "up to make its folders")
        filling = fill(disk, 5)
        out, err = starting.communicate(timeout=120)
        assert starting.returncode == 1, err
        assert out == ""
        assert "Traceback" not in err
        assert re.fullmatch(r"orthweb: .*No space left on device.*", err.splitlines()[-1]), err
        assert not (site.state / "data/postgresql/PG_VERSION").exists()

        filling.unlink()
        site.up()
        stored = site.store(CT)
        assert stored.status == 0, stored.all
        fill(disk, 0)
        assert site.store(MR).status != 0
        down = site.orthweb("down", "--drain", "0")
        assert down.status == 0, down.all
        refused(site.orthweb("up"), f"{site.state}: 0 MB are free and 200 MB are needed", status=1)

        filling.unlink()
        site.up()
        assert site.store(MR).status == 0
        kept = {instance["MainDicomTags"]["SOPInstanceUID"] for instance in site.json("/instances?expand")}
        assert kept == {str(dcmread(file).SOPInstanceUID) for file in (CT, MR)}
    finally:
        starting.kill()
        starting.wait()
        (disk / "filling").unlink(missing_ok=True)
        site.down()

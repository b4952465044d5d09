"""Sites beside each other on one machine, and a site of somebody who is not root."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import TestSite, eventually, free_port, running
from people import Person, TheirSite, ordinary_user
from pydicom import dcmread
from pydicom.data import get_testdata_file

from orthweb.local.packages import site_packages

CT = Path(str(get_testdata_file("CT_small.dcm")))
MR = Path(str(get_testdata_file("MR_small.dcm")))


# Two sites ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other() -> Iterator[TestSite]:
    """A second site, beside the shared one, in a folder whose name every format writes in its own way."""
    path = Path(tempfile.mkdtemp(prefix="ow-"))
    os.chmod(path, 0o755)
    try:
        with running(path / "Röntgen 100%'s", "other", more="orthanc: {replicas: 1}") as up:
            yield up
    finally:
        shutil.rmtree(path)


def pids(site: TestSite) -> dict[str, int]:
    state = site.status()
    return {"supervisor": state["supervisor"]["pid"], **{row["name"]: row["pid"] for row in state["services"]}}


def test_each_site_has_an_authority_and_passwords_of_its_own(site: TestSite, other: TestSite, tmp_path: Path) -> None:
    assert site.ca.read_bytes() != other.ca.read_bytes()
    assert site.password() != other.password()
    for password, code in ((other.password(), 401), (site.password(), 200)):
        login = tmp_path / "login"
        login.write_text(f'user = "admin:{password}"\n')
        assert site.status_code("/system", "--config", str(login), user=None) == code


def test_a_client_that_trusts_one_site_does_not_trust_the_other(site: TestSite, other: TestSite) -> None:
    answer = site.curl("/healthz", "--cacert", str(other.ca), user=None)
    assert answer.status == 60, answer.all  # curl(1): the peer's certificate cannot be authenticated
    assert site.curl("/healthz", user=None).status == 0


def test_each_site_has_images_of_its_own(site: TestSite, other: TestSite) -> None:
    for one, file in ((site, CT), (other, MR)):
        stored = one.store(file)
        assert stored.status == 0, stored.all
    assert {instance["MainDicomTags"]["SOPInstanceUID"] for instance in other.json("/instances?expand")} == {uid(MR)}
    assert uid(CT) in {instance["MainDicomTags"]["SOPInstanceUID"] for instance in site.json("/instances?expand")}


def uid(file: Path) -> str:
    return str(dcmread(file, stop_before_pixels=True).SOPInstanceUID)


def test_a_device_of_one_site_is_refused_by_the_other(site: TestSite, other: TestSite) -> None:
    for own, foreign in ((site, other), (other, site)):
        # It knows whom it speaks to; only what it shows is the other site's.
        shown = [*foreign.device()[:-1], str(own.ca)]
        refused = own.echo(tls=shown)
        assert refused.status != 0, refused.all
        assert own.echo().status == 0


def test_down_of_one_site_leaves_the_other_alone_and_up_brings_it_back_with_its_images(
    site: TestSite, other: TestSite
) -> None:
    site.healthy()
    before, images = pids(site), other.instances()
    ended = [pid for pid in pids(other).values() if pid]
    down = other.orthweb("down", "--drain", "0")
    assert down.status == 0, down.all
    assert pids(site) == before
    assert site.echo().status == 0
    assert not [pid for pid in ended if Path(f"/proc/{pid}/exe").exists()]
    assert other.status()["up"] is False
    other.up()
    assert pids(site) == before
    assert other.instances() == images


# An ordinary user ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def person() -> Iterator[Person]:
    with ordinary_user() as somebody:
        yield somebody


@pytest.fixture
def theirs(person: Person) -> Iterator[TheirSite]:
    """The description of a site in the person's home; whatever it became is deleted afterwards."""
    site = TheirSite(person)
    done = site.orthweb("init", "--name", "theirs")
    assert done.status == 0, done.all
    site.describe(f"{{web: {{port: {free_port()}}}, dicom: {{port: {free_port()}}}, orthanc: {{replicas: 2}}}}")
    try:
        yield site
    finally:
        site.down()
        shutil.rmtree(site.folder)


def test_an_ordinary_user_runs_a_whole_site(theirs: TheirSite) -> None:
    person = theirs.person
    theirs.up()
    theirs.healthy()
    running = pids(theirs)
    assert running.keys() == {"supervisor", "postgresql", "orthanc-1", "orthanc-2", "envoy", "housekeeping"}
    assert set(running.values()) <= person.processes().keys()
    for pid in person.processes():
        status = Path(f"/proc/{pid}/status").read_text()
        assert "NoNewPrivs:\t1" in status
        assert "CapEff:\t0000000000000000" in status
    assert strangers(theirs) == {}
    for path in [theirs.state, *theirs.state.rglob("*")]:
        assert path.lstat().st_uid == person.uid, path
    assert stat.S_IMODE(theirs.state.stat().st_mode) == 0o700

    stored = theirs.store(CT)
    assert stored.status == 0, stored.all
    assert len(theirs.instances()) == 1

    down = theirs.orthweb("down", "--purge", "--yes")
    assert down.status == 0, down.all
    assert not theirs.state.exists()
    eventually(lambda: not person.processes(), 10, "all processes of the person to be gone")


def strangers(site: TheirSite) -> dict[int, str]:
    """Processes of other users that have to do with the site."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in site.person.processes():
            try:
                command = (entry / "cmdline").read_text()
            except OSError:
                continue
            if str(site.folder) in command:
                found[int(entry.name)] = command
    return found


@pytest.mark.parametrize(("section", "field"), [("web", "port"), ("dicom", "port"), ("web", "redirect_port")])
def test_a_port_that_only_root_may_open_is_refused(theirs: TheirSite, section: str, field: str) -> None:
    theirs.describe(f"{section}: {{{field}: 443}}")
    done = theirs.orthweb("up")
    assert (done.status, done.out) == (2, "")
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    assert done.err == (
        f"orthweb: orthweb.yaml: {section}.{field}: 443: only root may listen below {first}: "
        f"choose a port from {first} on, or run as root\n"
    )
    assert theirs.person.processes() == {}


def test_a_port_that_somebody_else_has_is_refused_without_a_name_that_is_not_ours_to_see(
    theirs: TheirSite, site: TestSite
) -> None:
    theirs.describe(f"web: {{port: {site.web_port}}}")
    done = theirs.orthweb("up")
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        f"orthweb: orthweb.yaml: web.port: {site.web_port}: is taken by another user's process: "
        "stop it, or choose another port\n"
    )


def test_what_is_missing_is_named_with_the_line_for_the_administrator(theirs: TheirSite) -> None:
    options = theirs.person.options
    # An empty database of packages: to dpkg nothing is installed, and this user cannot change that.
    database = theirs.folder / "dpkg"
    (database / "updates").mkdir(parents=True)
    (database / "status").touch()
    options["env"]["DPKG_ADMINDIR"] = str(database)
    done = theirs.orthweb("up", **options)
    assert (done.status, done.out) == (2, "")
    packages = site_packages(s3=False, root=False)
    assert done.err == (
        f"orthweb: the packages {', '.join(packages)} are missing and only root can install them: "
        f"run: sudo apt-get install --no-install-recommends {' '.join(packages)}\n"
    )
    assert theirs.person.processes() == {}


def test_the_site_of_somebody_else_is_not_touched(site: TestSite, person: Person) -> None:
    os.chmod(site.folder, 0o755)
    there = sorted(entry.name for entry in site.state.iterdir())
    visitor = TheirSite(person)
    visitor.folder = site.folder
    for command in ("up", "down", "restart"):
        done = visitor.orthweb(command)
        assert (done.status, done.out) == (2, ""), done.all
        assert done.err == (f"orthweb: {site.state}: belongs to root: run as that user, or choose another folder\n"), (
            command
        )
    assert sorted(entry.name for entry in site.state.iterdir()) == there
    site.healthy()

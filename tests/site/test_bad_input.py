"""What a person can get wrong: one line with field, value and remedy, the right exit status, and nothing half done.

The status is 2 where the description, the command line or a file given by a person is wrong, and 1 where they are
right and this machine cannot do it now: another command is at work, the site isn't up.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import TestSite, eventually, running
from refusals import BEFORE_UP, made, processes, refused, start

from orthweb.pki import ensure_authority


@pytest.fixture
def described(folder: Path) -> TestSite:
    """A site that has a description and was never up."""
    return TestSite(folder / "site").init(more="orthanc: {replicas: 1}")


@pytest.fixture(scope="module")
def stopped() -> Iterator[TestSite]:
    """A site that was up once and is down; tests leave it so."""
    path = Path(tempfile.mkdtemp(prefix="ow-"))
    try:
        with running(path / "site", more="orthanc: {replicas: 1}") as site:
            assert site.orthweb("down", "--drain", "0").status == 0
            yield site
    finally:
        shutil.rmtree(path)


# The description ----------------------------------------------------------------------------------------------------

WRONG = {
    "an unknown key": ("web: {prot: 443}", ["web.prot: unknown key: did you mean port?"]),
    "a wrong type": ("orthanc: {replicas: three}", ["orthanc.replicas: 'three': allowed is a whole number"]),
    "a name with spaces": ("name: my site", ["name: 'my site': allowed is 2 to 32 lower-case letters"]),
    "a bad range": (
        "dicom: {allowed_cidrs: [10.0.0.0/40]}",
        ["dicom.allowed_cidrs[0]: '10.0.0.0/40': an IPv4 or IPv6 "],
    ),
    "two doors with one port": (
        "{web: {port: 8443}, dicom: {port: 8443}}",
        ["dicom.port: 8443 is already the port of "],
    ),
    "two replicas with one port": (
        "orthanc: {settings: {HttpPort: 8042}}",
        ["orthanc.settings.HttpPort: 8042: two replicas would share a port", "web.port"],
    ),
    "a password in the description": (
        "orthanc: {settings: {RegisteredUsers: {a: hunter2}}}",
        ["orthanc.settings.RegisteredUsers: (not shown)", "orthanc.users"],
    ),
    "no key for an endpoint": ("storage: {endpoint: 'https://localhost'}", ["storage.credentials: an endpoint needs"]),
    "a key file that is not there": (
        "storage: {endpoint: 'https://localhost', credentials: keys.json}",
        ["/site/keys.json: no such file: a JSON file of mode 0600"],
    ),
}


@pytest.mark.parametrize(("more", "words"), WRONG.values(), ids=WRONG)
def test_a_mistake_in_the_description_is_one_line(described: TestSite, more: str, words: list[str]) -> None:
    described.describe(more)
    refused(described.orthweb("up"), "orthweb.yaml: " if "keys.json" not in more else "", *words)
    assert processes(described) == []


def test_every_command_says_the_same_of_a_wrong_description(described: TestSite) -> None:
    described.describe("web: {port: https}")
    for words in (["status"], ["down"], ["render"], ["certs", "show"], ["password"], ["logs"], ["restart"]):
        refused(described.orthweb(*words), "orthweb.yaml: web.port: 'https': allowed is a whole number")
    assert made(described) == set()


def test_a_folder_without_a_description_is_told_how_to_make_one(folder: Path) -> None:
    refused(TestSite(folder).orthweb("up"), f"{folder}/orthweb.yaml: no such file: make one with 'orthweb init'")
    assert not (folder / ".orthweb").exists()


def test_init_does_not_write_over_a_description(described: TestSite) -> None:
    before = (described.folder / "orthweb.yaml").read_text()
    refused(described.orthweb("init"), "orthweb.yaml: is there already")
    assert (described.folder / "orthweb.yaml").read_text() == before


# Ports --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("section", ["web", "dicom"])
def test_a_port_that_is_taken_is_refused_with_who_has_it(described: TestSite, section: str, address: str) -> None:
    port = described.web_port if section == "web" else described.dicom_port
    with socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET):
        me = Path("/proc/self/comm").read_text().strip()
        refused(
            described.orthweb("up"),
            f"orthweb.yaml: {section}.port: {port}: is taken by {me} (pid {os.getpid()}): stop it, or choose another",
        )
    assert made(described) <= BEFORE_UP
    assert processes(described) == []


# Certificates -------------------------------------------------------------------------------------------------------


@pytest.fixture
def certified(described: TestSite) -> TestSite:
    """A description with a certificate of the person's own, which is right."""
    authority = ensure_authority(described.folder / "my-ca", "my authority")
    for name in ("mine", "other"):
        issued = authority.issue_server(["localhost"])
        (described.folder / f"{name}.crt").write_bytes(issued.fullchain_pem)
        (described.folder / f"{name}.key").write_bytes(issued.key_pem)
        (described.folder / f"{name}.key").chmod(0o600)
    described.describe("tls: {certificate: {certificate: mine.crt, key: mine.key}}")
    return described


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("certificate: gone.crt, key: mine.key", ["/site/gone.crt: there is no such file"]),
        ("certificate: mine.crt, key: gone.key", ["/site/gone.key: there is no such file"]),
        ("certificate: mine.crt, key: mine.key, chain: gone.pem", ["/site/gone.pem: there is no such file"]),
        ("certificate: orthweb.yaml, key: mine.key", ["/site/orthweb.yaml: ", "PEM"]),
        ("certificate: mine.crt, key: orthweb.yaml", ["/site/orthweb.yaml: ", "PEM"]),
        ("certificate: my-ca, key: mine.key", ["/site/my-ca: "]),
        ("certificate: mine.crt, key: other.key", ["/site/other.key: isn't the key of ", "/site/mine.crt"]),
        ("certificate: mine.key, key: mine.crt", ["/site/mine.crt: "]),
    ],
)
def test_a_certificate_that_cannot_serve_is_refused(certified: TestSite, section: str, words: list[str]) -> None:
    certified.describe(f"tls: {{certificate: {{{section}}}}}")
    refused(certified.orthweb("up"), *words)
    assert processes(certified) == []
    assert made(certified) <= BEFORE_UP


# Data of another version ---------------------------------------------------------------------------------------------


def test_data_of_another_postgresql_is_left_alone_until_its_server_is_there(stopped: TestSite) -> None:
    version = stopped.state / "data/postgresql/PG_VERSION"
    kept = version.read_text()
    version.write_text("9\n")
    try:
        done = stopped.orthweb("up")
        words = [f"{stopped.state}/data/postgresql: holds data of PostgreSQL 9, and {kept.strip()}", "postgresql-9"]
        refused(done, *words)
        assert processes(stopped) == []
        version.write_text("fifteen\n")
        refused(stopped.orthweb("up"), f"{version}: is damaged: bring the folder back from a backup")
    finally:
        version.write_text(kept)
    stopped.up()
    stopped.healthy()
    assert stopped.orthweb("down", "--drain", "0").status == 0


def test_a_storage_that_would_hide_the_images_is_refused(stopped: TestSite) -> None:
    before = (stopped.folder / "orthweb.yaml").read_text()
    stopped.describe("storage: s3")
    try:
        refused(stopped.orthweb("up"), "orthweb.yaml: storage: this site keeps its objects in filesystem, not in s3")
        assert processes(stopped) == []
    finally:
        (stopped.folder / "orthweb.yaml").write_text(before)


# At the wrong time ---------------------------------------------------------------------------------------------------


def test_a_second_up_at_the_same_time_is_told_who_is_at_work_and_the_first_goes_on(stopped: TestSite) -> None:
    first = start(stopped)
    try:
        eventually(lambda: (stopped.state / "lock").read_text().endswith("}"), 30, "the first up to hold the lock")
        first.send_signal(signal.SIGSTOP)
        owner = json.loads((stopped.state / "lock").read_text())
        assert (owner["reason"], owner["pid"]) == ("up", first.pid)
        for words in (["up"], ["down"], ["restart"], ["certs", "rotate"]):
            done = stopped.orthweb(*words)
            who = (
                f"'orthweb up' of {owner['user']} (pid {first.pid}) has been changing this site since {owner['since']}"
            )
            refused(done, f"{stopped.folder}: {who}: wait until it is done, then try again", status=1)
        first.send_signal(signal.SIGCONT)
        _, err = first.communicate(timeout=120)
        assert first.returncode == 0, err
        stopped.healthy()
    finally:
        first.kill()
        first.wait()
        assert stopped.orthweb("down", "--drain", "0").status == 0


def test_down_of_a_site_that_is_not_up_says_so_and_does_nothing(stopped: TestSite) -> None:
    before = made(stopped)
    for _ in range(2):
        done = stopped.orthweb("down")
        assert (done.status, done.out, done.err) == (0, "", "test is not up: nothing to stop\n")
    assert made(stopped) == before


def test_what_needs_a_site_that_is_up_says_how_to_start_it(stopped: TestSite) -> None:
    refused(stopped.orthweb("restart"), "test is not up: start it with 'orthweb up'", status=1)
    assert stopped.orthweb("status").status == 1
    assert processes(stopped) == []


def test_what_needs_a_site_that_was_up_once_says_so(described: TestSite) -> None:
    refused(described.orthweb("certs", "rotate"), "test was never up: run 'orthweb up' first", status=1)
    refused(described.orthweb("password"), "admin: has no password yet: 'orthweb up' makes one", status=1)
    refused(described.orthweb("logs"), "no logs yet: start the site with 'orthweb up'", status=1)
    refused(described.orthweb("password", "eve"), "eve: no such user: orthanc.users has admin")
    done = described.orthweb("down")
    assert (done.status, done.err) == (0, "test is not up: nothing to stop\n")


def test_a_device_s_certificate_may_come_before_the_first_up(described: TestSite) -> None:
    described.device()
    authority = described.ca.read_bytes()
    done = described.orthweb("certs", "issue", "second", "--to", described.devices)
    assert done.status == 0, done.all
    try:
        described.up()
        assert described.ca.read_bytes() == authority
        assert described.echo().status == 0
    finally:
        described.down()

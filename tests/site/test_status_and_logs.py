"""What a person sees of a site: status, logs, a password on request, and what `up` would write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from anatomy import made_files
from harness import ORTHWEB, TestSite, eventually


@pytest.fixture
def described(site: TestSite) -> Iterator[TestSite]:
    """A running site whose description the test may edit; it is what it was afterwards."""
    path = site.folder / "orthweb.yaml"
    text = path.read_text()
    yield site
    path.write_text(text)


@pytest.fixture
def new(folder: Path) -> TestSite:
    """A site that never was up."""
    return TestSite(folder / "new").init("new")


# Status ---------------------------------------------------------------------------------------------------------


def test_status_of_a_healthy_site_shows_every_part_of_it(site: TestSite) -> None:
    shown, told = site.orthweb("status"), site.orthweb("status", "--json")
    assert (shown.status, told.status) == (0, 0), shown.all
    state = json.loads(told.out)
    assert (state["up"], state["healthy"]) == (True, True)
    names = ["postgresql", "orthanc-1", "orthanc-2", "orthanc-3", "envoy", "housekeeping"]
    assert [service["name"] for service in state["services"]] == names
    assert all(service["pid"] and service["memory_mb"] > 0 for service in state["services"])
    assert all(replica["healthy"] and replica["web"] and replica["dicom"] for replica in state["replicas"])
    assert {entry["port"] for entry in state["listeners"] if entry["open"]} == {site.web_port, site.dicom_port}
    assert {"authority", "server"} <= {entry["use"] for entry in state["certificates"]}
    assert 0 < state["disk"]["free_gb"] <= state["disk"]["total_gb"]
    assert "test (dev) is healthy" in shown.out
    for word in (*names, str(site.web_port), str(site.dicom_port), str(state["services"][0]["pid"])):
        assert word in shown.out


def test_status_right_after_a_service_was_killed_is_not_healthy(site: TestSite) -> None:
    site.kill("postgresql")
    shown = site.orthweb("status")
    assert shown.status == 1, shown.all
    assert "is not healthy" in shown.out
    site.healthy()


def test_status_tells_a_hung_replica_from_the_others(site: TestSite) -> None:
    pid = site.kill("orthanc-2", signal.SIGSTOP)
    try:
        told = site.orthweb("status", "--json")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert told.status == 1, told.all
    assert [replica["healthy"] for replica in json.loads(told.out)["replicas"]] == [True, False, True]
    site.healthy()


def test_status_of_a_site_that_is_down_is_told_by_the_exit_status_as_well(new: TestSite) -> None:
    shown, told = new.orthweb("status"), new.orthweb("status", "--json")
    assert (shown.status, told.status) == (1, 1)
    state = json.loads(told.out)
    assert (state["up"], state["healthy"], state["supervisor"]) == (False, False, None)
    assert {service["state"] for service in state["services"]} == {"absent"}
    assert "new (dev) is down" in shown.out
    assert shown.err == ""
    assert not new.state.exists()


# Logs -----------------------------------------------------------------------------------------------------------


def test_logs_of_all_services_name_the_service_on_each_line(site: TestSite) -> None:
    assert site.status_code("/system") == 200
    done = site.orthweb("logs", "-n", "3")
    assert done.status == 0, done.all
    named = [line.split(": ")[0] for line in done.out.splitlines()]
    assert {"orthanc-1", "postgresql", "supervisor", "web"} <= set(named)
    assert all(named.count(name) <= 3 for name in named)


def test_logs_of_one_service_are_its_last_lines_as_they_are(site: TestSite) -> None:
    done = site.orthweb("logs", "orthanc-1", "-n", "5")
    assert done.status == 0, done.all
    written = (site.state / "logs/orthanc-1.log").read_text()
    assert len(done.out.splitlines()) == 5
    assert done.out in written


def test_logs_of_an_unknown_service_are_refused_with_those_that_are_there(site: TestSite) -> None:
    done = site.orthweb("logs", "orthanc-9")
    assert (done.status, len(done.err.splitlines())) == (2, 1), done.all
    assert "orthanc-9" in done.err
    assert "orthanc-1" in done.err


def test_logs_before_the_first_up_say_how_to_get_some(new: TestSite) -> None:
    done = new.orthweb("logs")
    assert (done.status, len(done.err.splitlines())) == (1, 1), done.all
    assert "orthweb up" in done.err


def test_followed_logs_show_new_lines_until_ctrl_c_ends_them_quietly(site: TestSite, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open(out, "wb") as file:
        command = [*ORTHWEB, "-C", str(site.folder), "logs", "web", "-f", "-n", "0"]
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        # It may not follow yet when the first requests are made.
        eventually(lambda: (site.status_code("/followed"), "/followed" in out.read_text())[1], 30, "the new line")
        process.send_signal(signal.SIGINT)
        status = process.wait(10)
    finally:
        process.kill()
        process.wait()
    assert status in (0, 130)
    assert "Traceback" not in out.read_text()


# Password and render --------------------------------------------------------------------------------------------


def test_password_shows_that_of_one_user_alone(site: TestSite, new: TestSite) -> None:
    done = site.orthweb("password")
    assert (done.status, done.err) == (0, "")
    assert done.out == site.orthweb("password", "admin").out
    assert site.status_code("/system") == 200
    unknown = site.orthweb("password", "nobody")
    assert (unknown.status, len(unknown.err.splitlines())) == (2, 1), unknown.all
    assert done.out.strip() not in unknown.all
    health = site.orthweb("password", "orthweb-health")
    assert health.status == 2, health.all
    early = new.orthweb("password")
    assert (early.status, len(early.err.splitlines())) == (1, 1), early.all


def test_render_of_a_site_that_is_as_described_shows_no_change(site: TestSite) -> None:
    files = made_files(site)
    changes = json.loads(site.orthweb("render", "--json").out)
    assert {"envoy/envoy.yaml", "orthanc-3/orthanc.json", "supervisord.conf"} <= set(changes)
    assert set(changes.values()) == {"unchanged"}
    shown = site.orthweb("render")
    assert (shown.status, "@@" in shown.out) == (0, False)
    assert made_files(site) == files


def test_render_after_an_edit_shows_the_difference_and_no_password_and_writes_nothing(described: TestSite) -> None:
    described.describe("""
        orthanc: {ae_title: EDITED, replicas: 4, users: [admin, second]}
        dicom: {client_certificates: optional}
        tls: {names: [pacs.example.org]}
    """)
    files = made_files(described)
    shown = described.orthweb("render")
    assert shown.status == 0, shown.all
    assert '+  "DicomAet": "EDITED"' in shown.out
    assert '-  "DicomAet": "ORTHANC"' in shown.out
    changes = json.loads(described.orthweb("render", "--json").out)
    assert changes["orthanc-4/orthanc.json"] == "new"
    assert changes["orthanc-1/users.json"] == "changed"
    assert changes["envoy/envoy.yaml"] == "changed"
    assert changes["postgresql/pgpass"] == "unchanged"
    for password in _passwords(described):
        assert password not in shown.all
    assert made_files(described) == files


def _passwords(site: TestSite) -> list[str]:
    secrets = site.state / "secrets"
    users = json.loads((secrets / "users.json").read_text())
    files = ("postgres-orthanc", "postgres-superuser")
    return [*users.values(), *((secrets / name).read_text().strip() for name in files)]

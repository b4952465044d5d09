"""`orthweb validate`, the network: what each check says of a good site, and of one that is broken in its way."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from breaking import assert_found, edited, restart
from harness import CLIENT_ENVIRONMENT, ORTHWEB, TestSite, free_port, own_site, run, serving
from looking import closed, of_site, open_administration, results
from people import need_root
from validating import PROVED, assert_fails, assert_passes, validate

from orthweb.local.loopback import LOOPBACK
from orthweb.validation import Status
from orthweb.validation.target import Internal, Target

# An address of this machine at which only those answer who listen on all of its addresses.
OTHERS = "127.0.0.2"
ADMINISTRATION = "Envoy's administration"


@pytest.fixture(scope="module")
def doors() -> Iterator[TestSite]:
    """A site with every port that a site may have."""
    web, dicom = f"redirect_port: {free_port()}", f"plaintext: {{port: {free_port()}, allowed_cidrs: [127.0.0.0/8]}}"
    with own_site("doors", more=f"{{web: {{{web}}}, dicom: {{{dicom}}}, orthanc: {{replicas: 1}}}}") as site:
        yield site


@contextlib.contextmanager
def described(site: TestSite, more: str) -> Iterator[None]:
    """The site with another description, of which nothing was done yet."""
    before = (site.folder / "orthweb.yaml").read_text()
    site.describe(more)
    try:
        yield
    finally:
        (site.folder / "orthweb.yaml").write_text(before)


def as_others_see(site: Target, *internals: Internal) -> Target:
    """The site with an inside view in which others reach this machine at `OTHERS`."""
    assert site.inside is not None
    inside = dataclasses.replace(site.inside, addresses=(OTHERS,), internals=internals or site.inside.internals)
    return dataclasses.replace(site, inside=inside)


# A good site ----------------------------------------------------------------------------------------------------


def test_a_good_site_passes_every_check_of_the_network(doors: TestSite, folder: Path) -> None:
    checks = ("names", "web", "dicom", "redirect", "plaintext", "addresses")
    assert_passes(doors, *(f"network.{name}" for name in checks))
    found = closed(as_others_see(of_site(doors, folder)))
    assert (found.status, found.message) == (Status.PASSED, "nothing of the site answers on 4 ports"), found


def test_ports_that_a_site_does_not_have_are_skipped_with_the_reason(site: TestSite) -> None:
    found = validate(site, "--only", "network")
    for name, reason in (("redirect", "no port that leads to HTTPS"), ("plaintext", "no port for DICOM without TLS")):
        assert found[f"network.{name}"]["status"] == "skipped"
        assert reason in found[f"network.{name}"]["message"]


# Names and open ports -------------------------------------------------------------------------------------------


@pytest.mark.twin("network.names")
def test_a_name_that_does_not_resolve_is_told(doors: TestSite, folder: Path) -> None:
    need_root("another list of name services")
    # Without a name server: nothing leaves this machine.
    services = folder / "nsswitch.conf"
    services.write_text("hosts: files\n")
    words: list[str | Path] = [
        *ORTHWEB,
        "-C",
        doors.folder,
        "validate",
        "--json",
        "--only",
        "network.names,network.addresses",
    ]
    script = 'mount --bind "$0" /etc/nsswitch.conf && exec "$@"'
    with described(doors, "tls: {names: [nowhere.example.org]}"):
        environment = {**CLIENT_ENVIRONMENT, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        done = run(["unshare", "--mount", "sh", "-c", script, services, *words], env=environment)
    assert done.status == 1, done.all
    found = {result["id"]: result for result in json.loads(done.out)["checks"]}
    names = found["network.names"]
    assert names["status"] == "failed"
    assert names["message"] == "nowhere.example.org does not resolve here: there is no such name"
    assert "/etc/hosts" in names["remedy"]
    assert {entry["name"]: entry["text"] for entry in names["evidence"]}["localhost"] == "127.0.0.1"
    assert found["network.addresses"]["status"] == "skipped"
    PROVED.add("network.names")


@pytest.mark.twin("network.addresses")
def test_a_name_that_leads_elsewhere_is_a_warning(doors: TestSite, folder: Path) -> None:
    # The site listens on 127.0.0.1 alone.
    with described(doors, "tls: {names: [localhost, 127.0.0.3]}"):
        found = results(of_site(doors, folder), "network.addresses")["network.addresses"]
    for port in (doors.web_port, doors.dicom_port):
        message = f"port {port} does not answer here under 127.0.0.3"
        assert_found(found, Status.WARNING, message, "allowed_cidrs")


@pytest.mark.parametrize(
    ("name", "described_as"),
    [
        pytest.param("web", "web: {port: PORT}", marks=pytest.mark.twin("network.web")),
        pytest.param("dicom", "dicom: {port: PORT}", marks=pytest.mark.twin("network.dicom")),
        pytest.param("redirect", "web: {redirect_port: PORT}", marks=pytest.mark.twin("network.redirect")),
        pytest.param(
            "plaintext",
            "dicom: {plaintext: {port: PORT, allowed_cidrs: [127.0.0.0/8]}}",
            marks=pytest.mark.twin("network.plaintext"),
        ),
    ],
)
def test_a_port_that_nobody_listens_on_is_told(doors: TestSite, name: str, described_as: str) -> None:
    port = free_port()
    with described(doors, described_as.replace("PORT", str(port))):
        message = f"localhost port {port} does not answer: Connection refused"
        assert_fails(doors, f"network.{name}", message, "orthweb up.*allowed_cidrs")


# Ports that must not answer -------------------------------------------------------------------------------------


@pytest.mark.twin("network.closed")
def test_orthancs_ports_that_are_open_to_others_are_told(doors: TestSite, folder: Path) -> None:
    library = doors.state / "lib" / LOOPBACK
    hidden = library.rename(library.with_suffix(".hidden"))
    try:
        restart(doors, "orthanc-1")
        found = closed(as_others_see(of_site(doors, folder)))
    finally:
        hidden.rename(library)
        restart(doors, "orthanc-1")
    remedy = "listen on loopback .* or close the port"
    ports = json.loads((doors.state / "ports.json").read_text())
    for name in ("http", "dicom"):
        where = f"{OTHERS} port {ports[f'orthanc-1/{name}']}"
        message = f"something that speaks TLS answers others on {where}, a port of Orthanc's"
        assert_found(found, Status.FAILED, message, remedy)
    assert closed(as_others_see(of_site(doors, folder))).status is Status.PASSED


@pytest.mark.twin("network.closed")
def test_a_database_that_is_open_to_others_is_told(doors: TestSite, folder: Path) -> None:
    settings = doors.state / "config/postgresql/postgresql.conf"
    try:
        with edited(settings, "^listen_addresses = .*", "listen_addresses = '*'"):
            restart(doors, "postgresql")
            found = closed(as_others_see(of_site(doors, folder)))
    finally:
        restart(doors, "postgresql")
    assert_found(found, Status.FAILED, f"PostgreSQL answers others on {OTHERS} port", "listen on loopback")
    assert len(found.findings) == 1


@pytest.mark.twin("network.closed")
def test_an_administration_that_is_open_to_others_is_told(doors: TestSite, folder: Path) -> None:
    with open_administration(folder) as port:
        here = as_others_see(of_site(doors, folder), Internal(ADMINISTRATION, port))
        message = f"Envoy's administration answers others on {OTHERS} port {port}"
        assert_found(closed(here), Status.FAILED, message, "listen on loopback")


def test_a_service_of_somebody_else_on_such_a_port_is_named_and_fails_nothing(doors: TestSite, folder: Path) -> None:
    port = free_port()
    with serving([sys.executable, "-m", "http.server", "--directory", folder, str(port)], port):
        found = closed(as_others_see(of_site(doors, folder), Internal(ADMINISTRATION, port)))
    assert found.status is Status.PASSED
    assert f"{OTHERS} port {port} is somebody else's (a web server)" in found.message


def test_a_machine_that_others_cannot_reach_is_skipped(doors: TestSite, folder: Path) -> None:
    here = of_site(doors, folder)
    assert here.inside is not None
    found = closed(dataclasses.replace(here, inside=dataclasses.replace(here.inside, addresses=())))
    assert (found.status, "no address that others could reach" in found.message) == (Status.SKIPPED, True)

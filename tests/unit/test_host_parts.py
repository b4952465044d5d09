"""What a host finds out by itself: addresses, images, authorities, states, and what Docker's words mean."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from orthweb.errors import Failure, InputError
from orthweb.host import docker
from orthweb.host.blocks import free_block, routes
from orthweb.host.images import image_versions, may_change_schema
from orthweb.host.report import FAILED, WAITING, Report, read_state
from orthweb.host.trust import database_authorities
from orthweb.host.values import parse_values, read_host_file
from orthweb.site.voice import Voice

VALUES = {
    "site": "clinic",
    "environment": "production",
    "owner": "radiology",
    "region": "eu-central-1",
    "description": {"orthanc": {"replicas": 2}, "web": {"allowed_cidrs": ["10.0.0.0/8"]}},
    "address": "203.0.113.7",
    "hosts": {"primary": {"id": "i-1"}, "secondary": {"id": "i-2"}},
    "storage": {"bucket": "clinic-objects", "root_path": "objects"},
    "database": {"host": "db", "port": 5432, "name": "orthanc", "secret": "arn:db"},
    "secrets": {"server-certificate": "arn:1", "internal": "arn:2", "users": "arn:3"},
    "log_groups": {"boot": "b", "containers": "c", "envoy": "e"},
    "metric_namespace": "Orthweb",
    "something_newer": 1,
}


# Values -----------------------------------------------------------------------------------------------------------


def test_values_describe_the_site_as_its_yaml_does() -> None:
    values = parse_values(json.dumps(VALUES), "s3://b/values.json")
    site = values.described()
    assert (site.name, site.environment, site.orthanc.replicas) == ("clinic", "production", 2)
    assert site.web.allowed_cidrs == ["10.0.0.0/8"]
    assert values.role("i-2") == "secondary"


def test_without_a_description_the_security_group_alone_says_who_may_connect() -> None:
    site = parse_values(json.dumps({**VALUES, "description": {}}), "x").described()
    assert site.dicom.allowed_cidrs == ["0.0.0.0/0"]


def test_a_host_that_was_replaced_is_told_so() -> None:
    with pytest.raises(Failure, match="i-9 is no host of clinic"):
        parse_values(json.dumps(VALUES), "x").role("i-9")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"database": None}, "s3://b/values.json: database"),
        ({"secrets": {"internal": "a", "users": "b"}}, "secrets.server-certificate: Field required"),
        ({"database": {"host": "db", "port": "x", "name": "o", "secret": "s"}}, "database.port"),
    ],
)
def test_values_that_do_not_fit_name_the_field(change: dict[str, object], message: str) -> None:
    with pytest.raises(Failure, match=message):
        parse_values(json.dumps({**VALUES, **change}), "s3://b/values.json")


def test_a_host_file_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"host.json: cannot be read \(No such file"):
        read_host_file(tmp_path / "host.json")
    (tmp_path / "host.json").write_text('{"site": "clinic"}')
    with pytest.raises(InputError, match=r"host\.json: region: Field required"):
        read_host_file(tmp_path / "host.json")


# Addresses --------------------------------------------------------------------------------------------------------


def test_a_block_of_addresses_is_the_same_each_time_and_passes_over_what_is_taken() -> None:
    first = free_block([], "clinic")
    assert free_block([], "clinic") == first
    second = free_block([str(first), "2001:db8::/32"], "clinic")
    assert second != first
    assert not second.overlaps(first)
    assert second.subnet_of(ipaddress.IPv4Network("198.18.0.0/15"))


def test_no_block_is_left_where_all_is_taken() -> None:
    with pytest.raises(Failure, match="no network of /24 is left"):
        free_block(["198.0.0.0/8"], "clinic")


def test_the_routes_of_a_machine_are_read(tmp_path: Path) -> None:
    table = tmp_path / "route"
    table.write_text(
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t00001BAC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    )
    assert routes(table) == ["172.27.0.0/16"]


# Images -----------------------------------------------------------------------------------------------------------


class _Engine(docker.Docker):
    """An engine whose images are these."""

    def __init__(self, images: dict[str, dict[str, str]]) -> None:
        self._labels = images

    def image(self, name: str) -> dict[str, object] | None:
        return {"Config": {"Labels": self._labels[name]}} if name in self._labels else None


@pytest.mark.parametrize(
    ("image", "labels", "spreads"),
    [
        ("orthancteam/orthanc:26.8.1", {}, True),
        ("registry.test/orthancteam/orthanc:25.1.0@sha256:0", {}, True),
        ("orthancteam/orthanc:24.9.1", {}, False),
        ("orthancteam/orthanc:latest", {}, False),
        ("own", {"org.orthanc-server.version": "1.12.7", "org.orthanc-server.postgresql-plugin": "7.2"}, True),
        ("own", {"org.orthanc-server.version": "1.12.7", "org.orthanc-server.postgresql-plugin": "5.0"}, False),
    ],
)
def test_an_image_tells_whether_its_plugin_spreads_writers(image: str, labels: dict[str, str], spreads: bool) -> None:
    found = image_versions(_Engine({image: labels}), image)
    assert (found.postgresql_plugin >= (6,)) is spreads


def test_a_schema_may_change_unless_both_images_say_the_same_of_their_plugin() -> None:
    plugin = "org.orthanc-server.postgresql-plugin"
    engine = _Engine({"a": {plugin: "5.0"}, "b": {plugin: "5.0"}, "c": {plugin: "7.2"}, "public": {}})
    assert [may_change_schema(engine, "a", other) for other in ("b", "c", "public")] == [False, True, True]


# Trust ------------------------------------------------------------------------------------------------------------


def test_only_the_authorities_of_the_region_are_trusted_and_those_that_were_added(tmp_path: Path) -> None:
    found = x509.load_pem_x509_certificates(database_authorities("eu-central-1", tmp_path).encode())
    names = [certificate.subject.rfc4514_string() for certificate in found]
    assert len(names) == 3
    assert all("eu-central-1" in name for name in names)
    (tmp_path / "own.crt").write_text("own\n")
    assert database_authorities("eu-central-1", tmp_path).endswith("own\n")


def test_of_a_region_that_is_newer_than_this_package_all_of_amazons_are_trusted(tmp_path: Path) -> None:
    found = x509.load_pem_x509_certificates(database_authorities("xx-north-9", tmp_path).encode())
    assert len(found) > 50


# States -----------------------------------------------------------------------------------------------------------


def test_a_state_is_kept_said_once_and_sent(tmp_path: Path) -> None:
    said: list[str] = []
    sent: list[str] = []
    report = Report(tmp_path / "state.json", Voice(said.append, said.append, said.append), "1.2")
    report.send = sent.append
    for _ in range(2):
        report.tell(WAITING, "secret x: is not there yet")
    assert said == ["waiting: secret x: is not there yet"]
    assert [json.loads(line)["state"] for line in sent] == [WAITING]
    report.tell(FAILED, "a reason")
    state = read_state(tmp_path / "state.json")
    assert state is not None
    assert (state.state, state.message, state.version) == (FAILED, "a reason", "1.2")


def test_a_log_that_cannot_be_reached_does_not_stop_a_host(tmp_path: Path) -> None:
    def refuses(_: str) -> None:
        raise Failure("log group b: cannot be reached")

    report = Report(tmp_path / "state.json", Voice(lambda _: None, lambda _: None, lambda _: None), "1")
    report.send = refuses
    report.tell(WAITING, "something")
    assert read_state(tmp_path / "state.json") is not None


def test_before_anything_was_told_there_is_no_state(tmp_path: Path) -> None:
    assert read_state(tmp_path / "state.json") is None


# Docker's words ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "message", "remedy"),
    [
        ("Cannot connect to the Docker daemon at unix:///x.", "Docker does not run", "systemctl start docker"),
        ("permission denied while trying to connect to the docker API", "may not be used by this user", "group docker"),
        ("write /var/lib: no space left on device", "has no room left", "docker system df"),
        ("Bind for 0.0.0.0:443 failed: port is already allocated", "finds a port taken", "docker ps"),
        ("manifest for x:1 not found: manifest unknown", "finds no such image", "correct the image's name"),
        ("dial tcp: lookup registry: no such host", "cannot look up the registry", "bring the images along"),
        ("failed to initialize logging driver: RequestError", "cannot reach CloudWatch", "role"),
        ("some other error", "docker compose up failed: some other error", "docker ps --all"),
    ],
)
def test_what_an_engine_says_becomes_one_line_with_a_remedy(said: str, message: str, remedy: str) -> None:
    done = subprocess.CompletedProcess(["docker"], 1, "", f"time=x level=warning\n{said}\n")
    with pytest.raises(Failure) as caught:
        docker._checked(done, "docker compose up")
    assert message in caught.value.message
    assert remedy in caught.value.remedy
    assert "\n" not in str(caught.value)

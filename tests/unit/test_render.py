"""Rendering as a value: what the files of a site say."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from psycopg.conninfo import conninfo_to_dict
from rendering import (
    EVERY_KIND,
    NEW_PLUGIN,
    OLD_PLUGIN,
    SECRETS,
    addresses,
    dicom_cluster,
    envoy,
    of_kind,
    orthanc,
    place,
    postgres_settings,
    rendered,
    site,
)

from orthweb.errors import InputError
from orthweb.render import render
from orthweb.render.files import fingerprint
from orthweb.render.orthanc import check_settings, index_connections, owned_settings
from orthweb.render.supervisor import Program
from orthweb.site.load import parse_site
from orthweb.site.model import HEALTH_USER

# What holds of every site -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", EVERY_KIND)
def test_the_same_site_makes_the_same_files(more: str) -> None:
    first, second = of_kind(more), of_kind(more)
    assert first == second
    assert list(first) == list(second)


@pytest.mark.parametrize("more", EVERY_KIND)
def test_a_secret_stands_in_no_file_that_may_be_shown(more: str) -> None:
    basic = base64.b64encode(f"{HEALTH_USER}:{SECRETS.users[HEALTH_USER]}".encode()).decode()
    for path, file in of_kind(more).items():
        tells = basic in file.text or "Secret-" in file.text
        assert tells == file.secret, path


# Orthanc ------------------------------------------------------------------------------------------------------------


def test_every_replica_has_an_identity_and_ports_of_its_own() -> None:
    files = rendered("orthanc: {replicas: 3}")
    replicas = [orthanc(files, number) for number in (1, 2, 3)]
    for option in ("Name", "DatabaseServerIdentifier", "HttpPort", "DicomPort"):
        assert len({replica[option] for replica in replicas}) == 3, option
    for option in ("DicomAet", "StorageDirectory", "PostgreSQL"):
        assert replicas[0][option] == replicas[1][option] == replicas[2][option], option


def test_every_replica_knows_every_modality() -> None:
    described = (
        "{ct: {ae_title: CT1, host: 10.0.0.7}, ws: {ae_title: WS, host: ws.example.org, port: 11113, tls: true}}"
    )
    files = rendered(f"orthanc: {{modalities: {described}}}")
    for number in (1, 2, 3):
        assert orthanc(files, number)["DicomModalities"] == {
            "orthweb": {"AET": "ORTHWEB", "Host": "127.0.0.1", "Port": 104, "UseDicomTls": False},
            "ct": {"AET": "CT1", "Host": "10.0.0.7", "Port": 104, "UseDicomTls": False},
            "ws": {"AET": "WS", "Host": "ws.example.org", "Port": 11113, "UseDicomTls": True},
        }


def test_the_users_of_the_web_page_are_those_of_the_site_and_no_standard_one() -> None:
    files = rendered()
    assert json.loads(files["orthanc-2/users.json"].text) == {"RegisteredUsers": dict(SECRETS.users)}
    assert orthanc(files)["AuthenticationEnabled"] is True
    assert "orthanc" not in SECRETS.users


@pytest.mark.parametrize(
    ("more", "everybody"),
    [
        ("", True),
        ("dicom: {client_certificates: optional}", False),
        ("dicom: {client_certificates: off}", False),
        ("dicom: {plaintext: {allowed_cidrs: [10.0.0.0/8]}}", False),
    ],
)
def test_only_where_every_device_shows_a_certificate_may_unlisted_ones_store(more: str, everybody: bool) -> None:
    settings = orthanc(rendered(more))
    assert settings["DicomAlwaysAllowStore"] is everybody
    assert settings["DicomAlwaysAllowEcho"] is everybody


def test_settings_of_the_person_win_and_leave_their_neighbours_alone() -> None:
    more = "orthanc: {settings: {StorageCompression: true, StableAge: 5, DicomWeb: {StowMaxSize: 7}}}"
    settings, plain = orthanc(rendered(more)), orthanc(rendered())
    assert settings == plain | {
        "StorageCompression": True,
        "StableAge": 5,
        "DicomWeb": plain["DicomWeb"] | {"StowMaxSize": 7},
    }


def test_settings_that_replace_orthweb_s_own_draw_a_warning_with_both_values() -> None:
    more = "orthanc: {settings: {StorageCompression: true, KeepAlive: true, Zulu: 1, PostgreSQL: {Lock: true}}}"
    assert owned_settings(site(more), place()) == [
        "orthweb.yaml: orthanc.settings.StorageCompression: True replaces Orthweb's own False",
        "orthweb.yaml: orthanc.settings.PostgreSQL.Lock: True replaces Orthweb's own False",
    ]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("HttpPort: 8042", r"^orthweb\.yaml: orthanc\.settings\.HttpPort: 8042: two replicas would share a port;"),
        ("DicomPort: 4242", r"^orthweb\.yaml: orthanc\.settings\.DicomPort: 4242: two replicas would share a port;"),
        ("RegisteredUsers: {a: hunter2}", r"^orthweb\.yaml: orthanc\.settings\.RegisteredUsers: .*orthanc\.users"),
        ("AwsS3Storage: {SecretKey: hunter2}", r"^orthweb\.yaml: orthanc\.settings\.AwsS3Storage: .*storage"),
    ],
)
def test_settings_that_no_site_works_with_are_refused_and_a_password_is_not_shown(setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        check_settings(site(f"orthanc: {{settings: {{{setting}}}}}"))
    assert "hunter2" not in str(caught.value)


# The database -------------------------------------------------------------------------------------------------------


def test_with_an_old_plugin_one_replica_writes_and_the_others_stand_by() -> None:
    files = rendered("", place(plugin=OLD_PLUGIN))
    section = orthanc(files)["PostgreSQL"]
    assert section["IndexConnectionsCount"] == 1
    assert "TransactionMode" not in section
    groups = [(group.get("priority", 0), len(group["lb_endpoints"])) for group in dicom_cluster(files)]
    assert groups == [(0, 1), (1, 1), (2, 1)]


def test_with_a_new_plugin_all_replicas_write() -> None:
    files = rendered("", place(plugin=NEW_PLUGIN))
    section = orthanc(files)["PostgreSQL"]
    assert section["IndexConnectionsCount"] > 1
    assert section["TransactionMode"] == "ReadCommitted"
    groups = [(group.get("priority", 0), len(group["lb_endpoints"])) for group in dicom_cluster(files)]
    assert groups == [(0, 3)]


@pytest.mark.parametrize("plugin", [OLD_PLUGIN, NEW_PLUGIN])
@pytest.mark.parametrize("replicas", [1, 3, 16])
def test_the_database_takes_all_connections_that_the_replicas_may_open(replicas: int, plugin: tuple[int, ...]) -> None:
    where = place(replicas=replicas, plugin=plugin)
    wanted = replicas * int(orthanc(rendered("", where))["PostgreSQL"]["IndexConnectionsCount"])
    assert wanted == replicas * index_connections(where)
    # PostgreSQL keeps three for the superuser, and somebody has to look after it.
    assert int(postgres_settings(rendered("", where))["max_connections"]) >= wanted + 3 + 5


def test_the_index_is_reached_over_tls_that_is_verified_and_the_index_is_not_locked() -> None:
    section = orthanc(rendered())["PostgreSQL"]
    assert section["Lock"] is False
    read = conninfo_to_dict(section["ConnectionUri"])
    assert read["sslmode"] == "verify-full"
    assert "password" not in read


def test_the_database_is_reached_from_this_machine_only_with_a_password_over_tls() -> None:
    files = rendered()
    assert postgres_settings(files)["listen_addresses"] == "'127.0.0.1'"
    rules = [line.split() for line in files["postgresql/pg_hba.conf"].text.splitlines()]
    assert all(rule[0] == "hostssl" and rule[3] == "127.0.0.1/32" and rule[4] == "scram-sha-256" for rule in rules)


# The proxy ----------------------------------------------------------------------------------------------------------


def test_a_site_for_this_machine_listens_on_loopback_only() -> None:
    files = rendered("web: {port: 8443}\ndicom: {port: 2762}")
    assert addresses(files, "web") == [("127.0.0.1", 8443), ("::1", 8443)]
    assert addresses(files, "dicom") == [("127.0.0.1", 2762), ("::1", 2762)]


@pytest.mark.parametrize("cidr", ["192.168.1.0/24", "2001:db8::/32", "126.0.0.0/7"])
def test_a_site_for_others_listens_on_all_addresses_of_that_port(cidr: str) -> None:
    files = rendered(f"web: {{allowed_cidrs: [127.0.0.0/8, '{cidr}']}}")
    assert [address for address, _ in addresses(files, "web")] == ["0.0.0.0", "::"]
    assert [address for address, _ in addresses(files, "dicom")] == ["127.0.0.1", "::1"]


def test_without_ipv6_no_listener_asks_for_it() -> None:
    files = rendered("web: {redirect_port: 80, allowed_cidrs: ['::/0']}", replace(place(), ipv6=False))
    assert "::" not in [address for name in ("web", "dicom", "redirect") for address, _ in addresses(files, name)]


def test_the_doors_that_a_site_does_not_ask_for_are_not_there() -> None:
    listeners = [entry["name"] for entry in envoy(rendered())["static_resources"]["listeners"]]
    assert listeners == ["web", "dicom"]
    more = "web: {redirect_port: 80}\ndicom: {plaintext: {allowed_cidrs: [10.1.0.0/16]}}"
    listeners = [entry["name"] for entry in envoy(rendered(more))["static_resources"]["listeners"]]
    assert sorted(listeners) == ["dicom", "dicom-plaintext", "redirect", "web"]


def test_the_administration_is_no_port() -> None:
    assert list(envoy(rendered())["admin"]["address"]) == ["pipe"]


# What a change restarts ---------------------------------------------------------------------------------------------


def restarted(old: str, new: str) -> Sequence[str]:
    where = place()
    names = ["orthanc-1", "envoy", "postgresql"]
    before, after = rendered(old, where), rendered(new, where)
    return [n for n in names if fingerprint(Program(n, []), before) != fingerprint(Program(n, []), after)]


@pytest.mark.parametrize(
    ("new", "services"),
    [
        ("owner: somebody", []),
        ("orthanc: {modalities: {ct: {ae_title: CT, host: 10.0.0.7}}}", ["orthanc-1"]),
        ("orthanc: {settings: {StableAge: 5}}", ["orthanc-1"]),
        ("web: {port: 8443}", ["envoy"]),
        ("dicom: {allowed_cidrs: [10.0.0.0/8]}", ["envoy"]),
    ],
)
def test_a_change_restarts_only_what_reads_it(new: str, services: list[str]) -> None:
    assert restarted("", new) == services


def test_another_server_certificate_restarts_nothing() -> None:
    where = place()
    files = replace(where.files, server_certificate=PurePosixPath("/x.crt"), server_key=PurePosixPath("/x.key"))
    before, after = rendered("", where), rendered("", replace(where, files=files))
    assert before["envoy/sds-server.yaml"] != after["envoy/sds-server.yaml"]
    assert fingerprint(Program("envoy", []), before) == fingerprint(Program("envoy", []), after)


@pytest.mark.parametrize("name", ["off", "no", "yes", "on"])
def test_a_site_whose_name_is_a_word_for_true_or_false_keeps_it(name: str) -> None:
    # Envoy reads YAML 1.1, where the bare word would be a truth value.
    text = render(parse_site(f"name: {name}\n"), place(), SECRETS, [])["envoy/envoy.yaml"].text
    assert f'id: "{name}"' in text

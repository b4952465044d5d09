"""What `orthweb validate` says of the Orthanc servers behind the proxy: of a good site, and of broken ones."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from breaking_web import cluster, proxy_changed, replicas_changed, serve, web_host
from harness import TestSite
from validating import assert_fails, assert_passes

REPLICAS = [
    "replicas.answer",
    "replicas.study",
    "replicas.version",
    "replicas.configuration",
    "replicas.identifier",
    "replicas.affinity",
    "replicas.spread",
]


def test_a_good_site_passes_every_check_of_its_servers(site: TestSite) -> None:
    results = assert_passes(site, *REPLICAS)
    assert {name for name in results if name.startswith("replicas.")} == set(REPLICAS)
    assert site.password() not in json.dumps(results)


@pytest.mark.twin("replicas.answer")
def test_a_server_that_hangs_is_found(breakable: TestSite) -> None:
    pid = breakable.kill("orthanc-3", signal.SIGSTOP)
    try:
        result = assert_fails(
            breakable, "replicas.answer", "orthanc-3 does not answer: nothing came in time", "orthweb logs orthanc-3"
        )
        assert len(result["findings"]) == 1
    finally:
        os.kill(pid, signal.SIGCONT)
        serve(breakable)


def _not_to(site: TestSite, name: str) -> Callable[[dict[str, Any]], None]:
    """What makes the proxy's web cluster do without a server."""
    port = json.loads((site.state / "ports.json").read_text())[f"{name}/http"]

    def change(envoy: dict[str, Any]) -> None:
        (locality,) = cluster(envoy, "orthanc-web")["load_assignment"]["endpoints"]
        locality["lb_endpoints"] = [
            each
            for each in locality["lb_endpoints"]
            if each["endpoint"]["address"]["socket_address"]["port_value"] != port
        ]

    return change


def _own_index(options: dict[str, Any]) -> None:
    # Its index is then a file of its own.
    options["PostgreSQL"]["EnableIndex"] = False
    options["IndexDirectory"] = f"{options['TemporaryDirectory']}/own-index"


def _own_storage(options: dict[str, Any]) -> None:
    options["StorageDirectory"] = f"{options['TemporaryDirectory']}/own-storage"


@pytest.mark.twin("replicas.study")
@pytest.mark.parametrize(
    ("change", "message", "remedy"),
    [
        (_own_index, "orthanc-3 does not see the test study: it is on another database", "PostgreSQL"),
        (_own_storage, "orthanc-3 knows the test image and cannot read it", "StorageDirectory"),
    ],
    ids=["another_database", "another_storage"],
)
def test_a_server_on_other_data_than_the_others_is_found(
    breakable: TestSite, change: Callable[[dict[str, Any]], None], message: str, remedy: str
) -> None:
    # Out of the proxy's reach, or whatever else asks for the study, and removes it, might end up there.
    with (
        replicas_changed(breakable, ["orthanc-3"], change),
        proxy_changed(breakable, _not_to(breakable, "orthanc-3"), without=["orthanc-3"]),
    ):
        assert_fails(breakable, "replicas.study", message, remedy)


def _without_dicomweb(options: dict[str, Any]) -> None:
    options["Plugins"] = [path for path in options["Plugins"] if "DicomWeb" not in path]


def _same_identifier(options: dict[str, Any]) -> None:
    options["DatabaseServerIdentifier"] = options["DatabaseServerIdentifier"].replace("orthanc-3", "orthanc-1")


@pytest.mark.parametrize(
    ("change", "check", "message", "remedy"),
    [
        pytest.param(
            _without_dicomweb,
            "replicas.version",
            r"plugin dicom-web is [\d.]+ at orthanc-1, orthanc-2, and not there at orthanc-3",
            "same packages",
            marks=pytest.mark.twin("replicas.version"),
            id="without_a_plugin",
        ),
        pytest.param(
            _same_identifier,
            "replicas.identifier",
            "orthanc-1 and orthanc-3 have the same DatabaseServerIdentifier",
            "each its own",
            marks=pytest.mark.twin("replicas.identifier"),
            id="with_the_identifier_of_another",
        ),
    ],
)
def test_a_server_that_is_not_like_the_others_is_found(
    breakable: TestSite, change: Callable[[dict[str, Any]], None], check: str, message: str, remedy: str
) -> None:
    with replicas_changed(breakable, ["orthanc-3"], change):
        assert_fails(breakable, check, message, remedy)


@pytest.mark.twin("replicas.configuration")
def test_a_server_with_other_options_is_found_and_what_is_secret_is_not_shown(breakable: TestSite) -> None:
    def change(options: dict[str, Any]) -> None:
        options["DicomAet"] = "ANOTHER"
        options["OverwriteInstances"] = True
        options["DicomModalities"]["orthweb"]["Port"] = 4242
        options["OrthancPeers"] = {"far": {"Url": "https://far.example:8042/", "Username": "me", "Password": "hush"}}

    with replicas_changed(breakable, ["orthanc-3"], change):
        message = "DicomAet is ORTHANC at orthanc-1, orthanc-2, and ANOTHER at orthanc-3"
        result = assert_fails(breakable, "replicas.configuration", message, "orthweb restart")
    found = [finding["message"] for finding in result["findings"]]
    assert "DicomAet as it runs is ORTHANC at orthanc-1, orthanc-2, and ANOTHER at orthanc-3" in found
    assert "modality orthweb.Port as it runs is 104 at orthanc-1, orthanc-2, and 4242 at orthanc-3" in found
    assert "OverwriteInstances is not there at orthanc-1, orthanc-2, and true at orthanc-3" in found
    told = "OrthancPeers.far.Password is not there at orthanc-1, orthanc-2, and a value that is not shown"
    assert any(one.startswith(told) for one in found)
    assert "hush" not in json.dumps(result)


@pytest.mark.twin("replicas.affinity")
def test_a_proxy_without_affinity_is_found(breakable: TestSite) -> None:
    def change(envoy: dict[str, Any]) -> None:
        for route in web_host(envoy)["routes"]:
            del route["route"]["hash_policy"]

    with proxy_changed(breakable, change):
        assert_fails(breakable, "replicas.affinity", "20 requests of one session .*the site gives no cookie", "cookie")


@pytest.mark.twin("replicas.spread")
def test_a_server_that_the_proxy_does_not_use_is_found(breakable: TestSite) -> None:
    with proxy_changed(breakable, _not_to(breakable, "orthanc-3"), without=["orthanc-3"]):
        assert_fails(
            breakable,
            "replicas.spread",
            "none of 60 new sessions to orthanc-3",
            "lists orthanc-3",
            status="warning",
        )

"""What `orthweb validate` says of the web port: of a good site, of broken ones, and of somebody else's Orthanc."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from breaking_web import (
    REPLICAS,
    cluster,
    instances_changed,
    proxy_changed,
    replicas_changed,
    web_chains,
    web_host,
    web_manager,
)
from harness import TestSite, free_port, serving
from validating import assert_fails, assert_passes, validate

from orthweb.validation import Report, Status, select
from orthweb.validation import validate as validate_target
from orthweb.validation.samples import phantom
from orthweb.validation.target import Credentials, DicomDoor, Target, WebDoor

WEB = [
    "web.answers",
    "web.redirect",
    "web.anonymous",
    "web.wrong-password",
    "web.well-known-logins",
    "web.methods",
    "web.traversal",
    "web.login",
    "web.explorer",
    "web.qido",
    "web.wado",
    "web.rendered",
    "web.headers",
    "web.healthz",
]


def test_a_good_site_passes_every_check_of_the_web_port(site: TestSite) -> None:
    results = assert_passes(site, *WEB)
    assert {name for name in results if name.startswith("web.")} == set(WEB)
    assert results["data.removed"]["status"] == "passed"
    assert site.password() not in json.dumps(results)
    report = json.loads(site.orthweb("validate", "--json", "--only", "web.rendered").out)
    assert {"Orthanc", "DICOMweb plugin", "PostgreSQL plugin"} <= set(report["versions"])


# The proxy -----------------------------------------------------------------------------------------------------------


def _header(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _without_header(name: str) -> Callable[[dict[str, Any]], None]:
    def change(envoy: dict[str, Any]) -> None:
        host = web_host(envoy)
        host["response_headers_to_add"] = [
            each for each in host["response_headers_to_add"] if each["header"]["key"] != name
        ]

    return change


def _errors_tell_a_version(envoy: dict[str, Any]) -> None:
    answer = web_manager(envoy)["local_reply_config"]["mappers"][0]
    answer["headers_to_add"] = [_header("server", "Envoy/1.40")]


def _no_redirect(envoy: dict[str, Any]) -> None:
    web_chains(envoy).pop()


def _redirect_elsewhere(envoy: dict[str, Any]) -> None:
    manager = web_chains(envoy)[1]["filters"][-1]["typed_config"]
    manager["route_config"]["virtual_hosts"][0]["routes"][0]["redirect"]["port_redirect"] = 443


def _plain_http(envoy: dict[str, Any]) -> None:
    https, plain = web_chains(envoy)
    plain["filters"] = https["filters"]


def _no_healthz(envoy: dict[str, Any]) -> None:
    manager = web_manager(envoy)
    manager["http_filters"] = [each for each in manager["http_filters"] if "health_check" not in each["name"]]


def _first_route(envoy: dict[str, Any], match: dict[str, Any], answer: dict[str, Any]) -> None:
    web_host(envoy)["routes"].insert(0, {"match": match, "direct_response": answer})


def _answers_trace(envoy: dict[str, Any]) -> None:
    trace = {"prefix": "/", "headers": [{"name": ":method", "string_match": {"exact": "TRACE"}}]}
    _first_route(envoy, trace, {"status": 200})


def _serves_the_machine(envoy: dict[str, Any]) -> None:
    _first_route(envoy, {"prefix": "/etc/passwd"}, {"status": 200, "body": {"filename": "/etc/passwd"}})


def _keeps_a_script(envoy: dict[str, Any]) -> None:
    _first_route(envoy, {"path": "/app/explorer.js"}, {"status": 404})


@pytest.mark.parametrize(
    ("change", "check", "message", "status"),
    [
        pytest.param(
            _no_redirect,
            "web.redirect",
            "plain HTTP on port [0-9]+ is not redirected",
            "warning",
            id="plain_http_is_hung_up_on",
        ),
        pytest.param(
            _redirect_elsewhere,
            "web.redirect",
            "redirects to port 443, where the web port is",
            "failed",
            marks=pytest.mark.twin("web.redirect"),
            id="plain_http_is_led_astray",
        ),
        pytest.param(
            _plain_http,
            "web.redirect",
            "answers plain HTTP with 401, so that passwords",
            "failed",
            marks=pytest.mark.twin("web.redirect"),
            id="plain_http_is_answered",
        ),
        pytest.param(
            _without_header("strict-transport-security"),
            "web.headers",
            "strict-transport-security .* missing or weak in the answer to /system",
            "failed",
            marks=pytest.mark.twin("web.headers"),
            id="browsers_are_not_told_to_stay_on_https",
        ),
        pytest.param(
            _errors_tell_a_version,
            "web.headers",
            "missing or weak in the answer to a malformed address",
            "warning",
            id="errors_lack_the_headers_and_tell_a_version",
        ),
        pytest.param(
            _no_healthz,
            "web.healthz",
            "/healthz answers 401",
            "failed",
            marks=pytest.mark.twin("web.healthz"),
            id="healthz_asks_for_a_login",
        ),
        pytest.param(
            _answers_trace,
            "web.methods",
            "TRACE is answered with 200",
            "failed",
            marks=pytest.mark.twin("web.methods"),
            id="trace_is_answered",
        ),
        pytest.param(
            _serves_the_machine,
            "web.traversal",
            "gives a file of the machine",
            "failed",
            marks=pytest.mark.twin("web.traversal"),
            id="files_of_the_machine_are_served",
        ),
        pytest.param(
            _keeps_a_script,
            "web.explorer",
            "the script /app/explorer.js of the web page answers 404",
            "failed",
            marks=pytest.mark.twin("web.explorer"),
            id="the_page_lacks_a_script",
        ),
    ],
)
def test_a_proxy_that_is_set_up_wrong_is_found(
    breakable: TestSite, change: Callable[[dict[str, Any]], None], check: str, message: str, status: str
) -> None:
    with proxy_changed(breakable, change):
        assert_fails(breakable, check, message, "orthweb", status=status)


@pytest.mark.twin("web.answers")
def test_a_proxy_that_reaches_no_orthanc_server_is_found(breakable: TestSite) -> None:
    def change(envoy: dict[str, Any]) -> None:
        cluster(envoy, "orthanc-web")["load_assignment"]["endpoints"] = []

    with proxy_changed(breakable, change, without=REPLICAS):
        result = assert_fails(breakable, "web.answers", "answers 503: the proxy finds no Orthanc", "orthweb status")
        assert result["evidence"]
        results = validate(breakable, "--only", "web")
    # One thing is wrong: what builds on it says no more than that.
    assert results["web.login"]["message"] == "it needs web.answers, which failed"


@pytest.mark.twin("web.redirect")
def test_a_port_that_should_redirect_and_does_not_answer_is_found(breakable: TestSite) -> None:
    port = free_port()
    before = (breakable.folder / "orthweb.yaml").read_text()
    breakable.describe(f"{{web: {{redirect_port: {port}}}}}")
    try:
        assert_fails(breakable, "web.redirect", f"port {port} does not redirect", "web.redirect_port")
    finally:
        (breakable.folder / "orthweb.yaml").write_text(before)


# Logins --------------------------------------------------------------------------------------------------------------


@pytest.mark.twin("web.anonymous", "web.wrong-password", "web.well-known-logins")
def test_an_orthanc_that_asks_for_no_login_is_found(breakable: TestSite) -> None:
    with replicas_changed(breakable, REPLICAS, lambda options: options.update(AuthenticationEnabled=False)):
        anonymous = assert_fails(
            breakable, "web.anonymous", "GET /studies is answered with 200", "AuthenticationEnabled"
        )
        asked = [finding["message"].partition(" is answered")[0] for finding in anonymous["findings"]]
        assert {"GET /dicom-web/studies", "POST /instances", "GET /app/explorer.html"} <= set(asked)
        assert_fails(breakable, "web.wrong-password", "admin gets in with a made-up password", "AuthenticationEnabled")
        assert_fails(breakable, "web.well-known-logins", "with a made-up password", "AuthenticationEnabled")


@pytest.mark.twin("web.well-known-logins")
def test_a_well_known_login_at_one_of_the_servers_is_found(breakable: TestSite) -> None:
    def add(users: dict[str, Any]) -> None:
        users["RegisteredUsers"]["orthanc"] = "orthanc"

    with replicas_changed(breakable, ["orthanc-2"], add, "users.json"):
        assert_fails(breakable, "web.well-known-logins", "orthanc gets in .*orthanc-2", "RegisteredUsers")


@pytest.mark.twin("web.wrong-password", "web.well-known-logins")
def test_a_user_whose_name_is_the_password_is_found(breakable: TestSite) -> None:
    secret = breakable.state / "secrets/users.json"
    before = secret.read_text()

    def weaken(users: dict[str, Any]) -> None:
        users["RegisteredUsers"]["admin"] = "admin"

    with replicas_changed(breakable, REPLICAS, weaken, "users.json"):
        secret.write_text(json.dumps(json.loads(before) | {"admin": "admin"}))
        try:
            assert_fails(
                breakable, "web.wrong-password", "admin with its own name as password gets in", "change the password"
            )
            assert_fails(breakable, "web.well-known-logins", "admin gets in .*the web port", "RegisteredUsers")
        finally:
            secret.write_text(before)


@pytest.mark.twin("web.login")
def test_a_password_that_the_site_does_not_take_is_found(breakable: TestSite) -> None:
    secret = breakable.state / "secrets/users.json"
    before = secret.read_text()
    secret.write_text(json.dumps(json.loads(before) | {"admin": "another-one"}))
    try:
        result = assert_fails(breakable, "web.login", "/system answers 401 to admin", "secrets")
        assert "another-one" not in json.dumps(result)
    finally:
        secret.write_text(before)


# DICOMweb ------------------------------------------------------------------------------------------------------------


@pytest.mark.twin("web.qido", "web.wado", "web.rendered")
def test_a_script_that_changes_what_is_stored_is_found(breakable: TestSite) -> None:
    # Rows becomes 128, the patient another, and the last pixel something else.
    other_rows = r"re.sub(rb'(\x28\x00\x10\x00US\x02\x00)..', lambda found: found[1] + b'\x80\x00', received, 1, re.S)"
    with instances_changed(breakable, f"{other_rows}.replace(b'ORTHWEB^', b'ANOTHER^')[:-2] + b'xx'"):
        assert_fails(breakable, "web.qido", "gives ANOTHER.VALIDATION as Patient's Name, where ORTHWEB", "LuaScripts")
        wado = assert_fails(
            breakable, "web.wado", "WADO-RS gives back is not what was sent: other pixel", "PythonScript"
        )
        assert wado["findings"][-1]["message"].endswith("other values of PatientName, Rows")
        assert_fails(breakable, "web.rendered", "[0-9]+ x 128 pixels instead of [0-9]+ x [0-9]+", "IngestTranscoding")


@pytest.mark.twin("web.qido", "web.wado")
def test_a_dicomweb_that_is_switched_off_is_found_and_the_image_is_still_rendered(breakable: TestSite) -> None:
    with replicas_changed(breakable, REPLICAS, lambda options: options["DicomWeb"].update(Enable=False)):
        assert_fails(breakable, "web.qido", "does not answer queries: .* gives 404", "Enable")
        assert_fails(breakable, "web.wado", "WADO-RS answers 404", "Enable")
        assert_passes(breakable, "web.rendered")


def test_a_dicomweb_in_another_place_is_found_there_and_wrong_addresses_are_told(breakable: TestSite) -> None:
    def move(options: dict[str, Any]) -> None:
        options["DicomWeb"].update(Root="/elsewhere/", Ssl=False)

    with replicas_changed(breakable, REPLICAS, move):
        message = "sends viewers on to http://localhost:[0-9]+/elsewhere/studies/"
        assert_fails(breakable, "web.qido", message, "DicomWeb.Ssl", status="warning")
        assert_passes(breakable, "web.wado", "web.rendered", "web.anonymous")


# Somebody else's Orthanc ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _bare_orthanc(folder: Path, password: str, **more: Any) -> Iterator[Target]:
    """An Orthanc as its package starts it: without TLS, proxy and plugins."""
    folder.mkdir()
    web, dicom = free_port(), free_port()
    options = {
        "Name": "bare",
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "HttpPort": web,
        "DicomPort": dicom,
        "DicomAet": "BARE",
        "AuthenticationEnabled": True,
        "RegisteredUsers": {"viewer": password},
        "Plugins": [],
        **more,
    }
    (folder / "orthanc.json").write_text(json.dumps(options))
    with serving(["Orthanc", folder / "orthanc.json"], web):
        yield Target(
            name="bare",
            names=("localhost",),
            web=WebDoor("127.0.0.1", web, plain=True, credentials=Credentials("viewer", password)),
            dicom=DicomDoor("127.0.0.1", dicom, "BARE", asks_certificates=False),
            state=folder / "validation",
        )


def _came_to(report: Report) -> dict[str, tuple[Status, str]]:
    return {result.check.id: (result.status, result.message) for result in report.results}


def test_a_bare_orthanc_is_judged_by_what_it_has(folder: Path) -> None:
    password = secrets.token_urlsafe(16)
    with _bare_orthanc(folder / "bare", password) as target:
        report = validate_target(target, select(["web", "replicas"]))
    came = _came_to(report)
    passed = {name for name, (status, _) in came.items() if status is Status.PASSED}
    assert passed >= {"web.login", "web.anonymous", "web.wrong-password", "web.well-known-logins", "web.explorer"}
    assert came["web.rendered"] == (Status.PASSED, f"JPEG of {phantom.SIDE} x {phantom.SIDE} pixels from Orthanc")
    assert report.image is not None and report.image.startswith(b"\xff\xd8")
    for name in ("web.qido", "web.wado"):
        assert came[name] == (Status.SKIPPED, "the DICOMweb plugin is not enabled")
    assert came["web.redirect"] == (Status.SKIPPED, "the web port speaks HTTP without TLS")
    assert came["web.healthz"][0] is Status.SKIPPED and "Orthweb's own" in came["web.healthz"][1]
    status, message = came["web.headers"]
    assert status is Status.FAILED and "strict-transport-security" not in message
    assert {status for name, (status, _) in came.items() if name.startswith("replicas.")} == {Status.SKIPPED}
    assert came["data.removed"][0] is Status.PASSED


def test_a_bare_orthanc_with_a_login_of_the_documentation_is_found(folder: Path) -> None:
    users = {"viewer": "viewer", "alice": "alicePassword"}
    with _bare_orthanc(folder / "bare", "viewer", RegisteredUsers=users) as target:
        came = _came_to(validate_target(target, select(["web.well-known-logins", "web.wrong-password"])))
    assert came["web.well-known-logins"][0] is Status.FAILED
    assert came["web.well-known-logins"][1].startswith("alice gets in")
    assert came["web.wrong-password"][1] == "viewer with its own name as password gets in"


def test_without_credentials_what_needs_them_is_skipped_and_the_rest_is_seen(folder: Path) -> None:
    with _bare_orthanc(folder / "bare", "secret") as target:
        stranger = Target(
            target.name, target.names, WebDoor("127.0.0.1", target.web.port, plain=True), target.dicom, target.state
        )
        came = _came_to(validate_target(stranger, select(["web"])))
    assert came["web.login"] == (Status.SKIPPED, "no user of the web page was given")
    assert came["web.anonymous"][0] is Status.PASSED
    assert came["web.well-known-logins"][0] is Status.PASSED
    assert "data.removed" not in came


def test_a_port_that_speaks_no_tls_is_told_so(folder: Path) -> None:
    with _bare_orthanc(folder / "bare", "secret") as target:
        door = WebDoor("127.0.0.1", target.web.port, credentials=target.web.credentials)
        report = validate_target(
            Target(target.name, target.names, door, target.dicom, target.state), select(["web"], ["dicom"])
        )
    came = _came_to(report)
    assert came["web.answers"][0] is Status.FAILED
    assert came["web.answers"][1].endswith("/ gives no answer: it does not speak TLS")

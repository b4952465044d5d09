"""`orthweb validate`, TLS: what each check says of a good site, and of one whose TLS is wrong in its way."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from breaking import assert_found
from breaking_web import proxy_changed
from dicom_circle import Circle, new_circle
from dicom_peers import plain_orthanc
from harness import TestSite, eventually
from looking import of_site, results
from tls_servers import DOORS, HERE, LAX, assert_on_both, java_server, on_both, openssl_server, swapped, target
from validating import assert_fails, assert_passes, validate

from orthweb.validation import Result, Status

BOTH = tuple(
    f"tls.{door}.{check}"
    for door in DOORS
    for check in (
        "handshake", "versions", "ciphers", "certificate", "chain", "names", "key", "days", "apple", "stalled",
    )
)  # fmt: skip


@pytest.fixture
def circle(folder: Path) -> Circle:
    return new_circle(folder / "pki")


# A good site ----------------------------------------------------------------------------------------------------


def test_a_good_site_passes_every_check_of_tls(site: TestSite) -> None:
    found = assert_passes(site, *BOTH, "tls.dicom.nobody", "tls.dicom.stranger")
    assert found["tls.web.versions"]["message"] == "TLS 1.3 and TLS 1.2, and nothing older"
    assert "refused" in found["tls.dicom.nobody"]["message"]
    suites = {entry["name"]: entry["text"] for entry in found["tls.dicom.ciphers"]["evidence"]}
    assert "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" in suites["suites taken with TLS 1.2"]
    assert "TLS_AES_128_GCM_SHA256" in suites["suites taken with TLS 1.3"]


def test_the_certificates_of_the_site_are_in_the_report(site: TestSite) -> None:
    done = site.orthweb("validate", "--only", "tls", "--quick", "--json")
    certificates = {each["use"]: each for each in json.loads(done.out)["certificates"]}
    assert {"web port", "DICOM port"} <= set(certificates)
    assert any(use.startswith("authority CN=") for use in certificates)
    assert "localhost" in certificates["web port"]["names"]


def test_a_quick_validation_does_not_wait_for_stalled_handshakes(site: TestSite) -> None:
    assert not {"tls.web.stalled", "tls.dicom.stalled"} & set(validate(site, "--only", "tls", "--quick"))


# Versions and cipher suites -------------------------------------------------------------------------------------


def _old_tls(envoy: dict[str, Any]) -> None:
    for listener in envoy["static_resources"]["listeners"]:
        for chain in listener["filter_chains"]:
            if "transport_socket" in chain:
                parameters = chain["transport_socket"]["typed_config"]["common_tls_context"]["tls_params"]
                parameters["tls_minimum_protocol_version"] = "TLSv1_0"
                parameters["cipher_suites"] += ["ECDHE-RSA-AES128-SHA", "AES128-SHA"]


@on_both("versions", "ciphers")
def test_a_proxy_that_takes_old_tls_and_old_ciphers_is_told_of(breakable: TestSite, folder: Path) -> None:
    with proxy_changed(breakable, _old_tls):
        here = of_site(breakable, folder)
        for version in ("TLS 1.0", "TLS 1.1"):
            assert_on_both(here, "versions", f"port takes {version}, which can be broken", "orthweb restart envoy")
        for weakness in ("without forward secrecy", "in CBC mode"):
            assert_on_both(here, "ciphers", weakness, "orthweb restart envoy", Status.WARNING)


@on_both("versions")
def test_a_server_of_old_tls_only_is_told_of(circle: Circle, folder: Path) -> None:
    with openssl_server(folder, circle.authority.issue_server(HERE), "-tls1", *LAX) as port:
        found = assert_on_both(
            target(folder, port, circle.trusted),
            "versions",
            "takes neither TLS 1.2 nor TLS 1.3",
            "update what ends TLS",
        )
        assert "TLS 1.0" in found["tls.web.versions"].message


@on_both("ciphers")
@pytest.mark.parametrize(
    ("suites", "message"),
    [
        ("NULL-SHA256", "which encrypt nothing: TLS_RSA_WITH_NULL_SHA256"),
        ("ADH-AES128-GCM-SHA256", "proves nothing about who it is: TLS_DH_anon_WITH_AES_128_GCM_SHA256"),
        ("NULL-MD5", "with MD5: TLS_RSA_WITH_NULL_MD5"),
    ],
)
def test_a_server_that_takes_a_weak_cipher_suite_fails(circle: Circle, folder: Path, suites: str, message: str) -> None:
    options = ("-tls1_2", "-cipher", f"ECDHE-RSA-AES128-GCM-SHA256:{suites}:@SECLEVEL=0")
    with openssl_server(folder, circle.authority.issue_server(HERE), *options) as port:
        assert_on_both(target(folder, port, circle.trusted), "ciphers", message, "allow suites with ECDHE and AES-GCM")


@on_both("versions", "ciphers")
def test_what_this_machines_library_no_longer_speaks_is_found_too(circle: Circle, folder: Path) -> None:
    with java_server(folder, circle.authority.issue_server(HERE)) as port:
        found = results(target(folder, port, circle.trusted), "tls")
    for door in DOORS:
        versions, ciphers = found[f"tls.{door}.versions"], found[f"tls.{door}.ciphers"]
        assert_found(versions, Status.FAILED, "takes SSL 3.0, which can be broken", "allow TLS 1.2 and 1.3 only")
        for message in (
            r"with RC4, .*TLS_ECDHE_RSA_WITH_RC4_128_SHA",
            r"with DES or 3DES: .*TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
            r"with MD5: .*TLS_RSA_WITH_RC4_128_MD5",
        ):
            assert_found(ciphers, Status.FAILED, message, "allow suites with ECDHE")


# Without TLS ----------------------------------------------------------------------------------------------------


@on_both("handshake")
def test_a_plain_orthanc_is_told_that_everybody_can_read_along_and_the_rest_is_skipped(folder: Path) -> None:
    with plain_orthanc(folder / "orthanc") as plain:
        here = target(folder, plain.port)
        here = dataclasses.replace(
            here,
            web=dataclasses.replace(here.web, plain=True),
            dicom=dataclasses.replace(here.dicom, port=plain.dicom_port, tls=None),
        )
        found = results(here, "tls")
    words = "speaks no TLS on this port: everybody on the way can read images, names and passwords"
    assert_found(found["tls.web.handshake"], Status.FAILED, words, "put a proxy with TLS before it.*SslEnabled")
    assert_found(found["tls.dicom.handshake"], Status.FAILED, words, "put a proxy with TLS before it.*DicomTlsEnabled")
    failed = [result.check.id for result in found.values() if result.status is Status.FAILED]
    assert failed == ["tls.web.handshake", "tls.dicom.handshake"]
    rest = [result for name, result in found.items() if name.startswith("tls.") and name not in failed]
    assert {result.status for result in rest} == {Status.SKIPPED}


@on_both("certificate")
def test_a_server_without_a_certificate_fails(folder: Path) -> None:
    with openssl_server(folder, None, "-tls1_2", "-cipher", "aNULL:@SECLEVEL=0") as port:
        assert_on_both(target(folder, port), "certificate", "it shows no certificate", "another certificate")


@on_both("certificate")
def test_a_server_that_wants_another_certificate_before_it_shows_its_own_is_told_of(
    circle: Circle, folder: Path
) -> None:
    asks = ("-Verify", "1", "-verify_return_error", "-CAfile", circle.trusted)
    with openssl_server(folder, circle.authority.issue_server(HERE), "-tls1_2", *asks) as port:
        here = target(folder, port, circle.trusted)
        assert_on_both(here, "certificate", "breaks off the handshake", "--certificate and --key")


# Clients that must be refused -----------------------------------------------------------------------------------


def _nobody_asked(envoy: dict[str, Any]) -> None:
    listener = next(one for one in envoy["static_resources"]["listeners"] if one["name"] == "dicom")
    listener["filter_chains"][0]["transport_socket"]["typed_config"]["require_client_certificate"] = False


@pytest.mark.twin("tls.dicom.nobody")
def test_a_port_that_asks_no_device_for_a_certificate_is_told_of(breakable: TestSite, folder: Path) -> None:
    with proxy_changed(breakable, _nobody_asked):
        message = "answers a client without a certificate: anybody may send and query"
        assert_fails(breakable, "tls.dicom.nobody", message, "have the port ask for certificates")
        # Where it was decided so, it is worth a warning still.
        here = of_site(breakable, folder)
        here = dataclasses.replace(here, dicom=dataclasses.replace(here.dicom, asks_certificates=False))
        found = results(here, "tls.dicom.nobody")["tls.dicom.nobody"]
        message = "asks no client for a certificate: anybody who reaches it may send and query"
        assert_found(found, Status.WARNING, message, "dicom.client_certificates")


@pytest.mark.twin("tls.dicom.stranger")
def test_a_port_that_takes_certificates_of_anybody_is_told_of(breakable: TestSite, folder: Path) -> None:
    watched = breakable.state / "config/envoy/sds-devices.yaml"
    usual, here = watched.read_text(), of_site(breakable, folder)
    anybody = "  validation_context:\n    trust_chain_verification: ACCEPT_UNTRUSTED\n"
    trusting = usual.replace("  validation_context:\n", anybody)
    assert trusting != usual

    def stranger() -> Result:
        return results(here, "tls.dicom.stranger")["tls.dicom.stranger"]

    with swapped(watched, trusting):
        eventually(lambda: stranger().status is Status.FAILED, 20, "the proxy to take anybody's certificate")
        message = "answers a client whose certificate is of an unknown authority: anybody may send and query"
        assert_found(stranger(), Status.FAILED, message, "certificates of one authority")
    eventually(lambda: stranger().status is Status.PASSED, 20, "the proxy to refuse strangers again")


def _patient(envoy: dict[str, Any]) -> None:
    for listener in envoy["static_resources"]["listeners"]:
        listener["listener_filters_timeout"] = "60s"
        for chain in listener["filter_chains"]:
            chain["transport_socket_connect_timeout"] = "60s"


@on_both("stalled")
def test_a_proxy_that_waits_long_for_stalled_handshakes_is_told_of(breakable: TestSite, folder: Path) -> None:
    with proxy_changed(breakable, _patient):
        found = assert_on_both(of_site(breakable, folder), "stalled", "still holds a client that said", "5 seconds")
    for door in DOORS:
        held = [finding.message for finding in found[f"tls.{door}.stalled"].findings]
        assert len(held) == 2
        assert "said nothing at all" in held[0]
        assert "said half a ClientHello" in held[1]


@on_both("stalled")
def test_a_server_that_one_stalled_client_keeps_from_all_others_is_told_of(circle: Circle, folder: Path) -> None:
    with openssl_server(folder, circle.authority.issue_server(HERE)) as port:
        here = target(folder, port, circle.trusted)
        for door in DOORS:
            found = results(here, f"tls.{door}.stalled")[f"tls.{door}.stalled"]
            assert_found(found, Status.FAILED, "serves nobody else while one client stalls", "put a proxy before it")

"""Who may connect at all: the allowed ranges of addresses, on every port of a site."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from doors import HAS_IPV6, http_answer, log_entry, relay, talk
from harness import Done, TestSite, free_port, own_site, run

STRANGER, FRIEND = "127.0.0.1", "127.0.0.2"
REDIRECT_PORT = free_port()
_DESCRIPTION = f"""
orthanc: {{replicas: 1}}
web: {{redirect_port: {REDIRECT_PORT}, allowed_cidrs: [{FRIEND}/32]}}
dicom: {{allowed_cidrs: [{FRIEND}/32]}}
"""


@pytest.fixture(scope="module")
def picky() -> Iterator[TestSite]:
    """A site that only one address may reach."""
    with own_site("picky", more=_DESCRIPTION) as up:
        yield up


def curl_from(site: TestSite, address: str, path: str, scheme: str = "https", port: int | None = None) -> Done:
    """Ask without a login, from an address of this machine."""
    words = ["--include", "--ipv4", "--interface", f"host!{address}"]
    return site.curl(path, *words, user=None, scheme=scheme, port=port)


def echo_from(site: TestSite, address: str) -> Done:
    """Run echoscu with a certificate of the site, from an address of this machine."""
    device = site.device()
    with relay(site.dicom_port, source=address) as port:
        return run(["echoscu", *device, "-aec", "ORTHANC", "localhost", str(port)])


def test_who_is_allowed_gets_an_answer(picky: TestSite) -> None:
    assert http_answer(curl_from(picky, FRIEND, "/healthz"))[0] == 200
    assert http_answer(curl_from(picky, FRIEND, "/system"))[0] == 401
    done = echo_from(picky, FRIEND)
    assert done.status == 0, done.all


def test_who_is_not_allowed_gets_no_http_answer(picky: TestSite) -> None:
    for path in ("/healthz", "/system"):
        done = curl_from(picky, STRANGER, path)
        assert done.status != 0
        assert done.out == ""


def test_who_is_not_allowed_gets_no_certificate_to_see(picky: TestSite) -> None:
    for port in (picky.web_port, picky.dicom_port):
        command = ["openssl", "s_client", "-bind", STRANGER, "-connect", f"127.0.0.1:{port}"]
        stranger = run(command, input=b"")
        assert "no peer certificate available" in stranger.out
        friend = run(["openssl", "s_client", "-bind", FRIEND, "-connect", f"127.0.0.1:{port}"], input=b"")
        assert "BEGIN CERTIFICATE" in friend.out


def test_a_device_that_is_not_allowed_is_refused_whatever_its_certificate(picky: TestSite) -> None:
    assert echo_from(picky, STRANGER).status != 0


@pytest.mark.parametrize("port_of", ["the HTTPS port", "the port for redirects"])
def test_only_who_is_allowed_is_told_the_way_to_https(picky: TestSite, port_of: str) -> None:
    port = picky.web_port if port_of == "the HTTPS port" else REDIRECT_PORT
    status, headers, _ = http_answer(curl_from(picky, FRIEND, "/app/explorer.html?a=1", "http", port))
    assert status == 308
    assert headers["location"] == f"https://localhost:{picky.web_port}/app/explorer.html?a=1"
    stranger = curl_from(picky, STRANGER, "/app/explorer.html?a=1", "http", port)
    assert stranger.status != 0
    assert stranger.out == ""


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
def test_ipv6_is_refused_where_no_ipv6_range_is_listed(picky: TestSite) -> None:
    done = picky.curl("/healthz", "--include", "--ipv6", user=None)
    assert done.status != 0
    assert done.out == ""
    with relay(picky.dicom_port, host="::1") as port:
        assert run(["echoscu", *picky.device(), "-aec", "ORTHANC", "localhost", str(port)]).status != 0


def test_the_log_of_refusals_names_the_stranger(picky: TestSite) -> None:
    for port in (picky.web_port, picky.dicom_port, REDIRECT_PORT):
        talked = talk(port, b"GET / HTTP/1.1\r\n\r\n")
        assert talked.answer == b""
        log_entry(picky, ["refused"], talked.began, client=f"{STRANGER}:{talked.port}", flags="NR")

"""`orthweb validate`, TLS: the certificate that is shown, right and wrong in many ways."""

from __future__ import annotations

import contextlib
import re
import shutil
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dicom_circle import Circle, new_circle
from doors import keep, site_authority
from harness import TestSite, eventually
from looking import of_site, results
from own_certificate import DAY, NOW, OwnCertificate
from tls_servers import DOORS, HERE, LAX, assert_on_both, on_both, openssl_server, swapped, target, weak_pair
from validating import assert_fails

from orthweb.dicom.tls import TlsFiles
from orthweb.pki import Issued, ensure_authority
from orthweb.validation import Status


@pytest.fixture
def circle(folder: Path) -> Circle:
    return new_circle(folder / "pki")


def _issued(circle: Circle, names: list[str] | None = None, **options: Any) -> Issued:
    return circle.authority.issue_server(names or HERE, **options)


@pytest.mark.parametrize(
    ("make", "check", "message", "remedy"),
    [
        pytest.param(
            lambda circle: _issued(circle, days=1, now=NOW - 10 * DAY),
            "days", r"the certificate expired on 20\d\d-\d\d-\d\d", "certs rotate", marks=on_both("days"), id="expired",
        ),
        pytest.param(
            lambda circle: _issued(circle, days=30, now=NOW + 10 * DAY),
            "days", "is not valid before", "compare the clocks", marks=on_both("days"), id="not yet valid",
        ),
        pytest.param(
            lambda circle: _issued(circle, names=["other.example.org"]),
            "names", "does not hold localhost, and holds other.example.org", "tls.names",
            marks=on_both("names"), id="another name",
        ),
        pytest.param(
            lambda circle: circle.authority.issue_internal(HERE, client=False),
            "apple", r"valid for 36\d\d days, and 825 are the most", "certs use",
            marks=on_both("apple"), id="ten years",
        ),
    ],
)  # fmt: skip
def test_a_certificate_that_is_wrong_fails_its_check_and_no_other(
    circle: Circle, folder: Path, make: Callable[[Circle], Issued], check: str, message: str, remedy: str
) -> None:
    with openssl_server(folder, make(circle)) as port:
        here = target(folder, port, circle.trusted)
        assert_on_both(here, check, message, remedy)
        others = [name for name in ("certificate", "chain", "names", "key", "days", "apple") if name != check]
        found = results(here, *(f"tls.{door}.{name}" for door in DOORS for name in others))
        assert {result.status for result in found.values()} == {Status.PASSED}, found


@on_both("days")
def test_a_certificate_of_fewer_than_thirty_days_is_a_warning(circle: Circle, folder: Path) -> None:
    with openssl_server(folder, _issued(circle, days=20)) as port:
        here = target(folder, port, circle.trusted)
        assert_on_both(here, "days", "the certificate has 19 days left", "certs rotate", Status.WARNING)


@on_both("days")
def test_an_authority_that_ends_soon_is_a_warning(folder: Path) -> None:
    authority = ensure_authority(folder / "old", "An old one", now=NOW - 3630 * DAY)
    with openssl_server(folder, authority.issue_server(HERE)) as port:
        here = target(folder, port, folder / "old/ca.crt")
        message = r"the certificate of the authority CN=An old one has (19|20) days left"
        assert_on_both(here, "days", message, "certs rotate", Status.WARNING)


@on_both("key", "apple")
def test_a_small_key_and_an_old_signature_fail(folder: Path) -> None:
    weak = weak_pair(folder)
    with openssl_server(folder, weak, *LAX) as port:
        here = target(folder, port, weak.authority)
        assert_on_both(here, "key", "the key is RSA 1024, and 2048 bits are the least", "RSA 2048 or EC P-256")
        assert_on_both(here, "key", "the signature is sha1WithRSAEncryption, and SHA-2 is asked", "SHA-256")
        assert_on_both(here, "apple", "the key is RSA 1024", "certs use")


@on_both("chain")
def test_a_certificate_of_an_unknown_authority_fails(circle: Circle, folder: Path) -> None:
    stranger = new_circle(folder / "stranger")
    with openssl_server(folder, _issued(stranger)) as port:
        message = "the certificate is signed by CN=of stranger: .* not trusted here"
        assert_on_both(target(folder, port, circle.trusted), "chain", message, "--ca")


@on_both("chain")
def test_a_missing_intermediate_is_named(folder: Path) -> None:
    own = OwnCertificate(folder / "own").make()
    shown = TlsFiles(None, own.certificate, own.key)
    with openssl_server(folder, shown) as port:
        message = "signed by CN=Test intermediate: the server sends no certificate of it"
        assert_on_both(target(folder, port, own.root), "chain", message, "tls.certificate.chain")
    with openssl_server(folder, shown, "-cert_chain", own.chain) as port:
        found = results(target(folder, port, own.root), "tls.web.chain")
        assert found["tls.web.chain"].message == "it leads to CN=Test root, which is trusted"


@on_both("chain")
def test_another_authority_of_the_same_name_is_told_apart(circle: Circle, folder: Path) -> None:
    again = new_circle(folder / "made again" / "pki")
    with openssl_server(folder, _issued(again)) as port:
        message = "another authority with the name of the trusted one, CN=of pki"
        assert_on_both(target(folder, port, circle.trusted), "chain", message, "today's authority")


@on_both("chain")
def test_a_certificate_that_signed_itself_is_told_apart(circle: Circle, folder: Path) -> None:
    with openssl_server(folder, weak_pair(folder), *LAX) as port:
        message = "the certificate is signed by itself alone, and not trusted here"
        assert_on_both(target(folder, port, circle.trusted), "chain", message, "--ca")


def test_a_name_of_the_machine_itself_that_is_missing_is_a_warning(circle: Circle, folder: Path) -> None:
    with openssl_server(folder, _issued(circle, names=["127.0.0.1"])) as port:
        here = target(folder, port, circle.trusted, host="127.0.0.1", names=("127.0.0.1", "localhost"))
        assert_on_both(here, "names", "does not hold localhost", "tls.names", Status.WARNING)


@on_both("days")
def test_a_site_with_an_expired_certificate_is_told_of(breakable: TestSite) -> None:
    expired = site_authority(breakable).issue_server(HERE, days=1, now=NOW - 10 * DAY)
    with _showing(breakable, expired):
        for door in DOORS:
            assert_fails(breakable, f"tls.{door}.days", "the certificate expired on", "orthweb certs rotate")


@on_both("chain")
def test_a_site_with_a_certificate_of_another_authority_is_told_of(breakable: TestSite, folder: Path) -> None:
    with _showing(breakable, _issued(new_circle(folder / "stranger"))):
        here = of_site(breakable, folder)
        assert_on_both(here, "chain", "is signed by CN=of stranger", "tls.certificate.chain")


@contextlib.contextmanager
def _showing(site: TestSite, issued: Issued) -> Iterator[None]:
    """The site with another certificate, which its proxy takes up while it runs."""
    folder = site.folder / "odd"
    folder.mkdir()
    folder.chmod(0o755)
    key, certificate = keep(issued, folder, "shown")
    key.chmod(0o644)
    certificate.chmod(0o644)
    watched = site.state / "config/envoy/sds-server.yaml"
    before = watched.read_text()
    usual = ssl.get_server_certificate(("localhost", site.web_port))
    text = re.sub(r"/\S+\.crt", str(certificate), re.sub(r"/\S+\.key", str(key), before))
    try:
        with swapped(watched, text):
            eventually(lambda: _shown(site) == {issued.certificate_pem.decode()}, 20, "the proxy to show it")
            yield
    finally:
        eventually(lambda: _shown(site) == {usual}, 20, "the proxy to show the usual certificate again")
        shutil.rmtree(folder)


def _shown(site: TestSite) -> set[str]:
    return {ssl.get_server_certificate(("localhost", port)) for port in (site.web_port, site.dicom_port)}

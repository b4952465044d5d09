"""The DICOM doors that are open only to who asks for it: without a certificate, and without TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pydicom.data
import pytest
from doors import dcmtk_options, keep, relay
from harness import Done, TestSite, free_port, own_site, run

from orthweb.pki import ensure_authority

CT = Path(pydicom.data.__file__).parent / "test_files/CT_small.dcm"
PLAINTEXT_PORT = free_port()
LISTED, UNLISTED = "CT1", "CT2"
_DESCRIPTION = f"""
orthanc: {{replicas: 1, modalities: {{ct1: {{ae_title: {LISTED}, host: 127.0.0.1, port: {free_port()}}}}}}}
dicom:
  client_certificates: optional
  plaintext: {{port: {PLAINTEXT_PORT}, allowed_cidrs: [127.0.0.1/32]}}
"""


@pytest.fixture(scope="module")
def trusting() -> Iterator[TestSite]:
    """A site that asks for certificates and does not insist, and has a port without TLS."""
    with own_site("trusting", more=_DESCRIPTION) as up:
        yield up


@pytest.fixture(scope="module", params=["optional", "off"])
def lenient(request: pytest.FixtureRequest, trusting: TestSite) -> TestSite:
    """The same site with each of the ways not to insist on a certificate."""
    if str(trusting.description.dicom.client_certificates) != request.param:
        trusting.describe(f"{{dicom: {{client_certificates: {request.param}}}}}")
        trusting.up()
    return trusting


def plain(title: str, port: int = PLAINTEXT_PORT) -> tuple[Done, Done]:
    """Run echoscu and storescu without TLS."""
    end = ["-aet", title, "-aec", "ORTHANC", "localhost", str(port)]
    return run(["echoscu", *end]), run(["storescu", *end, CT])


def secure(site: TestSite, title: str, tls: list[str]) -> tuple[Done, Done]:
    """Run echoscu and storescu over TLS."""
    return site.echo(tls=tls, options=["-aet", title]), site.store(CT, tls=tls, options=["-aet", title])


def assert_admitted(outcome: tuple[Done, Done]) -> None:
    for done in outcome:
        assert done.status == 0, done.all


def assert_refused(outcome: tuple[Done, Done]) -> None:
    for done in outcome:
        assert done.status != 0, done.all


def test_a_listed_modality_stores_without_tls_on_the_port_without_tls(trusting: TestSite) -> None:
    assert_admitted(plain(LISTED))
    assert len(trusting.instances()) == 1


def test_an_unlisted_modality_does_not(trusting: TestSite) -> None:
    assert_refused(plain(UNLISTED))


def test_nobody_else_reaches_the_port_without_tls(trusting: TestSite) -> None:
    with relay(PLAINTEXT_PORT, source="127.0.0.1") as port:
        assert_admitted(plain(LISTED, port))
    with relay(PLAINTEXT_PORT, source="127.0.0.3") as port:
        assert_refused(plain(LISTED, port))


def test_the_port_without_tls_speaks_no_tls_and_the_port_with_tls_nothing_else(trusting: TestSite) -> None:
    end = ["-aet", LISTED, "-aec", "ORTHANC", "localhost"]
    assert run(["echoscu", *trusting.device(), *end, str(PLAINTEXT_PORT)]).status != 0
    assert_refused(plain(LISTED, trusting.dicom_port))


def test_a_listed_modality_needs_no_certificate(lenient: TestSite) -> None:
    assert_admitted(secure(lenient, LISTED, ["+tla", "-rc", "+cf", str(lenient.ca)]))
    assert_admitted(secure(lenient, LISTED, lenient.device()))


def test_without_insisting_on_certificates_no_unlisted_modality_gets_in(lenient: TestSite) -> None:
    assert_refused(secure(lenient, UNLISTED, ["+tla", "-rc", "+cf", str(lenient.ca)]))
    # One certificate more or less: Orthanc does not know who showed one.
    assert_refused(secure(lenient, UNLISTED, lenient.device()))


def test_a_certificate_of_another_authority_is_refused_where_certificates_are_looked_at(
    lenient: TestSite, tmp_path: Path
) -> None:
    foreign = keep(ensure_authority(tmp_path / "other", "other").issue_client("device"), tmp_path, "device")
    refused = str(lenient.description.dicom.client_certificates) == "optional"
    outcome = secure(lenient, LISTED, dcmtk_options(foreign))
    assert [done.status != 0 for done in outcome] == [refused, refused]

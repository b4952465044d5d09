"""Certificates of a running site: replaced under an association in flight, the user's own, and refused ones."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from anatomy import made_files, pids
from cryptography.hazmat.primitives import serialization
from harness import Done, TestSite, own_site, run
from own_certificate import DAY, NOW, OwnCertificate, fingerprints, key_pem
from traffic import SLOW, make_images, sending


@pytest.fixture(scope="module")
def secured() -> Iterator[TestSite]:
    """A site whose certificate the tests of this file change."""
    with own_site("secured", more="orthanc: {replicas: 1}") as site:
        yield site


# Rotation -------------------------------------------------------------------------------------------------------


def test_two_rotations_do_not_break_an_association_in_flight(secured: TestSite, tmp_path: Path) -> None:
    images = make_images(tmp_path, 150, side=512)
    seen = [_shown_on_both(secured)[0]]
    with sending(secured, images, senders=1, retry=False, environment=SLOW, hold_at=120) as transfer:
        transfer.reach(5)
        for _ in range(2):
            done = secured.orthweb("certs", "rotate")
            assert done.status == 0, done.all
            seen.append(_shown_on_both(secured)[0])
        assert transfer.running
        assert len(transfer.acknowledged) < len(images)
        transfer.release()
        transfer.finish()
    assert len({*seen}) == 3
    assert seen[-1] == _said_to_be(secured, "server")
    assert (transfer.statuses, transfer.troubles, transfer.complete) == ([0], [], True)
    assert secured.echo().status == 0


def test_a_new_name_renews_the_certificate_and_restarts_nothing(secured: TestSite) -> None:
    processes = pids(secured)
    secured.describe("tls: {certificate: generated, names: [pacs.example.org]}")
    done = secured.up()
    assert "renewed the server certificate" in done.err
    assert pids(secured) == processes
    text = secured.orthweb("certs", "show").out
    assert "pacs.example.org" in text
    assert _shown_on_both(secured)[0] == _said_to_be(secured, "server")


# The user's own -------------------------------------------------------------------------------------------------


def test_an_own_certificate_is_shown_with_its_chain_and_kept(secured: TestSite) -> None:
    before, processes = (secured.folder / "orthweb.yaml").read_text(), pids(secured)
    own = OwnCertificate(secured.folder / "own").make()
    done = secured.orthweb("certs", "use", "own/server.crt", "own/server.key", "own/chain.crt", cwd=secured.folder)
    assert done.status == 0, done.all
    assert _shown_on_both(secured) == own.fingerprints
    _assert_reached_with_root(secured, own)
    after = (secured.folder / "orthweb.yaml").read_text()
    comments = [line[line.index("#") :] for line in before.splitlines() if "#" in line]
    assert comments
    assert [line[line.index("#") :] for line in after.splitlines() if "#" in line] == comments
    assert "own/server.key" in after
    assert str(secured.folder) not in after
    assert secured.up().err == ""
    assert pids(secured) == processes
    assert _shown_on_both(secured) == own.fingerprints
    refused = secured.orthweb("certs", "rotate")
    assert (refused.status, "tls.certificate" in refused.err) == (2, True), refused.all


def test_a_renewed_own_certificate_is_taken_up_by_up(secured: TestSite) -> None:
    own = OwnCertificate(secured.folder / "own").make()
    done = secured.orthweb("certs", "use", own.certificate, own.key, own.chain)
    assert done.status == 0, done.all
    own.make()
    secured.up()
    # Envoy watches the file and takes it up by itself.
    assert _shown_on_both(secured) == own.fingerprints


def _another_key(own: OwnCertificate) -> Path:
    other = OwnCertificate(own.folder / "other").make()
    own.key.write_bytes(other.key.read_bytes())
    return own.key


def _expired(own: OwnCertificate) -> Path:
    own.make(ends=NOW - DAY)
    return own.certificate


def _strange_chain(own: OwnCertificate) -> Path:
    other = OwnCertificate(own.folder / "other").make()
    own.chain.write_bytes(other.chain.read_bytes())
    return own.chain


def _strange_name(own: OwnCertificate) -> Path:
    own.make(name="other.example.net")
    return own.certificate


def _missing(own: OwnCertificate) -> Path:
    own.certificate.unlink()
    return own.certificate


def _not_pem(own: OwnCertificate) -> Path:
    own.certificate.write_bytes(os.urandom(800))
    return own.certificate


def _locked_key(own: OwnCertificate) -> Path:
    key = serialization.load_pem_private_key(own.key.read_bytes(), None)
    own.key.write_bytes(key_pem(key, serialization.BestAvailableEncryption(b"secret")))  # type: ignore[arg-type]
    return own.key


@pytest.mark.parametrize(
    "spoil", [_another_key, _expired, _strange_chain, _strange_name, _missing, _not_pem, _locked_key]
)
def test_a_bad_certificate_is_refused_and_nothing_changes(secured: TestSite, tmp_path: Path, spoil: object) -> None:
    assert callable(spoil)
    own = OwnCertificate(tmp_path / "own").make()
    named = spoil(own)
    before, shown = made_files(secured), _shown_on_both(secured)
    refused = secured.orthweb("certs", "use", own.certificate, own.key, own.chain)
    assert refused.status == 2, refused.all
    assert str(named) in refused.err
    _assert_for_people(refused)
    assert made_files(secured) == before
    assert _shown_on_both(secured) == shown


def test_generated_again_the_site_shows_a_certificate_of_its_own_authority(secured: TestSite) -> None:
    secured.describe("tls: {certificate: generated}")
    secured.up()
    assert secured.echo().status == 0
    assert secured.status_code("/healthz", user=None) == 200
    assert _shown_on_both(secured)[0] == _said_to_be(secured, "server")


# Show and issue -------------------------------------------------------------------------------------------------


def test_show_names_what_a_person_asks_of_a_certificate(secured: TestSite) -> None:
    secured.device("shown")
    found = json.loads(secured.orthweb("certs", "show", "--json").out)
    uses = {certificate["use"] for certificate in found}
    assert {"authority", "server", "device shown"} <= uses
    text = secured.orthweb("certs", "show").out
    for certificate in found:
        assert certificate["days_left"] > 300
        for field in ("subject", "issuer", "fingerprint_sha256", "days_left"):
            assert str(certificate[field]) in text
    server = next(certificate for certificate in found if certificate["use"] == "server")
    assert {"localhost", "127.0.0.1", "::1"} <= set(server["names"])
    assert all(name in text for name in server["names"])


def test_issue_writes_a_devices_files_with_the_right_modes_and_never_over_others(
    secured: TestSite, tmp_path: Path
) -> None:
    to = tmp_path / "files"
    done = secured.orthweb("certs", "issue", "ct1", "--to", to)
    assert done.status == 0, done.all
    assert _modes(to) == {"ct1.key": 0o600, "ct1.crt": 0o644, "ca.crt": 0o644}
    assert (to / "ca.crt").read_bytes() == secured.ca.read_bytes()
    tls = ["+tls", str(to / "ct1.key"), str(to / "ct1.crt"), "-rc", "+cf", str(to / "ca.crt")]
    assert secured.echo(tls=tls).status == 0
    before = {path: path.read_bytes() for path in to.iterdir()}
    refused = secured.orthweb("certs", "issue", "ct1", "--to", to)
    assert refused.status == 2, refused.all
    assert str(to / "ct1.key") in refused.err
    _assert_for_people(refused)
    assert {path: path.read_bytes() for path in to.iterdir()} == before


def test_issue_writes_stores_for_java_with_a_password_of_their_own(secured: TestSite, tmp_path: Path) -> None:
    done = secured.orthweb("certs", "issue", "ct2", "--to", tmp_path, "--pkcs12", "--java")
    assert done.status == 0, done.all
    assert _modes(tmp_path) == {
        "ct2.key": 0o600,
        "ct2.crt": 0o644,
        "ca.crt": 0o644,
        "ct2.p12": 0o600,
        "truststore.p12": 0o644,
        "ct2.password": 0o600,
    }
    password = tmp_path / "ct2.password"
    assert password.read_text().strip() not in done.all
    opened = run(["openssl", "pkcs12", "-in", tmp_path / "ct2.p12", "-passin", f"file:{password}", "-noenc"])
    assert opened.status == 0, opened.all
    assert "BEGIN PRIVATE KEY" in opened.out
    assert (tmp_path / "ct2.crt").read_text().splitlines()[1] in opened.out
    trusted = run(["openssl", "pkcs12", "-in", tmp_path / "truststore.p12", "-passin", f"file:{password}", "-nokeys"])
    assert (tmp_path / "ca.crt").read_text().splitlines()[1] in trusted.out, trusted.all


@pytest.mark.parametrize("name", ["../ct1", "a b", "", "-x"])
def test_issue_refuses_a_name_that_is_no_file_name(secured: TestSite, tmp_path: Path, name: str) -> None:
    refused = secured.orthweb("certs", "issue", "--to", tmp_path, "--", name)
    assert refused.status == 2, refused.all
    _assert_for_people(refused)
    assert not [*tmp_path.iterdir()]


# What the tests look with ---------------------------------------------------------------------------------------


def _shown_on_both(site: TestSite) -> list[str]:
    """Fingerprints of the certificates that a new connection is shown, the same on both ports."""
    web, dicom = _shown(site, site.web_port), _shown(site, site.dicom_port)
    assert web == dicom
    return web


def _shown(site: TestSite, port: int) -> list[str]:
    site.device()
    command = ["openssl", "s_client", "-connect", f"localhost:{port}", "-servername", "localhost", "-showcerts"]
    command += ["-cert", str(site.devices / "device.crt"), "-key", str(site.devices / "device.key")]
    return fingerprints(run(command, input=b"").out.split("Server certificate")[0])


def _said_to_be(site: TestSite, use: str) -> str:
    found = json.loads(site.orthweb("certs", "show", "--json").out)
    return str(next(each["fingerprint_sha256"] for each in found if each["use"] == use))


def _assert_reached_with_root(site: TestSite, own: OwnCertificate) -> None:
    web = run(["curl", "-sS", "--noproxy", "*", "--cacert", own.root, f"https://localhost:{site.web_port}/healthz"])
    assert web.status == 0, web.all
    tls = [*site.device()[:-1], str(own.root)]
    assert site.echo(tls=tls).status == 0


def _modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def _assert_for_people(refused: Done) -> None:
    assert "Traceback" not in refused.all
    assert 1 <= len(refused.err.splitlines()) <= 2, refused.err

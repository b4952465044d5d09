"""What the authority issues: it passes OpenSSL's strict verification as what it is for."""

from __future__ import annotations

import contextlib
import datetime
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from orthweb.errors import Failure, InputError
from orthweb.pki import (
    Authority,
    Issued,
    apple_complaints,
    certificate_names,
    describe,
    ensure_authority,
    load_key,
)

NOW = datetime.datetime.now(datetime.UTC)
NAMES = ["pacs.example.org", "*.viewer.example.org", "192.0.2.7", "2001:db8::7"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return ensure_authority(tmp_path_factory.mktemp("authority"), "test authority")


def openssl_verify(tmp_path: Path, authority: Authority, issued: Issued, *arguments: str) -> str:
    """Return what `openssl verify` says, good or bad."""
    assert shutil.which("openssl"), "openssl is missing: apt-get install openssl"
    (tmp_path / "ca.crt").write_bytes(authority.certificate_pem)
    (tmp_path / "leaf.crt").write_bytes(issued.certificate_pem)
    command = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.crt", *arguments, "leaf.crt"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (result.returncode == 0) == (result.stdout == "leaf.crt: OK\n")
    return result.stdout + result.stderr


def test_a_server_certificate_passes_openssl_for_each_of_its_names(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue_server(NAMES)
    assert certificate_names(issued.certificate) == tuple(NAMES)
    for name in ("pacs.example.org", "one.viewer.example.org"):
        said = openssl_verify(tmp_path, authority, issued, "-purpose", "sslserver", "-verify_hostname", name)
        assert said == "leaf.crt: OK\n"
    for address in ("192.0.2.7", "2001:db8::7"):
        said = openssl_verify(tmp_path, authority, issued, "-purpose", "sslserver", "-verify_ip", address)
        assert said == "leaf.crt: OK\n"


def test_a_server_certificate_does_not_pass_for_another_name_or_as_a_client(
    authority: Authority, tmp_path: Path
) -> None:
    issued = authority.issue_server(NAMES)
    said = openssl_verify(tmp_path, authority, issued, "-purpose", "sslserver", "-verify_hostname", "other.example.org")
    assert "hostname mismatch" in said
    assert "unsuitable certificate purpose" in openssl_verify(tmp_path, authority, issued, "-purpose", "sslclient")


def test_a_server_certificate_is_what_apple_asks(authority: Authority) -> None:
    issued = authority.issue_server(["pacs.example.org"])
    info = describe(issued.certificate, NOW)
    assert apple_complaints(issued.certificate) == []
    assert info.key == "RSA 2048"
    assert info.days_left == 396
    assert apple_complaints(authority.issue_server(["pacs.example.org"], days=825).certificate) == []


def test_a_client_certificate_passes_openssl_as_a_client_and_not_as_a_server(
    authority: Authority, tmp_path: Path
) -> None:
    issued = authority.issue_client("CT-1")
    info = describe(issued.certificate, NOW)
    assert (info.subject, info.key, info.names) == ("CN=CT-1", "EC P-256", ())
    assert openssl_verify(tmp_path, authority, issued, "-purpose", "sslclient") == "leaf.crt: OK\n"
    assert "unsuitable certificate purpose" in openssl_verify(tmp_path, authority, issued, "-purpose", "sslserver")


def test_an_internal_certificate_passes_openssl_on_either_side(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue_internal(["orthweb.internal", "127.0.0.1"])
    assert describe(issued.certificate, NOW).key == "EC P-256"
    for purpose in ("sslserver", "sslclient"):
        assert openssl_verify(tmp_path, authority, issued, "-purpose", purpose) == "leaf.crt: OK\n"
    one_sided = authority.issue_internal(["orthweb.internal"], client=False)
    assert "unsuitable certificate purpose" in openssl_verify(tmp_path, authority, one_sided, "-purpose", "sslclient")


def test_a_name_too_long_for_a_common_name_still_passes_openssl(authority: Authority, tmp_path: Path) -> None:
    name = f"{'a' * 40}.{'b' * 40}.example.org"
    issued = authority.issue_server([name])
    assert describe(issued.certificate, NOW).subject == ""
    said = openssl_verify(tmp_path, authority, issued, "-purpose", "sslserver", "-verify_hostname", name)
    assert said == "leaf.crt: OK\n"


def test_no_certificate_is_valid_for_over_825_days_with_both_ends_counted(authority: Authority) -> None:
    for issued in (
        authority.issue_client("CT-1"),
        authority.issue_client("CT-2", hosts=["ct-2.example.org"]),
        authority.issue_server(["a"], 825),
    ):
        certificate = issued.certificate
        whole = certificate.not_valid_after_utc - certificate.not_valid_before_utc + datetime.timedelta(seconds=1)
        assert whole <= datetime.timedelta(days=825)
        assert certificate.not_valid_before_utc < NOW


def test_a_certificate_between_the_sites_own_processes_lasts_as_long_as_its_authority(authority: Authority) -> None:
    issued = authority.issue_internal(["a"])
    assert authority.certificate.not_valid_after_utc - issued.certificate.not_valid_after_utc <= datetime.timedelta(1)


def test_a_device_that_receives_has_a_certificate_that_serves(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue_client("ct1", hosts=["ct1.example.org", "192.0.2.1"])
    for purpose in (["-purpose", "sslclient"], ["-purpose", "sslserver", "-verify_hostname", "ct1.example.org"]):
        assert openssl_verify(tmp_path, authority, issued, *purpose) == "leaf.crt: OK\n"


@pytest.mark.parametrize("days", [0, -1, 826])
def test_days_out_of_range_are_refused(authority: Authority, days: int) -> None:
    with pytest.raises(InputError, match="valid for 1 to 825 days"):
        authority.issue_server(["pacs.example.org"], days)


def test_serial_numbers_do_not_repeat(authority: Authority) -> None:
    assert len({authority.issue_internal(["a"]).certificate.serial_number for _ in range(20)}) == 20


def test_a_certificate_does_not_outlive_its_authority(tmp_path: Path) -> None:
    authority = ensure_authority(tmp_path, "old", now=NOW - datetime.timedelta(days=3600))
    issued = authority.issue_server(["pacs.example.org"])
    assert issued.certificate.not_valid_after_utc == authority.certificate.not_valid_after_utc
    with pytest.raises(Failure, match="the authority expired on"):
        authority.issue_server(["pacs.example.org"], now=NOW + datetime.timedelta(days=60))


def test_a_certificate_of_the_past_is_expired_for_openssl(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue_client("CT-1", days=30, now=NOW - datetime.timedelta(days=60))
    assert "certificate has expired" in openssl_verify(tmp_path, authority, issued)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "-a.example.org",
        "a..b",
        "a.",
        ".a",
        "http://a",
        "a:443",
        "*.*.a",
        "a*.b",
        "*",
        "10.0.0.300",
        "fe80::1%0",
    ],
)
def test_what_is_neither_a_name_nor_an_address_is_refused(authority: Authority, name: str) -> None:
    with pytest.raises(InputError, match="is neither a DNS name nor an IP address"):
        authority.issue_server(["pacs.example.org", name])


def test_no_names_at_all_are_refused(authority: Authority) -> None:
    with pytest.raises(InputError, match="needs one name at least"):
        authority.issue_server([])


def test_names_are_kept_as_given_without_repeats_and_others_than_ascii_in_their_wire_form(
    authority: Authority,
) -> None:
    issued = authority.issue_server(["PACS-1", "PACS-1", "münchen.example.org", "orthanc_1"])
    assert certificate_names(issued.certificate) == ("PACS-1", "xn--mnchen-3ya.example.org", "orthanc_1")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", ".hidden", "-rf", "a b", "a\n", "ä", "x" * 65, "a\x00", "ca", "CA"]
)
def test_a_device_name_that_is_no_safe_file_name_is_refused(authority: Authority, name: str) -> None:
    with pytest.raises(InputError, match="device name"):
        authority.issue_client(name)


def test_an_authority_knows_its_own_from_those_of_one_with_its_name(authority: Authority, tmp_path: Path) -> None:
    namesake = ensure_authority(tmp_path, "test authority")
    issued = authority.issue_internal(["a"])
    assert authority.signed(issued.certificate)
    assert not namesake.signed(issued.certificate)


def test_no_key_is_shown_by_repr(authority: Authority) -> None:
    assert "private_key" not in repr(authority) + repr(authority.issue_internal(["a"]))


def test_issued_keys_are_pkcs8_without_a_password(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue_client("CT-1")
    (tmp_path / "x.key").write_bytes(issued.key_pem)
    assert issued.key_pem.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert load_key(tmp_path / "x.key").public_key() == issued.certificate.public_key()


def test_a_server_and_a_device_shake_hands(authority: Authority, tmp_path: Path) -> None:
    server, client = authority.issue_server(["pacs.example.org"]), authority.issue_client("CT-1")
    subject = shake_hands(*contexts(tmp_path, authority, server, client), "pacs.example.org")
    assert subject == ((("commonName", "CT-1"),),)


def test_a_device_of_another_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    stranger = ensure_authority(tmp_path / "other", "test authority").issue_client("CT-1")
    server = authority.issue_server(["pacs.example.org"])
    both = contexts(tmp_path, authority, server, stranger)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(*both, "pacs.example.org")


def contexts(
    tmp_path: Path, authority: Authority, server: Issued, client: Issued
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a server's and a client's TLS context, each trusting `authority` only."""
    sides = []
    for purpose, issued in ((ssl.PROTOCOL_TLS_SERVER, server), (ssl.PROTOCOL_TLS_CLIENT, client)):
        context = ssl.SSLContext(purpose)
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_verify_locations(cadata=authority.certificate_pem.decode())
        pem = tmp_path / f"{purpose.name}.pem"
        pem.write_bytes(issued.fullchain_pem + issued.key_pem)
        context.load_cert_chain(pem)
        sides.append(context)
    return sides[0], sides[1]


def shake_hands(server_context: ssl.SSLContext, client_context: ssl.SSLContext, name: str) -> object:
    """Run a handshake in memory; return the subject of the client's certificate as the server saw it."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(down, up, server_hostname=name)
    server = server_context.wrap_bio(up, down, server_side=True)
    for _ in range(10):
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    certificate = server.getpeercert()
    assert certificate is not None
    return certificate["subject"]

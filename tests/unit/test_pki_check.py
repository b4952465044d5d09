"""Certificates that a person brings: a good one passes, each fault is told in a line that names the file."""

from __future__ import annotations

import datetime
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from orthweb.errors import InputError
from orthweb.pki import (
    Authority,
    ServerCertificate,
    apple_complaints,
    check_server_certificate,
    covers,
    ensure_authority,
    load_certificate,
    load_chain,
    load_key,
)

NOW = datetime.datetime.now(datetime.UTC)
NAMES = ["pacs.example.org", "localhost", "127.0.0.1"]
GOOD = ["subjectAltName=DNS:pacs.example.org", "extendedKeyUsage=serverAuth"]


def self_signed(folder: Path, *extensions: str, key: str = "rsa:2048", days: int = 90, digest: str = "sha256") -> None:
    """Make x.crt and x.key with the openssl command, as the guides on the web say."""
    assert shutil.which("openssl"), "openssl is missing: apt-get install openssl"
    kind = ["ec", "-pkeyopt", f"ec_paramgen_curve:{key[3:]}"] if key.startswith("ec:") else [key]
    command = [
        "openssl",
        "req",
        "-x509",
        "-nodes",
        "-subj",
        "/CN=pacs.example.org",
        f"-{digest}",
        "-days",
        str(days),
    ]
    command += ["-newkey", *kind, "-keyout", "x.key", "-out", "x.crt"]
    for extension in extensions:
        command += ["-addext", extension]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)


def check(folder: Path, names: list[str] = NAMES) -> ServerCertificate:
    now = datetime.datetime.now(datetime.UTC)
    return check_server_certificate(folder / "x.crt", folder / "x.key", None, names, now)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return ensure_authority(tmp_path / "pki", "test authority")


def put(folder: Path, authority: Authority, names: list[str], days: int = 90, now: datetime.datetime = NOW) -> None:
    issued = authority.issue_server(names, days, now=now)
    (folder / "x.crt").write_bytes(issued.fullchain_pem)
    (folder / "x.key").write_bytes(issued.key_pem)


@pytest.mark.parametrize("key", ["rsa:2048", "rsa:3072", "ec:P-256", "ec:P-384", "ec:P-521"])
def test_a_self_signed_certificate_passes_without_a_chain(key: str, tmp_path: Path) -> None:
    self_signed(tmp_path, *GOOD, key=key)
    checked = check(tmp_path)
    assert checked.chain == ()
    assert checked.notes == ()
    assert checked.fullchain_pem == (tmp_path / "x.crt").read_bytes()
    (tmp_path / "out.key").write_bytes(checked.key_pem)
    assert load_key(tmp_path / "out.key").public_key() == load_certificate(tmp_path / "x.crt").public_key()


def test_a_certificate_of_an_authority_that_clients_know_passes_and_the_authority_is_named(
    tmp_path: Path, authority: Authority
) -> None:
    put(tmp_path, authority, ["pacs.example.org"])
    assert check(tmp_path).notes == ("no chain was given: clients must know 'CN=test authority' already",)


def test_the_key_of_another_certificate_is_refused(tmp_path: Path, authority: Authority) -> None:
    put(tmp_path, authority, ["pacs.example.org"])
    (tmp_path / "x.key").write_bytes(authority.issue_server(["pacs.example.org"]).key_pem)
    with pytest.raises(InputError, match=r"x\.key: isn't the key of .*x\.crt"):
        check(tmp_path)


def test_a_key_of_another_kind_is_refused(tmp_path: Path, authority: Authority) -> None:
    put(tmp_path, authority, ["pacs.example.org"])
    (tmp_path / "x.key").write_bytes(authority.issue_internal(["pacs.example.org"]).key_pem)
    with pytest.raises(InputError, match=r"x\.key: isn't the key of .*x\.crt"):
        check(tmp_path)


def test_an_expired_certificate_is_refused_with_its_day(tmp_path: Path, authority: Authority) -> None:
    put(tmp_path, authority, ["pacs.example.org"], days=10, now=NOW - datetime.timedelta(days=20))
    day = load_certificate(tmp_path / "x.crt").not_valid_after_utc
    with pytest.raises(InputError, match=rf"x\.crt: expired on {day:%Y-%m-%d}"):
        check(tmp_path)


def test_a_certificate_is_good_to_its_last_second(tmp_path: Path, authority: Authority) -> None:
    put(tmp_path, authority, ["pacs.example.org"], days=10)
    last = load_certificate(tmp_path / "x.crt").not_valid_after_utc
    paths = tmp_path / "x.crt", tmp_path / "x.key", None
    check_server_certificate(*paths, NAMES, last)
    with pytest.raises(InputError, match="expired on"):
        check_server_certificate(*paths, NAMES, last + datetime.timedelta(seconds=1))


def test_a_certificate_of_the_future_is_refused(tmp_path: Path, authority: Authority) -> None:
    put(tmp_path, authority, ["pacs.example.org"], now=NOW + datetime.timedelta(days=2))
    with pytest.raises(InputError, match=r"x\.crt: is not valid before .* UTC: check this machine's clock"):
        check(tmp_path)


def test_a_certificate_for_another_host_is_refused_with_both_lists(tmp_path: Path, authority: Authority) -> None:
    put(tmp_path, authority, ["www.example.com", "example.com"])
    with pytest.raises(
        InputError, match=r"x\.crt: is for www\.example\.com, example\.com, and the site's names"
    ) as caught:
        check(tmp_path)
    assert all(name in caught.value.message for name in NAMES)


def test_a_certificate_may_cover_some_names_of_the_site_and_others_and_it_is_told(
    tmp_path: Path, authority: Authority
) -> None:
    put(tmp_path, authority, ["pacs.example.org", "www.example.org", "127.0.0.1"])
    notes = check(tmp_path, ["pacs.example.org", "localhost", "192.0.2.7"]).notes
    assert notes[:2] == (
        "the certificate doesn't cover 192.0.2.7",
        "the certificate is also for www.example.org, 127.0.0.1, no name of the site",
    )


def test_a_wildcard_covers_the_name_below_it(tmp_path: Path, authority: Authority) -> None:
    put(tmp_path, authority, ["*.example.org"])
    assert len(check(tmp_path, ["pacs.example.org"]).notes) == 1
    with pytest.raises(InputError, match=r"is for \*\.example\.org"):
        check(tmp_path, ["a.pacs.example.org", "example.org"])


@pytest.mark.parametrize(
    ("own", "asked", "expected"),
    [
        ("pacs.example.org", "PACS.Example.Org", True),
        ("pacs.example.org", "pacs.example.org.", True),
        ("*.example.org", "*.example.org", True),
        ("*.example.org", ".example.org", False),
        ("*.org", "example.org", False),
        ("xn--mnchen-3ya.example.org", "münchen.example.org", True),
        ("2001:db8::7", "2001:0db8:0:0:0:0:0:7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("*.0.2.7", "192.0.2.7", False),
        ("example.org", "192.0.2.7", False),
    ],
)
def test_names_are_covered_as_browsers_see_it(own: str, asked: str, expected: bool) -> None:
    assert covers(own, asked) is expected


def test_a_certificate_with_a_common_name_only_is_refused(tmp_path: Path) -> None:
    self_signed(tmp_path, "extendedKeyUsage=serverAuth")
    with pytest.raises(InputError, match=r"x\.crt: has no name in SubjectAltName"):
        check(tmp_path)


@pytest.mark.parametrize(
    ("extensions", "options", "complaint"),
    [
        (GOOD, {"key": "rsa:1024"}, "the key is RSA 1024, and 2048 bits are the least"),
        (GOOD, {"digest": "sha1"}, "the signature is sha1WithRSAEncryption, and SHA-2 is asked"),
        (GOOD, {"days": 826}, "it is valid for 826 days, and 825 are the most"),
        (GOOD[:1], {}, "ExtendedKeyUsage doesn't hold serverAuth"),
        ([GOOD[0], "extendedKeyUsage=clientAuth"], {}, "ExtendedKeyUsage doesn't hold serverAuth"),
    ],
)
def test_what_apple_refuses_is_refused(
    extensions: list[str], options: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    self_signed(tmp_path, *extensions, **options)
    assert apple_complaints(load_certificate(tmp_path / "x.crt")) == [complaint]
    with pytest.raises(
        InputError, match=r"x\.crt: browsers and Apple's systems would refuse it \(HT210176\)"
    ) as caught:
        check(tmp_path)
    assert complaint in caught.value.message


def test_every_complaint_is_told_at_once(tmp_path: Path) -> None:
    self_signed(tmp_path, "basicConstraints=CA:false", key="rsa:1024", digest="sha1", days=1000)
    assert len(apple_complaints(load_certificate(tmp_path / "x.crt"))) == 5


def test_825_days_and_addresses_alone_are_what_apple_takes(tmp_path: Path) -> None:
    self_signed(tmp_path, "subjectAltName=IP:192.0.2.7", GOOD[1], days=825)
    assert apple_complaints(load_certificate(tmp_path / "x.crt")) == []
    assert check(tmp_path, ["192.0.2.7"]).notes == ()


def test_a_curve_that_browsers_do_not_know_is_refused(tmp_path: Path) -> None:
    self_signed(tmp_path, *GOOD, key="ec:secp256k1")
    with pytest.raises(InputError, match=r"x\.crt: the key is EC secp256k1"):
        check(tmp_path)


def test_a_key_usage_without_signatures_is_refused(tmp_path: Path) -> None:
    self_signed(tmp_path, *GOOD, "keyUsage=keyEncipherment")
    with pytest.raises(InputError, match=r"x\.crt: KeyUsage doesn't hold digitalSignature"):
        check(tmp_path)


def test_swapped_files_are_told_apart(tmp_path: Path, authority: Authority) -> None:
    put(tmp_path, authority, ["pacs.example.org"])
    with pytest.raises(InputError, match=r"x\.crt: holds a certificate and no private key"):
        check_server_certificate(tmp_path / "x.key", tmp_path / "x.crt", None, NAMES, NOW)


def test_a_missing_chain_is_named(tmp_path: Path, authority: Authority) -> None:
    put(tmp_path, authority, ["pacs.example.org"])
    with pytest.raises(InputError, match=r"chain\.pem: there is no such file"):
        check_server_certificate(tmp_path / "x.crt", tmp_path / "x.key", tmp_path / "chain.pem", NAMES, NOW)


def test_the_site_s_own_certificate_passes_with_its_authority_as_chain(tmp_path: Path, authority: Authority) -> None:
    put(tmp_path, authority, ["pacs.example.org"])
    ca = tmp_path / "pki" / "ca.crt"
    checked = check_server_certificate(tmp_path / "x.crt", tmp_path / "x.key", ca, NAMES, NOW)
    assert list(checked.chain) == load_chain(ca)
    assert checked.notes == ()


def test_no_key_is_shown_by_repr(tmp_path: Path, authority: Authority) -> None:
    put(tmp_path, authority, ["pacs.example.org"])
    assert "private_key" not in repr(check(tmp_path))

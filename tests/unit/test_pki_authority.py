"""The site's authority: made once, repaired where it can be, refused where it is damaged."""

from __future__ import annotations

import datetime
import shutil
import stat
from pathlib import Path

import pytest
from cryptography import x509

from orthweb.errors import Failure, InputError
from orthweb.pki import (
    Authority,
    describe,
    ensure_authority,
    private_key_pem,
)

NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authority") / "pki"


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return ensure_authority(folder, "test authority")


def test_a_new_authority_has_a_closed_folder_a_closed_key_and_an_open_certificate(tmp_path: Path) -> None:
    ensure_authority(tmp_path / "pki", "new authority")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "pki").iterdir()}
    assert modes == {"ca.key": 0o600, "ca.crt": 0o644}
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700


def test_a_new_authority_is_for_ten_years_signs_servers_only_and_has_no_authority_below(
    authority: Authority,
) -> None:
    certificate = authority.certificate
    info = describe(certificate, NOW)
    assert (info.subject, info.key, info.issuer) == ("CN=test authority", "EC P-256", info.subject)
    assert 3648 <= info.days_left <= 3650
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert (usage.critical, usage.value.key_cert_sign, usage.value.crl_sign) == (True, True, True)
    assert not usage.value.digital_signature


def test_the_second_call_loads_what_the_first_made(folder: Path, authority: Authority) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = ensure_authority(folder, "another name")
    assert again.certificate == authority.certificate
    assert private_key_pem(again.private_key) == private_key_pem(authority.private_key)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_an_authority_interrupted_after_its_key_is_finished_with_that_key(tmp_path: Path) -> None:
    first = ensure_authority(tmp_path, "interrupted")
    (tmp_path / "ca.crt").unlink()
    second = ensure_authority(tmp_path, "interrupted")
    assert private_key_pem(second.private_key) == private_key_pem(first.private_key)
    assert second.certificate.public_key() == second.private_key.public_key()


def test_a_key_that_a_backup_left_open_is_closed(tmp_path: Path) -> None:
    ensure_authority(tmp_path, "restored")
    (tmp_path / "ca.key").chmod(0o644)
    ensure_authority(tmp_path, "restored")
    assert stat.S_IMODE((tmp_path / "ca.key").stat().st_mode) == 0o600


def test_a_certificate_without_its_key_is_not_replaced(tmp_path: Path) -> None:
    ensure_authority(tmp_path, "lost")
    (tmp_path / "ca.key").unlink()
    with pytest.raises(InputError, match=r"ca\.key: is missing, and ca\.crt is there: restore"):
        ensure_authority(tmp_path, "lost")
    assert [path.name for path in tmp_path.iterdir()] == ["ca.crt"]


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_damaged_key_is_not_replaced(content: bytes, alone: bool, tmp_path: Path) -> None:
    ensure_authority(tmp_path, "damaged")
    (tmp_path / "ca.key").write_bytes(content)
    if alone:
        (tmp_path / "ca.crt").unlink()
    with pytest.raises(InputError, match=r"ca\.key: .*: restore ca\.crt and ca\.key from a backup"):
        ensure_authority(tmp_path, "damaged")
    assert (tmp_path / "ca.key").read_bytes() == content


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_damaged_certificate_is_not_replaced(content: bytes, tmp_path: Path) -> None:
    ensure_authority(tmp_path, "damaged")
    (tmp_path / "ca.crt").write_bytes(content)
    with pytest.raises(InputError, match=r"ca\.crt: .*: restore ca\.crt and ca\.key from a backup"):
        ensure_authority(tmp_path, "damaged")
    assert (tmp_path / "ca.crt").read_bytes() == content


def test_the_key_of_another_authority_is_refused(tmp_path: Path) -> None:
    ensure_authority(tmp_path / "one", "one")
    ensure_authority(tmp_path / "two", "two")
    shutil.copy(tmp_path / "two/ca.key", tmp_path / "one/ca.key")
    with pytest.raises(InputError, match=r"ca\.key: isn't the key of ca\.crt: restore"):
        ensure_authority(tmp_path / "one", "one")


def test_a_certificate_that_is_no_authority_is_refused(tmp_path: Path, authority: Authority) -> None:
    issued = authority.issue_server(["pacs.example.org"])
    (tmp_path / "ca.crt").write_bytes(issued.certificate_pem)
    (tmp_path / "ca.key").write_bytes(issued.key_pem)
    with pytest.raises(InputError, match=r"ca\.crt: isn't the self-signed certificate of an authority"):
        ensure_authority(tmp_path, "none")


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "pki").write_text("")
    with pytest.raises(Failure, match="pki: can't be made a folder"):
        ensure_authority(tmp_path / "pki", "none")


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_an_authority_name_that_x509_does_not_take_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must have 1 to 64 characters"):
        ensure_authority(tmp_path, name)

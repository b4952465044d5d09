"""A device's files: each opens with OpenSSL, keys are their owner's, and nothing of value is overwritten."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from orthweb.errors import Failure, InputError
from orthweb.pki import Authority, ensure_authority, export_device, load_certificate, load_key

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return ensure_authority(tmp_path_factory.mktemp("authority"), "test authority")


def export(authority: Authority, folder: Path, name: str = "CT-1", **passwords: str | None) -> list[Path]:
    return export_device(folder, name, authority.issue_client("CT-1"), authority.certificate, **passwords)


def openssl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert shutil.which("openssl"), "openssl is missing: apt-get install openssl"
    return subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, timeout=60)


def test_pem_files_are_written_with_the_right_modes(authority: Authority, tmp_path: Path) -> None:
    written = export(authority, tmp_path / "out")
    assert [path.name for path in written] == ["ca.crt", "CT-1.crt", "CT-1.key"]
    assert sorted(os.listdir(tmp_path / "out")) == sorted(path.name for path in written)
    assert [stat.S_IMODE(path.stat().st_mode) for path in written] == [0o644, 0o644, 0o600]
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


def test_pem_files_belong_together(authority: Authority, tmp_path: Path) -> None:
    export(authority, tmp_path)
    assert load_key(tmp_path / "CT-1.key").public_key() == load_certificate(tmp_path / "CT-1.crt").public_key()
    said = openssl(tmp_path, "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "ca.crt", "CT-1.crt")
    assert said.stdout == "CT-1.crt: OK\n", said.stderr


def test_a_folder_that_exists_keeps_its_mode_and_its_files(authority: Authority, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "letter.txt").write_text("mine")
    export(authority, tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert (tmp_path / "letter.txt").read_text() == "mine"


def test_two_devices_share_a_folder(authority: Authority, tmp_path: Path) -> None:
    export(authority, tmp_path, "CT-1", truststore_password=PASSWORD)
    export(authority, tmp_path, "CT-2", truststore_password=PASSWORD)
    assert len(list(tmp_path.glob("CT-*.key"))) == 2


def test_pkcs12_opens_with_openssl_and_holds_key_certificate_and_authority(
    authority: Authority, tmp_path: Path
) -> None:
    written = export(authority, tmp_path, pkcs12_password=PASSWORD)
    assert stat.S_IMODE((tmp_path / "CT-1.p12").stat().st_mode) == 0o600
    assert tmp_path / "CT-1.p12" in written
    opened = openssl(tmp_path, "pkcs12", "-in", "CT-1.p12", "-nodes", "-passin", f"pass:{PASSWORD}", "-out", "all.pem")
    assert opened.returncode == 0, opened.stderr
    text = (tmp_path / "all.pem").read_text()
    assert text.count("BEGIN CERTIFICATE") == 2
    assert "friendlyName: CT-1" in text
    assert load_key(tmp_path / "all.pem").public_key() == load_certificate(tmp_path / "CT-1.crt").public_key()


def test_pkcs12_has_the_protection_that_old_java_and_macos_read(authority: Authority, tmp_path: Path) -> None:
    export(authority, tmp_path, pkcs12_password=PASSWORD)
    said = openssl(tmp_path, "pkcs12", "-in", "CT-1.p12", "-info", "-noout", "-passin", f"pass:{PASSWORD}").stderr
    assert "MAC: sha1" in said
    assert "Shrouded Keybag: pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 100000" in said


def test_pkcs12_does_not_open_with_another_password(authority: Authority, tmp_path: Path) -> None:
    export(authority, tmp_path, pkcs12_password=PASSWORD)
    said = openssl(tmp_path, "pkcs12", "-in", "CT-1.p12", "-nodes", "-passin", "pass:wrong")
    assert "invalid password" in said.stderr
    assert said.returncode != 0


@pytest.mark.parametrize("suffix", ["key", "p12"])
def test_a_key_that_is_there_is_not_overwritten(suffix: str, authority: Authority, tmp_path: Path) -> None:
    (tmp_path / f"CT-1.{suffix}").write_text("precious")
    with pytest.raises(
        InputError, match=rf"CT-1\.{suffix}: exists, and a key that is overwritten is lost: move it away"
    ):
        export(authority, tmp_path, pkcs12_password=PASSWORD)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {f"CT-1.{suffix}": "precious"}


def test_the_authority_of_another_site_is_not_overwritten(authority: Authority, tmp_path: Path) -> None:
    other = ensure_authority(tmp_path / "other", "test authority")
    (tmp_path / "ca.crt").write_bytes(other.certificate_pem)
    with pytest.raises(InputError, match=r"ca\.crt: is the certificate of another authority: choose another folder"):
        export(authority, tmp_path)
    assert (tmp_path / "ca.crt").read_bytes() == other.certificate_pem
    assert not (tmp_path / "CT-1.key").exists()


def test_an_export_interrupted_before_its_key_can_be_repeated(authority: Authority, tmp_path: Path) -> None:
    export(authority, tmp_path)
    (tmp_path / "CT-1.key").unlink()
    export(authority, tmp_path)
    assert load_key(tmp_path / "CT-1.key").public_key() == load_certificate(tmp_path / "CT-1.crt").public_key()


@pytest.mark.parametrize("name", ["../CT-1", "ca", "Truststore", ""])
def test_a_name_that_would_leave_the_folder_or_overwrite_its_files_is_refused(
    name: str, authority: Authority, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="device name"):
        export(authority, tmp_path / "out", name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("password", ["", "short", "pässword", "with\ttab"])
@pytest.mark.parametrize("kind", ["pkcs12_password", "truststore_password"])
def test_a_password_that_not_every_reader_takes_is_refused_without_being_shown(
    kind: str, password: str, authority: Authority, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="must be 6 or more printable ASCII characters") as caught:
        export(authority, tmp_path / "out", **{kind: password})
    assert not password or password not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_named(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(Failure, match="out: can't be made a folder"):
        export(authority, tmp_path / "out")

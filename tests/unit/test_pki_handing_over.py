"""The authority of a site, handed to another administrator under a passphrase."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from harness import orthweb

from orthweb.errors import InputError
from orthweb.pki import ensure_authority
from orthweb.pki.handing_over import export_authority, import_authority

_PASSPHRASE = "correct horse battery"


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    path = tmp_path / "authority.p12"
    export_authority(ensure_authority(tmp_path / "first", "first authority"), path, _PASSPHRASE)
    return path


def test_whoever_takes_over_issues_certificates_of_the_same_authority(exported: Path, tmp_path: Path) -> None:
    found = import_authority(exported, _PASSPHRASE, tmp_path / "second")
    first = ensure_authority(tmp_path / "first", "")
    assert first.signed(found.issue_client("ct1").certificate)
    assert stat.S_IMODE((tmp_path / "second/ca.key").stat().st_mode) == 0o600
    # Twice is no harm.
    import_authority(exported, _PASSPHRASE, tmp_path / "second")


def test_the_file_is_closed_to_others_and_holds_no_key_that_can_be_read(exported: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE(exported.stat().st_mode) == 0o600
    with pytest.raises(InputError, match="cannot be opened with this passphrase"):
        import_authority(exported, _PASSPHRASE + "x", tmp_path / "second")
    assert not (tmp_path / "second").exists()


def test_openssl_reads_it_too(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text(_PASSPHRASE)
    command = ["openssl", "pkcs12", "-in", str(exported), "-passin", f"file:{tmp_path / 'passphrase'}", "-nokeys"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert (tmp_path / "first/ca.crt").read_text() in done.stdout


def test_an_authority_that_has_issued_certificates_is_not_replaced(exported: Path, tmp_path: Path) -> None:
    before = ensure_authority(tmp_path / "other", "another authority").certificate_pem
    with pytest.raises(InputError, match="is another authority"):
        import_authority(exported, _PASSPHRASE, tmp_path / "other")
    assert (tmp_path / "other/ca.crt").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"not a key", b"-----BEGIN CERTIFICATE-----"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InputError, match="cannot be opened"):
        import_authority(tmp_path / "file", _PASSPHRASE, tmp_path / "second")
    with pytest.raises(InputError, match="No such file"):
        import_authority(tmp_path / "none", _PASSPHRASE, tmp_path / "second")


def test_a_devices_store_is_no_authority(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "orthweb.yaml").write_text("name: clinic\n")
    assert orthweb("certs", "issue", "ct1", "-C", site, "--to", tmp_path, "--pkcs12").status == 0
    done = orthweb("certs", "import", tmp_path / "ct1.p12", "-C", site, "--passphrase-file", tmp_path / "ct1.password")
    assert done.status == 2 and "holds no authority" in done.err


def test_the_commands_hand_an_authority_over(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "orthweb.yaml").write_text("name: clinic\n")
    first, second, file, secret = (tmp_path / name for name in ("first", "second", "a.p12", "passphrase"))
    done = orthweb("certs", "export", file, "-C", first)
    assert done.status == 1 and "'orthweb up' or 'orthweb apply'" in done.err
    assert orthweb("certs", "issue", "ct1", "-C", first, "--to", tmp_path).status == 0
    done = orthweb("certs", "export", file, "-C", first)
    assert done.status == 2 and "nobody can be asked here" in done.err
    secret.write_text("short\n")
    done = orthweb("certs", "export", file, "-C", first, "--passphrase-file", secret)
    assert done.status == 2 and "choose 12 or more" in done.err and not file.exists()
    secret.write_text(f"{_PASSPHRASE}\n")
    assert orthweb("certs", "export", file, "-C", first, "--passphrase-file", secret).status == 0
    done = orthweb("certs", "export", file, "-C", first, "--passphrase-file", secret)
    assert done.status == 2 and "is there already" in done.err
    done = orthweb("certs", "import", file, "-C", second, "--passphrase-file", secret)
    assert done.status == 0 and "clinic authority" in done.err
    assert (first / ".orthweb/pki/ca.crt").read_bytes() == (second / ".orthweb/pki/ca.crt").read_bytes()

"""A device's files as Java and so dcm4che sees them, with Java's own keytool."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from orthweb.pki import Authority, Issued, describe, ensure_authority, export_device

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return ensure_authority(tmp_path_factory.mktemp("authority"), "test authority")


@pytest.fixture(scope="module")
def issued(authority: Authority) -> Issued:
    return authority.issue_client("CT-1")


@pytest.fixture(scope="module")
def folder(authority: Authority, issued: Issued, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("device")
    export_device(folder, "CT-1", issued, authority.certificate, pkcs12_password=PASSWORD, truststore_password=PASSWORD)
    return folder


def keytool(folder: Path, *arguments: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    assert shutil.which("keytool"), "keytool is missing: apt-get install default-jre-headless"
    # Java compiles for minutes of work, and here it is done in half a second.
    brief = ("-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC")
    command = ["keytool", *arguments, "-storepass", password, "-J-Duser.language=en", *brief]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("kind", ["PKCS12", "JKS"])
def test_the_trust_store_holds_the_authority_as_trusted(kind: str, authority: Authority, folder: Path) -> None:
    said = keytool(folder, "-list", "-storetype", kind, "-keystore", "truststore.p12").stdout
    assert "Your keystore contains 1 entry" in said
    assert "trustedCertEntry" in said
    assert describe(authority.certificate, authority.certificate.not_valid_after_utc).fingerprint_sha256 in said


@pytest.mark.parametrize("kind", ["PKCS12", "JKS"])
def test_the_key_store_holds_the_device_s_key_with_its_chain(kind: str, folder: Path) -> None:
    said = keytool(folder, "-list", "-v", "-storetype", kind, "-keystore", "CT-1.p12").stdout
    assert "Alias name: ct-1" in said
    assert "Entry type: PrivateKeyEntry" in said
    assert "Certificate chain length: 2" in said
    assert "Owner: CN=CT-1" in said
    assert "Issuer: CN=test authority" in said


def test_java_can_use_the_key_itself(folder: Path, tmp_path: Path) -> None:
    # A request is signed with the private key, which listing a store never opens.
    said = keytool(folder, "-certreq", "-alias", "ct-1", "-keystore", "CT-1.p12", "-file", str(tmp_path / "x.csr"))
    assert said.returncode == 0, said.stdout
    assert "NEW CERTIFICATE REQUEST" in (tmp_path / "x.csr").read_text()


@pytest.mark.parametrize("store", ["CT-1.p12", "truststore.p12"])
def test_neither_store_opens_with_another_password(store: str, folder: Path) -> None:
    said = keytool(folder, "-list", "-keystore", store, password="wrong horse")
    assert said.returncode != 0
    assert "password was incorrect" in said.stdout

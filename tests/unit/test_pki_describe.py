"""What a certificate says, compared with what the openssl command says of the same file."""

from __future__ import annotations

import datetime
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from orthweb.pki import Authority, CertificateInfo, describe, ensure_authority, load_certificate

NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return ensure_authority(tmp_path_factory.mktemp("authority"), "test authority")


def openssl(folder: Path, *arguments: str) -> str:
    assert shutil.which("openssl"), "openssl is missing: apt-get install openssl"
    run = subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, text=True, timeout=60)
    return run.stdout


def test_it_says_what_openssl_says(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue_server(["pacs.example.org", "192.0.2.7", "2001:db8::7"])
    (tmp_path / "x.crt").write_bytes(issued.certificate_pem)
    info = describe(issued.certificate, NOW)
    lines = openssl(
        tmp_path,
        "x509",
        "-in",
        "x.crt",
        "-noout",
        "-serial",
        "-fingerprint",
        "-sha256",
        "-dates",
        "-dateopt",
        "iso_8601",
    )
    said = dict(line.split("=", 1) for line in lines.splitlines())
    assert info.serial.replace(":", "") == said["serial"]
    assert info.fingerprint_sha256 == said["sha256 Fingerprint"]
    assert f"{info.not_before:%Y-%m-%d %H:%M:%SZ}" == said["notBefore"]
    assert f"{info.not_after:%Y-%m-%d %H:%M:%SZ}" == said["notAfter"]
    text = openssl(tmp_path, "x509", "-in", "x.crt", "-noout", "-text")
    assert f"Signature Algorithm: {info.signature_algorithm}" in text
    assert info.subject == "CN=pacs.example.org"
    assert info.issuer == "CN=test authority"
    assert info.names == ("pacs.example.org", "192.0.2.7", "2001:db8::7")
    assert info.key == "RSA 2048"


@pytest.mark.parametrize(
    ("options", "key", "signature"),
    [
        (["-newkey", "rsa:2560", "-sha384"], "RSA 2560", "sha384WithRSAEncryption"),
        (["-newkey", "rsa:2048", "-sha1"], "RSA 2048", "sha1WithRSAEncryption"),
        (["-newkey", "rsa:2048", "-sigopt", "rsa_padding_mode:pss"], "RSA 2048", "rsassaPss"),
        (
            ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-sha512"],
            "EC P-384",
            "ecdsa-with-SHA512",
        ),
        (["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"], "EC secp256k1", "ecdsa-with-SHA256"),
        (["-newkey", "ed25519"], "Ed25519", "ED25519"),
        (["-newkey", "rsa:2048", "-sha3-256"], "RSA 2048", "2.16.840.1.101.3.4.3.14"),
    ],
)
def test_keys_and_signatures_of_every_kind_are_named(
    options: list[str], key: str, signature: str, tmp_path: Path
) -> None:
    openssl(tmp_path, "req", "-x509", "-nodes", "-subj", "/CN=x", "-keyout", "x.key", "-out", "x.crt", *options)
    info = describe(load_certificate(tmp_path / "x.crt"), NOW)
    assert (info.key, info.signature_algorithm) == (key, signature)
    if not signature[0].isdigit():
        assert f"Signature Algorithm: {signature}" in openssl(tmp_path, "x509", "-in", "x.crt", "-noout", "-text")


def test_days_left_are_whole_and_turn_negative(authority: Authority) -> None:
    certificate = authority.issue_internal(["a"], days=10).certificate
    end = certificate.not_valid_after_utc

    def left(**before: int) -> int:
        return describe(certificate, end - datetime.timedelta(**before)).days_left

    assert [left(days=2), left(hours=47), left(hours=1), left(hours=0), left(hours=-1)] == [2, 1, 0, 0, -1]


def test_it_goes_to_json_and_back_the_same(authority: Authority) -> None:
    info = describe(authority.issue_server(["pacs.example.org"]).certificate, NOW)
    read = json.loads(json.dumps(info.to_dict()))
    for name in ("not_before", "not_after"):
        read[name] = datetime.datetime.fromisoformat(read[name])
    read["names"] = tuple(read["names"])
    assert CertificateInfo(**read) == info


def test_a_certificate_without_names_has_none(authority: Authority) -> None:
    assert describe(authority.issue_client("CT-1").certificate, NOW).names == ()

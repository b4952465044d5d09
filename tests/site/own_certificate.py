"""A server certificate as a person brings it: of another authority, with an intermediate."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True)
class OwnCertificate:
    """A server certificate of another authority with an intermediate, in a folder."""

    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "server.crt"

    @property
    def key(self) -> Path:
        return self.folder / "server.key"

    @property
    def chain(self) -> Path:
        return self.folder / "chain.crt"

    @property
    def root(self) -> Path:
        return self.folder / "root.crt"

    @property
    def fingerprints(self) -> list[str]:
        """What a server sends: its certificate and the intermediate, not the root."""
        return fingerprints(self.certificate.read_text() + self.chain.read_text())

    def make(self, name: str = "localhost", ends: datetime.datetime = NOW + 90 * DAY) -> OwnCertificate:
        self.folder.mkdir(exist_ok=True)
        root_key, middle_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        root = _signed("Test root", root_key, "Test root", root_key, authority=True)
        middle = _signed("Test intermediate", middle_key, "Test root", root_key, authority=True)
        leaf = _signed(name, key, "Test intermediate", middle_key, authority=False, ends=ends)
        for path, certificate in ((self.root, root), (self.chain, middle), (self.certificate, leaf)):
            path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(key_pem(key, serialization.NoEncryption()))
        return self


def _signed(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    authority: bool,
    ends: datetime.datetime = NOW + 400 * DAY,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 30 * DAY)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        builder = builder.add_extension(usage, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def key_pem(key: ec.EllipticCurvePrivateKey, protection: serialization.KeySerializationEncryption) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)


def fingerprints(pem: str) -> list[str]:
    found = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", pem, re.DOTALL)
    assert found, pem
    certificates = (x509.load_pem_x509_certificate(each.encode()) for each in found)
    return [certificate.fingerprint(hashes.SHA256()).hex(":").upper() for certificate in certificates]

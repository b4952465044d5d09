"""What a certificate says, as plain values for a table or JSON."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import SignatureAlgorithmOID

from orthweb.pki.names import certificate_names

_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
# As openssl writes them.
_SIGNATURES = {
    SignatureAlgorithmOID.RSA_WITH_MD5: "md5WithRSAEncryption",
    SignatureAlgorithmOID.RSA_WITH_SHA1: "sha1WithRSAEncryption",
    SignatureAlgorithmOID.RSA_WITH_SHA256: "sha256WithRSAEncryption",
    SignatureAlgorithmOID.RSA_WITH_SHA384: "sha384WithRSAEncryption",
    SignatureAlgorithmOID.RSA_WITH_SHA512: "sha512WithRSAEncryption",
    SignatureAlgorithmOID.RSASSA_PSS: "rsassaPss",
    SignatureAlgorithmOID.ECDSA_WITH_SHA1: "ecdsa-with-SHA1",
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: "ecdsa-with-SHA256",
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: "ecdsa-with-SHA384",
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: "ecdsa-with-SHA512",
    SignatureAlgorithmOID.ED25519: "ED25519",
}


@dataclass(frozen=True)
class CertificateInfo:
    """One certificate.

    Parameters
    ----------
    names:
        DNS names and IP addresses of SubjectAltName.
    serial, fingerprint_sha256:
        Upper case hexadecimal octets with colons between them, as browsers show them.
    days_left:
        Whole days until `not_after`, rounded down: 0 on the last day, negative when it has passed.
    key:
        Kind and size, for example `EC P-256` or `RSA 2048`.
    signature_algorithm:
        As openssl names it.
    """

    subject: str
    names: tuple[str, ...]
    issuer: str
    serial: str
    fingerprint_sha256: str
    not_before: datetime.datetime
    not_after: datetime.datetime
    days_left: int
    key: str
    signature_algorithm: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them: times in ISO 8601, names as a list."""
        return {
            **vars(self),
            "names": list(self.names),
            "not_before": self.not_before.isoformat(),
            "not_after": self.not_after.isoformat(),
        }


def describe(certificate: x509.Certificate, now: datetime.datetime) -> CertificateInfo:
    """Return what `certificate` says; `now` (time zone aware) decides the days left."""
    serial = f"{certificate.serial_number:X}"
    return CertificateInfo(
        subject=certificate.subject.rfc4514_string(),
        names=certificate_names(certificate),
        issuer=certificate.issuer.rfc4514_string(),
        serial=_octets(serial.zfill(len(serial) + len(serial) % 2)),
        fingerprint_sha256=_octets(certificate.fingerprint(hashes.SHA256()).hex().upper()),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        days_left=(certificate.not_valid_after_utc - now).days,
        key=key_kind(certificate),
        signature_algorithm=signature_name(certificate),
    )


def key_kind(certificate: x509.Certificate) -> str:
    """Return kind and size of the certificate's key, for example `EC P-256`."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {_CURVES.get(key.curve.name, key.curve.name)}"
    return type(key).__name__.removesuffix("PublicKey")


def signature_name(certificate: x509.Certificate) -> str:
    """Return the certificate's signature algorithm as openssl names it, or its dotted number."""
    oid = certificate.signature_algorithm_oid
    return _SIGNATURES.get(oid, oid.dotted_string)


def _octets(digits: str) -> str:
    return ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))

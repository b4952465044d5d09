"""What Apple asks of a certificate that iOS and macOS are to trust: https://support.apple.com/HT210176."""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from orthweb.pki.describe import key_kind, signature_name
from orthweb.pki.names import certificate_names

_MOST_DAYS = 825
_LEAST_RSA_BITS = 2048
_SHA2 = (hashes.SHA224, hashes.SHA256, hashes.SHA384, hashes.SHA512)


def apple_complaints(certificate: x509.Certificate) -> list[str]:
    """Return why Apple's systems would refuse a server's certificate; an empty list when they wouldn't.

    Each complaint is a clause such as `the key is RSA 1024, and 2048 bits are the least`.
    SubjectAltName may hold addresses alone: a server without a DNS name has none to present.
    """
    complaints = key_complaints(certificate) + signature_complaints(certificate)
    if not certificate_names(certificate):
        complaints.append("SubjectAltName holds no DNS name and no address (the common name isn't looked at)")
    if ExtendedKeyUsageOID.SERVER_AUTH not in _extended_usages(certificate):
        complaints.append("ExtendedKeyUsage doesn't hold serverAuth")
    validity = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    if validity > datetime.timedelta(days=_MOST_DAYS):
        complaints.append(f"it is valid for {validity.days} days, and {_MOST_DAYS} are the most")
    return complaints


def key_complaints(certificate: x509.Certificate) -> list[str]:
    """Return what is wrong with the key; Apple asks the same of an authority's."""
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return []
    if not isinstance(key, rsa.RSAPublicKey):
        return [f"the key is {key_kind(certificate)}, and RSA and EC are what is known"]
    if key.key_size < _LEAST_RSA_BITS:
        return [f"the key is {key_kind(certificate)}, and {_LEAST_RSA_BITS} bits are the least"]
    return []


def signature_complaints(certificate: x509.Certificate) -> list[str]:
    """Return what is wrong with the signature; Apple asks the same of an authority's, a root's apart."""
    try:
        digest = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        digest = None
    if isinstance(digest, _SHA2):
        return []
    return [f"the signature is {signature_name(certificate)}, and SHA-2 is asked"]


def _extended_usages(certificate: x509.Certificate) -> list[x509.ObjectIdentifier]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return []

"""What two certificates are to each other, and whether one may sign."""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm


def is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer` has the name and the key that signed `certificate`."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether the certificate is signed with its own key; the same name twice doesn't say so.

    Old roots are signed with SHA-1, which the library refuses to verify: their key identifiers decide.
    """
    if certificate.subject != certificate.issuer:
        return False
    try:
        certificate.verify_directly_issued_by(certificate)
    except InvalidSignature:
        return False
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return _names_own_key(certificate)
    return True


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether the certificate may sign others (RFC 5280 sections 4.2.1.3 and 4.2.1.9)."""
    try:
        if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
    except x509.ExtensionNotFound:
        return False
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True


def in_date(certificate: x509.Certificate, now: datetime.datetime) -> bool:
    """Whether `now` lies within the certificate's validity."""
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _names_own_key(certificate: x509.Certificate) -> bool:
    try:
        issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return True
    return issuer.key_identifier in (None, own.digest)

"""A certificate together with its private key and its chain, and the PEM text of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from orthweb.pki.links import is_self_signed

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Issued:
    """What an authority hands out.

    Parameters
    ----------
    chain:
        The certificates above `certificate`, each signed by the next; the last is the root.
    """

    certificate: x509.Certificate
    private_key: PrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...]

    @property
    def certificate_pem(self) -> bytes:
        """The certificate alone, PEM."""
        return certificates_pem([self.certificate])

    @property
    def fullchain_pem(self) -> bytes:
        """The certificate and what a server sends with it, PEM."""
        return fullchain_pem(self.certificate, self.chain)

    @property
    def key_pem(self) -> bytes:
        """The private key, PKCS#8 in PEM without a password."""
        return private_key_pem(self.private_key)


def certificates_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """Return the PEM text of `certificates`, in their order."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def fullchain_pem(certificate: x509.Certificate, chain: Iterable[x509.Certificate]) -> bytes:
    """Return `certificate` and the intermediates of `chain`, PEM.

    The root is left out: who trusts it has it, and who doesn't has no use for it (RFC 8446 section 4.4.2).
    """
    intermediates = [link for link in chain if not is_self_signed(link)]
    return certificates_pem([certificate, *intermediates])


def private_key_pem(key: PrivateKey) -> bytes:
    """Return `key` as PKCS#8 in PEM without a password: Envoy, Orthanc and PostgreSQL read it unattended."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

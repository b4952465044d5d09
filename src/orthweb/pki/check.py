"""Whether a certificate that a person brings can serve the site, before anything of it is put in place."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from orthweb.errors import InputError
from orthweb.pki.apple import apple_complaints
from orthweb.pki.chain import check_dates, verify_chain
from orthweb.pki.describe import key_kind
from orthweb.pki.files import load_chain, load_key
from orthweb.pki.issued import PrivateKey, fullchain_pem, private_key_pem
from orthweb.pki.links import is_self_signed
from orthweb.pki.names import certificate_names, covers, is_loopback


@dataclass(frozen=True)
class ServerCertificate:
    """A person's certificate that passed every check.

    Parameters
    ----------
    chain:
        The certificates above it in their order, verified; the root is there if it was given.
    notes:
        What is no error and yet worth a line to the person, each a sentence without a full stop.
    """

    certificate: x509.Certificate
    private_key: PrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...]
    notes: tuple[str, ...]

    @property
    def fullchain_pem(self) -> bytes:
        """The certificate and its intermediates in the order in which a server sends them, PEM."""
        return fullchain_pem(self.certificate, self.chain)

    @property
    def key_pem(self) -> bytes:
        """The private key, PKCS#8 in PEM without a password."""
        return private_key_pem(self.private_key)


def check_server_certificate(
    certificate_path: Path,
    key_path: Path,
    chain_path: Path | None,
    names: Sequence[str],
    now: datetime.datetime,
) -> ServerCertificate:
    """Check a certificate, its key and its chain; return what a server needs.

    The certificate must cover one of the site's names at least, and not all: `localhost` and private
    addresses are names of most sites and no public authority certifies them. It may hold names that the site
    doesn't have, because wildcards and certificates for several hosts are common; only when none of its names
    is the site's is it refused. The rest is told in `notes`.

    Parameters
    ----------
    certificate_path:
        PEM; intermediates, and the root, may stand in the same file, in any order.
    chain_path:
        PEM with the intermediates, and the root if one likes, in any order. None for a self-signed
        certificate, for one that clients know the issuer of, and for one whose file has them already.
    names:
        The site's DNS names and IP addresses.
    now:
        Time zone aware.

    Raises
    ------
    InputError
        A file can't be read; the key isn't the certificate's; it isn't in date; it covers no name of the
        site; browsers, Envoy or Apple's systems (HT210176) would refuse it; the chain doesn't verify.
    """
    key = load_key(key_path)
    given = load_chain(certificate_path)
    offered = load_chain(chain_path) if chain_path is not None else []
    leaf = next((certificate for certificate in given if certificate.public_key() == key.public_key()), None)
    if leaf is None:
        raise InputError(
            f"{key_path}: isn't the key of {certificate_path}",
            "give the key that the certificate was asked for with",
        )
    check_dates(f"{certificate_path}:", leaf, now, "renew it with who issued it", "check this machine's clock, or wait")
    served = _check_names(leaf, certificate_path, names)
    _check_kind(leaf, certificate_path)
    chain = verify_chain(leaf, [*given, *offered], chain_path or certificate_path, served[0], now)
    return ServerCertificate(leaf, key, chain, _notes(leaf, chain, names))


def _check_names(leaf: x509.Certificate, path: Path, names: Sequence[str]) -> list[str]:
    held = certificate_names(leaf)
    served = [name for name in names if any(covers(own, name) for own in held)]
    if not held:
        raise InputError(
            f"{path}: has no name in SubjectAltName, and browsers look nowhere else",
            "ask for a certificate with one",
        )
    if not served:
        raise InputError(
            f"{path}: is for {', '.join(held)}, and the site's names are {', '.join(names)}",
            "ask for a certificate for one of them, or add its name to the site's",
        )
    return served


def _check_kind(leaf: x509.Certificate, path: Path) -> None:
    complaints = apple_complaints(leaf)
    if complaints:
        raise InputError(
            f"{path}: browsers and Apple's systems would refuse it (HT210176): {'; '.join(complaints)}",
            "ask for a certificate without this",
        )
    key = leaf.public_key()
    # BoringSSL, which is in Envoy and Chrome, has no other curve.
    if isinstance(key, ec.EllipticCurvePublicKey) and not isinstance(
        key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1
    ):
        raise InputError(f"{path}: the key is {key_kind(leaf)}", "P-256, P-384 and P-521 are what browsers know")
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.digital_signature:
        raise InputError(
            f"{path}: KeyUsage doesn't hold digitalSignature, which forward secrecy needs",
            "ask for a certificate with it",
        )


def _notes(leaf: x509.Certificate, chain: Sequence[x509.Certificate], names: Sequence[str]) -> tuple[str, ...]:
    held = certificate_names(leaf)
    missing = [name for name in names if not is_loopback(name) and not any(covers(own, name) for own in held)]
    foreign = [own for own in held if not any(covers(own, name) for name in names)]
    notes = []
    if missing:
        notes.append(f"the certificate doesn't cover {', '.join(missing)}")
    if foreign:
        notes.append(f"the certificate is also for {', '.join(foreign)}, no name of the site")
    if not chain and not is_self_signed(leaf):
        notes.append(f"no chain was given: clients must know {leaf.issuer.rfc4514_string()!r} already")
    return tuple(notes)

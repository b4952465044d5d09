"""The site's certificate authority: made once, loaded afterwards, and what it issues."""

from __future__ import annotations

import datetime
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from orthweb.errors import Failure, InputError
from orthweb.pki.files import load_certificate, load_key, write_private
from orthweb.pki.issued import Issued, PrivateKey, certificates_pem, private_key_pem
from orthweb.pki.links import is_authority, is_self_signed, is_signed_by
from orthweb.pki.names import check_device_name, general_names

AUTHORITY_DAYS = 3650
# Apple's limit for a certificate of a server (HT210176); one limit for all spares the question which it is.
MOST_DAYS = 825
# Clocks of modalities are often wrong by minutes, and a certificate from the future is refused.
_BACKDATED = datetime.timedelta(hours=1)
_SECOND = datetime.timedelta(seconds=1)
_RESTORE = (
    "restore ca.crt and ca.key from a backup, or remove both to make a new authority "
    "(every device then needs a new certificate)"
)


@dataclass(frozen=True)
class Authority:
    """A certificate authority with its private key."""

    certificate: x509.Certificate
    private_key: PrivateKey = field(repr=False)

    @property
    def certificate_pem(self) -> bytes:
        """The authority's certificate, which clients and servers are told to trust, PEM."""
        return certificates_pem([self.certificate])

    def issue_server(self, names: Sequence[str], days: int = 397, *, now: datetime.datetime | None = None) -> Issued:
        """Issue a certificate for a server.

        The key is RSA 2048: a device that keeps to DICOM's Extended BCP 195 profile (PS3.15 B.11) over TLS
        1.2 fails the handshake with an EC certificate (DCMTK 3.6.7, `--profile-bcp195-ex`). With an RSA one
        every profile was seen to work, also when the authority's own key is EC.

        Parameters
        ----------
        names:
            DNS names and IP addresses (v4, v6), one at least.
        days:
            Length of its validity, 1 to 825. 397 is what browsers ask of public certificates.
        now:
            Time zone aware; the clock's when None.

        Raises
        ------
        InputError
            A name is neither a DNS name nor an address, or `days` is out of range.
        Failure
            The authority itself has expired.
        """
        return self._issue(None, names, [ExtendedKeyUsageOID.SERVER_AUTH], new_rsa_key(), days, now)

    def issue_client(
        self, name: str, days: int = MOST_DAYS, *, hosts: Sequence[str] = (), now: datetime.datetime | None = None
    ) -> Issued:
        """Issue a certificate for a device, with `name` as its common name.

        The key is EC P-256: a client's kind of key is not bound by the cipher suite, a device that verifies
        the authority's signature knows EC, and DCMTK 3.6.7 warns of an RSA certificate with an EC signature
        each time it loads one. Parameters and errors as in `issue_server`; a name that can't be the stem of a
        file name is an InputError.

        Parameters
        ----------
        hosts:
            DNS names and addresses of a device that also takes associations over TLS: with them the
            certificate is a server's as well.
        """
        check_device_name(name)
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [])]
        return self._issue(name, hosts, usages, new_ec_key(), days, now)

    def issue_internal(
        self,
        names: Sequence[str],
        server: bool = True,
        client: bool = True,
        days: int = AUTHORITY_DAYS,
        *,
        now: datetime.datetime | None = None,
    ) -> Issued:
        """Issue a certificate with which the site's own processes know each other, on either side.

        EC P-256: both sides are ours, and signing costs less. It lasts as long as the authority: no browser sees it,
        and a site that runs for years must not end with it. Parameters and errors as in `issue_server`.
        """
        if not server and not client:
            raise ValueError("a certificate that is for neither a server nor a client")
        usages = [ExtendedKeyUsageOID.SERVER_AUTH] * server + [ExtendedKeyUsageOID.CLIENT_AUTH] * client
        return self._issue(None, names, usages, new_ec_key(), days, now, most=AUTHORITY_DAYS)

    def signed(self, certificate: x509.Certificate) -> bool:
        """Whether this authority, and not another of the same name, signed `certificate`."""
        return is_signed_by(certificate, self.certificate)

    def _issue(
        self,
        common_name: str | None,
        names: Sequence[str],
        usages: list[x509.ObjectIdentifier],
        key: PrivateKey,
        days: int,
        now: datetime.datetime | None,
        most: int = MOST_DAYS,
    ) -> Issued:
        if not 1 <= days <= most:
            raise InputError(f"{days} days: a certificate is valid for 1 to {most} days")
        start = (now or datetime.datetime.now(datetime.UTC)) - _BACKDATED
        # Both ends of a validity count (RFC 5280 section 4.1.2.5).
        end = min(start + datetime.timedelta(days=days) - _SECOND, self.certificate.not_valid_after_utc)
        if end <= start:
            raise Failure(f"the authority expired on {self.certificate.not_valid_after_utc:%Y-%m-%d}", _RESTORE)
        alternatives = general_names(names) if names or common_name is None else []
        subject = _subject(common_name or _short_name(alternatives))
        builder = (
            _builder(subject, self.certificate.subject, key, start, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            # Key encipherment serves only suites without forward secrecy, which no proxy of ours speaks.
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(_issuer_identifier(self.certificate), critical=False)
        )
        if alternatives:
            # Without a subject the alternative name must be critical (RFC 5280 section 4.2.1.6).
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=not subject.rdns)
        return Issued(builder.sign(self.private_key, hashes.SHA256()), key, (self.certificate,))


def ensure_authority(folder: Path, common_name: str, *, now: datetime.datetime | None = None) -> Authority:
    """Load the authority `ca.crt`, `ca.key` of `folder`, and make it when there is none.

    The key is written first: an authority whose making was interrupted has a key without a certificate, and
    is finished with that key.

    Parameters
    ----------
    folder:
        Made with mode 0700 when it isn't there.
    common_name:
        Of a new authority, 1 to 64 characters. One that exists keeps its own.

    Raises
    ------
    InputError
        A file is damaged, the certificate is there without its key, or the two don't belong together.
    Failure
        The files can't be written.
    """
    certificate_path, key_path = folder / "ca.crt", folder / "ca.key"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"{folder}: can't be made a folder ({error.strerror})") from error
    if certificate_path.exists():
        return _load(certificate_path, key_path)
    if key_path.exists():
        key = _ours(key_path)
    else:
        key = new_ec_key()
        write_private(key_path, private_key_pem(key))
    authority = _new_authority(key, common_name, now or datetime.datetime.now(datetime.UTC))
    write_private(certificate_path, authority.certificate_pem, 0o644)
    return authority


def new_ec_key() -> ec.EllipticCurvePrivateKey:
    """Make an EC P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def new_rsa_key() -> rsa.RSAPrivateKey:
    """Make an RSA 2048 key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _load(certificate_path: Path, key_path: Path) -> Authority:
    if not key_path.exists():
        raise InputError(f"{key_path}: is missing, and {certificate_path.name} is there", _RESTORE)
    key = _ours(key_path)
    try:
        certificate = load_certificate(certificate_path)
    except InputError as error:
        raise InputError(error.message, _RESTORE) from error
    if not is_authority(certificate) or not is_self_signed(certificate):
        raise InputError(f"{certificate_path}: isn't the self-signed certificate of an authority", _RESTORE)
    if certificate.public_key() != key.public_key():
        raise InputError(f"{key_path}: isn't the key of {certificate_path.name}", _RESTORE)
    return Authority(certificate, key)


def _ours(key_path: Path) -> PrivateKey:
    try:
        key = load_key(key_path)
        # A copy from a backup is often readable by all.
        if stat.S_IMODE(key_path.stat().st_mode) & 0o077:
            key_path.chmod(0o600)
    except InputError as error:
        raise InputError(error.message, _RESTORE) from error
    except OSError as error:
        raise Failure(
            f"{key_path}: is open to others and can't be closed ({error.strerror})", "chmod 600 it"
        ) from error
    return key


def _new_authority(key: PrivateKey, common_name: str, now: datetime.datetime) -> Authority:
    try:
        subject = _subject(common_name)
    except ValueError as error:
        raise InputError(f"authority name {common_name!r}: must have 1 to 64 characters") from error
    start = now - _BACKDATED
    end = start + datetime.timedelta(days=AUTHORITY_DAYS) - _SECOND
    builder = (
        _builder(subject, subject, key, start, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
    )
    return Authority(builder.sign(key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, start: datetime.datetime, end: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _issuer_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        # An authority that a person put there may have none.
        identifier = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _key_usage(digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(common_name: str | None) -> x509.Name:
    return x509.Name([] if common_name is None else [x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _short_name(names: Sequence[x509.GeneralName]) -> str | None:
    """Return the first name that fits into a common name (64 characters, X.520)."""
    texts = [str(name.value) for name in names]
    return next((text for text in texts if len(text) <= 64), None)

"""A device's certificate as the files that modalities, viewers and dcm4che take."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import KeySerializationEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import (
    PBES,
    PKCS12Certificate,
    serialize_java_truststore,
    serialize_key_and_certificates,
)

from orthweb.errors import Failure, InputError
from orthweb.pki.files import load_certificate, write_private
from orthweb.pki.issued import Issued, certificates_pem
from orthweb.pki.names import check_device_name

# keytool makes no store with a shorter one, and dcm4che users meet keytool.
_SHORTEST_PASSWORD = 6
# Against guessing; Java refuses more than five million.
_ROUNDS = 100_000


def export_device(
    folder: Path,
    name: str,
    issued: Issued,
    ca_certificate: x509.Certificate,
    *,
    pkcs12_password: str | None = None,
    truststore_password: str | None = None,
) -> list[Path]:
    """Write a device's files into `folder` and return their paths, `NAME.key` the last.

    `NAME.crt`, `NAME.key` and `ca.crt` in PEM always; with a password also `NAME.p12` (key and certificates,
    PKCS#12) and `truststore.p12` (the authority as a trusted certificate for Java and dcm4che: PKCS#12, which
    Java reads also when it is told JKS).

    Parameters
    ----------
    folder:
        Made with mode 0700 when it isn't there.
    ca_certificate:
        What the device is to trust.
    pkcs12_password, truststore_password:
        Of the file of that name; None leaves the file out. ASCII, 6 characters at least.

    Raises
    ------
    InputError
        `NAME.key` or `NAME.p12` exists, `ca.crt` is another authority's, the name isn't a safe file name, or
        a password is too short or has other than ASCII characters.
    Failure
        A file can't be written.
    """
    check_device_name(name)
    for label, password in (("PKCS#12", pkcs12_password), ("trust store", truststore_password)):
        if password is not None:
            _check_password(label, password)
    _refuse_to_overwrite(folder, name, ca_certificate, pkcs12_password is not None)
    authority = certificates_pem([ca_certificate])
    files = [(folder / "ca.crt", authority, 0o644), (folder / f"{name}.crt", issued.fullchain_pem, 0o644)]
    if truststore_password is not None:
        files.append((folder / "truststore.p12", _truststore(ca_certificate, truststore_password), 0o644))
    if pkcs12_password is not None:
        files.append((folder / f"{name}.p12", _pkcs12(name, issued, pkcs12_password), 0o600))
    # Last, because its presence says that the device has its files.
    files.append((folder / f"{name}.key", issued.key_pem, 0o600))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"{folder}: can't be made a folder ({error.strerror})") from error
    for path, data, mode in files:
        write_private(path, data, mode)
    return [path for path, _, _ in files]


def _refuse_to_overwrite(folder: Path, name: str, ca_certificate: x509.Certificate, with_pkcs12: bool) -> None:
    keys = [folder / f"{name}.key", *([folder / f"{name}.p12"] if with_pkcs12 else [])]
    for path in keys:
        if path.exists():
            raise InputError(
                f"{path}: exists, and a key that is overwritten is lost",
                "move it away, or choose another name or folder",
            )
    authority_path = folder / "ca.crt"
    if authority_path.exists() and load_certificate(authority_path) != ca_certificate:
        raise InputError(f"{authority_path}: is the certificate of another authority", "choose another folder")


def _check_password(label: str, password: str) -> None:
    # Of other characters Java, OpenSSL and macOS make different bytes.
    if len(password) < _SHORTEST_PASSWORD or not (password.isascii() and password.isprintable()):
        raise InputError(
            f"the {label} password: must be {_SHORTEST_PASSWORD} or more printable ASCII characters",
            "choose another",
        )


def _pkcs12(name: str, issued: Issued, password: str) -> bytes:
    return serialize_key_and_certificates(
        name.encode(), issued.private_key, issued.certificate, issued.chain, _encryption(password)
    )


def _truststore(ca_certificate: x509.Certificate, password: str) -> bytes:
    # Java takes a certificate for a trusted one only by an attribute of its own, which this call adds.
    return serialize_java_truststore([PKCS12Certificate(ca_certificate, b"ca")], _encryption(password))


def _encryption(password: str) -> KeySerializationEncryption:
    """Return the one protection that every reader has: 3DES with a SHA-1 MAC.

    AES-256 with a SHA-256 MAC (`BestAvailableEncryption`) is stronger, but Java before 8u301 and 11.0.12
    can't read it (JDK-8267701), nor could the Keychain of macOS that Horos and browsers take keys from
    (JDK-8228481). OpenSSL 3 reads 3DES without its legacy provider. The file lies beside the same key in the
    clear, so what keeps it is its mode of 0600; whoever sends it on chooses a password that isn't guessed.
    """
    return (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(_ROUNDS)
        .key_cert_algorithm(PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1())  # noqa: S303
        .build(password.encode())
    )

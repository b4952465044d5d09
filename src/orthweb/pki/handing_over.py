"""Hands a site's authority to another administrator: its key and certificate in one file, under a passphrase."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import (
    load_key_and_certificates,
    serialize_key_and_certificates,
)

from orthweb.errors import InputError
from orthweb.pki.authority import Authority, ensure_authority
from orthweb.pki.files import load_certificate, write_private
from orthweb.pki.issued import PrivateKey, certificates_pem, private_key_pem
from orthweb.pki.links import is_authority, is_self_signed

SHORTEST_PASSPHRASE = 12


def export_authority(authority: Authority, path: Path, passphrase: str) -> None:
    """Write an authority to a PKCS#12 file of mode 0600, encrypted with AES-256.

    Raises
    ------
    InputError
        The passphrase is too short, or the file is there already.
    Failure
        The file cannot be written.
    """
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise InputError(f"the passphrase has {len(passphrase)} characters", f"choose {SHORTEST_PASSPHRASE} or more")
    if path.exists():
        raise InputError(f"{path}: is there already", "choose another name, or remove it")
    data = serialize_key_and_certificates(
        b"authority", authority.private_key, authority.certificate, None, BestAvailableEncryption(passphrase.encode())
    )
    write_private(path, data)


def import_authority(path: Path, passphrase: str, folder: Path) -> Authority:
    """Take an authority from a file into a site's folder, where there is none or the same one.

    Raises
    ------
    InputError
        The file is none of `export_authority`'s, the passphrase is wrong, or the folder has another authority.
    Failure
        The folder cannot be written.
    """
    key, certificate = _read(path, passphrase)
    present = folder / "ca.crt"
    if present.exists():
        if load_certificate(present) != certificate:
            raise InputError(
                f"{present}: is another authority, which has issued certificates here",
                "import into a folder without one; move it away if nothing uses it",
            )
    else:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The key first: a certificate without its key would be refused from then on.
        write_private(folder / "ca.key", private_key_pem(key))
        write_private(present, certificates_pem([certificate]), 0o644)
    return ensure_authority(folder, "")


def _read(path: Path, passphrase: str) -> tuple[PrivateKey, x509.Certificate]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", "name the file that 'orthweb certs export' wrote") from None
    try:
        key, certificate, _ = load_key_and_certificates(data, passphrase.encode())
    except ValueError:
        raise InputError(
            f"{path}: cannot be opened with this passphrase", "see that both are those of 'orthweb certs export'"
        ) from None
    if (
        not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
        or certificate is None
        or not is_authority(certificate)
        or not is_self_signed(certificate)
        or certificate.public_key() != key.public_key()
    ):
        raise InputError(f"{path}: holds no authority", "name the file that 'orthweb certs export' wrote")
    return key, certificate

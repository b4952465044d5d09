"""PEM files on disk: written whole or not at all, and read with errors that name the file."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from orthweb.errors import Failure, InputError
from orthweb.pki.issued import PrivateKey
from orthweb.site.files import write_file

# The largest PEM file a person could mean: a bundle of every public root is a quarter of this.
_MOST_BYTES = 1 << 20
# What a key's line begins with says its kind: RSA, EC, ENCRYPTED, or nothing.
_MARKS = {"certificate": b"-----BEGIN CERTIFICATE-----", "private key": b"PRIVATE KEY-----"}


def write_private(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write `data` to `path` in one step; a reader sees the old file or the new one, also after a power cut.

    Parameters
    ----------
    mode:
        Permission bits, set before the file has its name.

    Raises
    ------
    Failure
        The file can't be written: a full disk, a folder that isn't there or isn't ours.
    """
    try:
        write_file(path, data, mode)
    except OSError as error:
        raise Failure(
            f"{path}: can't be written ({error.strerror})", "free or open the place, and try again"
        ) from error


def load_certificate(path: Path) -> x509.Certificate:
    """Return the first certificate of the PEM file `path`; raises InputError."""
    return load_chain(path)[0]


def load_chain(path: Path) -> list[x509.Certificate]:
    """Return the certificates of the PEM file `path` in their order, one at least.

    Raises
    ------
    InputError
        The file is missing, unreadable, a folder, empty, not PEM, holds no certificate or a damaged one.
    """
    data = _read(path, "certificate")
    try:
        certificates = x509.load_pem_x509_certificates(data)
        for certificate in certificates:
            # Both are parsed on first use: a damaged one must show here, where the file's name is known.
            _ = certificate.extensions, certificate.public_key()
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise InputError(
            f"{path}: a certificate in it can't be read ({_first_line(error)})",
            "get the file again from who made it",
        ) from error
    return certificates


def load_key(path: Path) -> PrivateKey:
    """Return the private key of the PEM file `path`, RSA or EC.

    Raises
    ------
    InputError
        The file is missing, unreadable, a folder, empty, not PEM, damaged, protected by a password, holds no
        key, or holds one that is neither RSA nor EC.
    """
    data = _read(path, "private key")
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError as error:
        raise InputError(
            f"{path}: the private key is protected by a password, and a server starts without a person",
            f"take the password off: openssl pkey -in {path.name} -out new.key",
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(
            f"{path}: the private key can't be read ({_first_line(error)})",
            "get the file again from who made it",
        ) from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        kind = type(key).__name__.removesuffix("PrivateKey")
        raise InputError(f"{path}: the private key is {kind}", "RSA and EC are what browsers and devices know")
    return key


def _read(path: Path, what: str) -> bytes:
    """Return the content of a file that holds a `what`, which is one of `_MARKS`."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file", "check the path") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: is a folder", "give the PEM file itself") from error
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror})", "check the path and its permissions") from error
    if not data.strip():
        raise InputError(f"{path}: is empty", "give a PEM file")
    if len(data) > _MOST_BYTES:
        raise InputError(f"{path}: is larger than 1 MiB, and no PEM file is", "check the path")
    if _MARKS[what] not in data:
        raise _lacking(path, data, what)
    return data


def _lacking(path: Path, data: bytes, what: str) -> InputError:
    other = "private key" if what == "certificate" else "certificate"
    if _MARKS[other] in data:
        called = what.removeprefix("private ")
        return InputError(f"{path}: holds a {other} and no {what}", f"give the {called}'s file here")
    remedy = f"give a file with a {what} in PEM (it starts with -----BEGIN)"
    # DER and PKCS#12 both open with an ASN.1 SEQUENCE.
    if data[:1] == b"\x30":
        command = "x509" if what == "certificate" else "pkey"
        remedy = (
            f"if it is DER, convert it with openssl {command} -inform DER -in {path.name}, "
            f"if PKCS#12, with openssl pkcs12 -nodes -in {path.name}"
        )
    return InputError(f"{path}: isn't PEM, or holds no {what}", remedy)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["damaged"])[0].strip().rstrip(".")

"""TLS contexts for DICOM: TLS 1.2 or newer, both sides with a certificate (PS3.15 annex B.12)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from orthweb.errors import InputError


@dataclass(frozen=True)
class TlsFiles:
    """PEM files of one side.

    Parameters
    ----------
    certificate, key:
        Its own certificate, with the chain that belongs to it, and the private key; None for a client that shows none.
    authority:
        Certificates that the other side's has to be signed by; None for those that this machine trusts.
    """

    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """Make the context of a requestor: the server's certificate and name are checked.

    Raises
    ------
    InputError
        A file is missing or no PEM, or key and certificate don't belong together.
    """
    return _loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), files)


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Make the context of an acceptor that takes nobody without a certificate of the authority; raises InputError."""
    context = _loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), files)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _loaded(context: ssl.SSLContext, files: TlsFiles) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.authority is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(cafile=files.authority)
        except OSError as error:
            raise _unusable("authority", files.authority, error) from None
    if files.certificate is not None:
        key = files.key or files.certificate

        def no_password() -> NoReturn:
            # Without this OpenSSL would ask on the terminal, and a server would wait there for ever.
            raise InputError(f"key {key} is encrypted with a password", "give one without: openssl pkey -in KEY")

        try:
            context.load_cert_chain(files.certificate, files.key, no_password)
        except FileNotFoundError as error:
            missing = ("key", key) if files.certificate.exists() else ("certificate", files.certificate)
            raise _unusable(*missing, error) from None
        except OSError as error:
            raise _unusable("certificate", f"{files.certificate} with key {key}", error) from None
    return context


def _unusable(what: str, path: Path | str, error: OSError) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{what} {path} does not exist", "give a file in PEM")
    reason = error.strerror or str(error)
    if isinstance(error, ssl.SSLError):
        mismatch = error.reason == "KEY_VALUES_MISMATCH"
        reason = "they don't belong together" if mismatch else "not in PEM, or damaged"
    wanted = "certificates" if what == "authority" else "a certificate and the key that belongs to it"
    return InputError(f"{what} {path} cannot be used: {reason}", f"give {wanted} in PEM")

"""Certificates and keys that TLS cannot begin with: the file is named, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from dicom_circle import new_circle

from orthweb.dicom.tls import TlsFiles, client_context
from orthweb.errors import InputError


def missing(folder: Path) -> TlsFiles:
    return TlsFiles(folder / "ca.crt", folder / "missing.crt", folder / "client.key")


def another_key(folder: Path) -> TlsFiles:
    return TlsFiles(folder / "ca.crt", folder / "client.crt", folder / "ca.key")


def no_pem(folder: Path) -> TlsFiles:
    (folder / "none.crt").write_text("no certificate")
    return TlsFiles(folder / "ca.crt", folder / "none.crt", folder / "client.key")


def a_key_as_authority(folder: Path) -> TlsFiles:
    return TlsFiles(folder / "client.key")


def a_folder(folder: Path) -> TlsFiles:
    return TlsFiles(folder)


def encrypted(folder: Path) -> TlsFiles:
    key = load_pem_private_key((folder / "client.key").read_bytes(), None)
    how = BestAvailableEncryption(b"secret")
    (folder / "secret.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    return TlsFiles(folder / "ca.crt", folder / "client.crt", folder / "secret.key")


@pytest.mark.parametrize(
    ("spoiled", "words"),
    [
        (missing, r"certificate .*/missing\.crt does not exist"),
        (another_key, r"certificate .*/client\.crt with key .*/ca\.key cannot be used: they don't belong together"),
        (no_pem, r"certificate .*/none\.crt with key .* cannot be used: not in PEM, or damaged"),
        (a_key_as_authority, r"authority .*/client\.key cannot be used: not in PEM, or damaged"),
        (a_folder, r"authority .* cannot be used"),
        (encrypted, r"key .*/secret\.key is encrypted with a password"),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path: Path, spoiled: Callable[[Path], TlsFiles], words: str) -> None:
    new_circle(tmp_path / "pki").client()
    with pytest.raises(InputError, match=words):
        client_context(spoiled(tmp_path / "pki"))

"""Lets the distribution's Orthanc serve HTTPS with OpenSSL 3.

Orthanc's web server (CivetWeb up to 1.16) opens `libssl.so` and looks up `SSL_get_peer_certificate`, which OpenSSL 3
renamed to `SSL_get1_peer_certificate`: on Debian 12 Orthanc crashes at the first request, on Ubuntu 24.04 it doesn't
start (civetweb/civetweb#1334). A library of that name with the missing function, in front of the system's own, is
found first by the Orthanc processes and by nothing else.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from orthweb.errors import Failure
from orthweb.local.native import compiled, loaded
from orthweb.site.files import ensure_folder, write_file

_SOURCE = """\
void *SSL_get1_peer_certificate(const void *ssl);
void *SSL_get_peer_certificate(const void *ssl) { return SSL_get1_peer_certificate(ssl); }
"""
_SSL, _CRYPTO = "libssl.so.3", "libcrypto.so.3"


def ensure_openssl_names(folder: Path) -> None:
    """Put `libssl.so`, with the old name of the function, and `libcrypto.so` into `folder`; raises Failure."""
    ensure_folder(folder, 0o755)
    libraries = _openssl()
    crypto = folder / "libcrypto.so"
    if not crypto.is_symlink() or os.readlink(crypto) != libraries[_CRYPTO]:
        crypto.unlink(missing_ok=True)
        crypto.symlink_to(libraries[_CRYPTO])
    if not (folder / "libssl.so").exists():
        write_file(folder / "libssl.so", compiled(_SOURCE, [libraries[_SSL]]), 0o755)


def _openssl() -> dict[str, str]:
    """Where the dynamic linker finds OpenSSL 3's libraries."""
    for name in (_CRYPTO, _SSL):
        try:
            ctypes.CDLL(name)
        except OSError as error:
            raise Failure(f"{name}: {error}", "apt-get install libssl3") from None
    paths = loaded([_SSL, _CRYPTO])
    missing = {_SSL, _CRYPTO} - paths.keys()
    if missing:
        raise Failure(f"the system's {', '.join(sorted(missing))} is not to be found", "apt-get install libssl3")
    return paths

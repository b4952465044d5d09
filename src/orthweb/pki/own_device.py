"""The certificate that Orthweb's own commands show to the site, as a device like any other.

Looking at it has to be quick: every `send` and `find` begins with it. So it does without reading certificates, and
without the library for that.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from pathlib import Path

from orthweb.dicom.tls import TlsFiles
from orthweb.site.model import Site
from orthweb.site.paths import SitePaths

_NAME = "orthweb"
# Less than half of what a device's certificate is valid for.
_RENEW_SECONDS = 365 * 86400


def own_device(paths: SitePaths, site: Site) -> TlsFiles:
    """Bring the certificate to what it has to be: issued when it is missing, old, or another authority's.

    Two commands at once don't meet: each writes to a folder of its own, and the first to give it its name wins.
    """
    folder = paths.pki / "own"
    files = TlsFiles(folder / "ca.crt", folder / f"{_NAME}.crt", folder / f"{_NAME}.key")
    if _is_good(files, paths):
        return files
    from orthweb.pki.of_site import issue_device

    fresh = Path(tempfile.mkdtemp(prefix=".own-", dir=paths.pki))
    try:
        issue_device(paths, site, _NAME, fresh)
        # A folder can't take the place of one that isn't empty.
        with contextlib.suppress(FileNotFoundError):
            folder.rename(fresh / "before")
        try:
            fresh.rename(folder)
        except OSError:
            if not _is_good(files, paths):
                raise
    finally:
        shutil.rmtree(folder / "before", ignore_errors=True)
        shutil.rmtree(fresh, ignore_errors=True)
    return files


def _is_good(files: TlsFiles, paths: SitePaths) -> bool:
    """Issued by today's authority, and not long ago."""
    present = [path for path in (files.authority, files.certificate, files.key) if path is not None and path.exists()]
    if len(present) < 3:
        return False
    authority, certificate, _ = present
    age = time.time() - certificate.stat().st_mtime
    return authority.read_bytes() == (paths.pki / "ca.crt").read_bytes() and 0 <= age < _RENEW_SECONDS

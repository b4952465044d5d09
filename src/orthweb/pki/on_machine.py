"""The certificates of a site on this machine: its authority, the server's, and those between its own processes."""

from __future__ import annotations

import datetime
import hashlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orthweb.pki import (
    Authority,
    ServerCertificate,
    check_server_certificate,
    describe,
    ensure_authority,
    load_certificate,
)
from orthweb.pki.of_site import authority
from orthweb.site.files import Ownership, ensure_folder, write_file
from orthweb.site.model import INTERNAL_NAME, OwnCertificate, Site
from orthweb.site.paths import SitePaths

# A generated server certificate is replaced by `up` when it has fewer days left than this.
RENEW_DAYS = 30
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_CURRENT = "server-current"


@dataclass(frozen=True)
class ServerPair:
    """A certificate with its chain, and its key, as files that belong together."""

    certificate: Path
    key: Path


def site_names(site: Site) -> list[str]:
    """The names and addresses that the server certificate must hold, without repeats."""
    names = [*site.tls.names, socket.gethostname(), *LOOPBACK_NAMES]
    return list(dict.fromkeys(names))


def ensure_server(
    paths: SitePaths, site: Site, account: Ownership, say: Callable[[str], None], warn: Callable[[str], None]
) -> ServerPair:
    """Bring the server certificate to what `orthweb.yaml` says, and renew a generated one in time."""
    if isinstance(site.tls.certificate, OwnCertificate):
        return adopt_own(paths, site, site.tls.certificate, account, warn)
    signer = authority(paths, site)
    pair = current_server(paths)
    if pair is not None and _serves(pair, site, signer):
        return pair
    say("made a server certificate" if pair is None else "renewed the server certificate")
    return rotate_generated(paths, site, account)


def rotate_generated(paths: SitePaths, site: Site, account: Ownership) -> ServerPair:
    """Issue a new server certificate; the old pair stays until the next one, for a proxy that still reads it."""
    issued = authority(paths, site).issue_server(site_names(site))
    return _install(paths, issued.fullchain_pem, issued.key_pem, account)


def own_files(certificate: Path, key: Path, chain: Path | None) -> OwnCertificate:
    """Describe a certificate of the user's own by its files, wherever the command is run."""
    return OwnCertificate(
        certificate=str(certificate.absolute()),
        key=str(key.absolute()),
        chain=str(chain.absolute()) if chain else None,
    )


def adopt_own(
    paths: SitePaths, site: Site, own: OwnCertificate, account: Ownership, warn: Callable[[str], None]
) -> ServerPair:
    """Check the user's own files and copy them to where the proxy reads them; raises InputError."""
    checked, before = check_own(paths, site, own), current_server(paths)
    pair = _install(paths, checked.fullchain_pem, checked.key_pem, account)
    if pair != before:
        for note in checked.notes:
            warn(f"{own.certificate}: {note}")
    return pair


def check_own(paths: SitePaths, site: Site, own: OwnCertificate) -> ServerCertificate:
    """Check the user's own files; raises InputError."""
    chain = paths.root / own.chain if own.chain else None
    now = datetime.datetime.now(datetime.UTC)
    # Nobody but this machine knows its own name: where the site has others, they are what counts.
    names = [*site.tls.names, *LOOPBACK_NAMES] if site.tls.names else site_names(site)
    return check_server_certificate(paths.root / own.certificate, paths.root / own.key, chain, names, now)


def current_server(paths: SitePaths) -> ServerPair | None:
    """The pair in use; None before the first `up`."""
    try:
        stem = (paths.pki / _CURRENT).read_text().strip()
    except FileNotFoundError:
        return None
    pair = ServerPair(paths.pki / f"{stem}.crt", paths.pki / f"{stem}.key")
    return pair if pair.certificate.exists() and pair.key.exists() else None


def ensure_internal(paths: SitePaths, site: Site, account: Ownership) -> None:
    """Make the certificates with which the site's own processes know each other.

    They have an authority of their own: a device's certificate opens the proxy and nothing behind it. Only what
    Orthanc shows over DICOM is signed by the site's authority, since the devices that it sends to see it as well.
    """
    folder = paths.pki / "internal"
    ensure_folder(folder, account.passing_mode, account.passing_owner)
    internal, outer = ensure_authority(folder, f"{site.name} internal authority"), authority(paths, site)
    for name in ("postgresql", "orthanc", "envoy", "s3", "orthanc-dicom"):
        if not (folder / f"{name}.crt").exists():
            signer = outer if name == "orthanc-dicom" else internal
            issued = signer.issue_internal([INTERNAL_NAME, "127.0.0.1", "localhost"])
            write_file(folder / f"{name}.key", issued.key_pem, 0o600, account.file_owner)
            # Orthanc's web server reads one file with both.
            write_file(folder / f"{name}.pem", issued.key_pem + issued.fullchain_pem, 0o600, account.file_owner)
            write_file(folder / f"{name}.crt", issued.fullchain_pem, 0o644, account.file_owner)
    both = internal.certificate_pem + outer.certificate_pem
    called = any(modality.tls for modality in site.orthanc.modalities.values())
    # Who Orthanc speaks DICOM with: the proxy, and over TLS modalities with a certificate of the site's authority.
    for name, content in (("authorities.crt", both), ("trusted.crt", both if called else internal.certificate_pem)):
        if not (folder / name).exists() or (folder / name).read_bytes() != content:
            write_file(folder / name, content, 0o644, account.file_owner)


def known_certificates(paths: SitePaths) -> dict[str, Path]:
    """The certificates of the site by their use: the authority's, the server's and the devices'."""
    server = current_server(paths)
    found = {"authority": paths.pki / "ca.crt"}
    if server is not None:
        found["server"] = server.certificate
    if paths.aws_certificate.exists():
        found["server on AWS"] = paths.aws_certificate
    found |= {f"device {path.stem}": path for path in sorted((paths.pki / "devices").glob("*.crt"))}
    return {use: path for use, path in found.items() if path.exists()}


def _serves(pair: ServerPair, site: Site, signer: Authority) -> bool:
    certificate = load_certificate(pair.certificate)
    info = describe(certificate, datetime.datetime.now(datetime.UTC))
    return signer.signed(certificate) and info.days_left >= RENEW_DAYS and set(site_names(site)) <= set(info.names)


def _install(paths: SitePaths, fullchain: bytes, key: bytes, account: Ownership) -> ServerPair:
    stem = "server-" + hashlib.sha256(fullchain + key).hexdigest()[:12]
    pair = ServerPair(paths.pki / f"{stem}.crt", paths.pki / f"{stem}.key")
    before = current_server(paths)
    if pair == before:
        return pair
    write_file(pair.key, key, 0o600, account.file_owner)
    write_file(pair.certificate, fullchain, 0o644, account.file_owner)
    write_file(paths.pki / _CURRENT, stem + "\n", 0o644)
    for old in paths.pki.glob("server-*.*"):
        if old.stem not in (stem, before.certificate.stem if before else stem):
            old.unlink()
    return pair

"""The authority of a site, wherever it runs, and the devices that it issues certificates to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orthweb.dicom.tls import TlsFiles
from orthweb.pki.authority import Authority, ensure_authority
from orthweb.pki.export import export_device
from orthweb.site.files import ensure_folder, write_file
from orthweb.site.model import Site
from orthweb.site.paths import SitePaths
from orthweb.site.secrets import new_password

_ANOTHER = "orthweb-validation-device"


def authority(paths: SitePaths, site: Site) -> Authority:
    """The site's authority, made on first use: it signs the server's and the devices' certificates."""
    return ensure_authority(paths.pki, f"{site.name} authority")


def issue_device(
    paths: SitePaths,
    site: Site,
    name: str,
    folder: Path,
    hosts: Sequence[str] = (),
    pkcs12: bool = False,
    java: bool = False,
) -> list[Path]:
    """Issue a client certificate for a device and write its files to `folder`; returns their paths.

    With `hosts`, its names and addresses, the device can also take associations over TLS. The certificate alone is kept
    in the site, so that `certs show` tells when it ends.
    """
    signer = authority(paths, site)
    issued = signer.issue_client(name, hosts=hosts)
    folder.mkdir(parents=True, exist_ok=True)
    password = new_password() if pkcs12 or java else None
    written = export_device(
        folder,
        name,
        issued,
        signer.certificate,
        pkcs12_password=password if pkcs12 else None,
        truststore_password=password if java else None,
    )
    if password is not None:
        path = folder / f"{name}.password"
        write_file(path, password + "\n", 0o600)
        written = [*written, path]
    ensure_folder(paths.pki / "devices")
    write_file(paths.pki / "devices" / f"{name}.crt", issued.certificate_pem, 0o644)
    return written


def another_device(paths: SitePaths, site: Site, folder: Path) -> TlsFiles:
    """Issue a certificate as any device of the site has one, into an empty folder: only the caller knows its key."""
    issued = authority(paths, site).issue_client(_ANOTHER)
    files = TlsFiles(paths.pki / "ca.crt", folder / "device.crt", folder / "device.key")
    write_file(folder / "device.crt", issued.fullchain_pem, 0o644)
    write_file(folder / "device.key", issued.key_pem, 0o600)
    return files

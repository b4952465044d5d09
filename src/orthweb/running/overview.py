"""What can be said of a site on this machine whatever brought it up: its addresses, certificates and disk."""

from __future__ import annotations

import datetime
import shutil
from typing import Any

from orthweb.pki import describe, load_certificate
from orthweb.pki.on_machine import known_certificates
from orthweb.site.model import Site
from orthweb.site.paths import SitePaths

LEAST_FREE_BYTES = 200 * 1024 * 1024


def described(site: Site, paths: SitePaths) -> dict[str, Any]:
    """What `orthweb.yaml` says, as the status of a site begins."""
    return {
        "name": site.name,
        "environment": str(site.environment),
        "owner": site.owner,
        "folder": str(paths.root),
        "addresses": addresses(site, paths),
    }


def addresses(site: Site, paths: SitePaths) -> list[str]:
    """How a browser and a modality reach the site, one line each."""
    host = site.tls.names[0] if site.tls.names else "localhost"
    lines = [
        f"web page    {web_address(site, host)}/",
        f"DICOMweb    {web_address(site, host)}/dicom-web/",
        f"DICOM TLS   {site.orthanc.ae_title} at {host}:{site.dicom.port}",
    ]
    if site.dicom.plaintext is not None:
        lines.append(f"DICOM       {site.orthanc.ae_title} at {host}:{site.dicom.plaintext.port} (without TLS)")
    lines.append(f"authority   {paths.pki / 'ca.crt'}")
    return lines


def web_address(site: Site, host: str) -> str:
    """The address of the web page on `host`, without a slash at the end."""
    return f"https://{host}" if site.web.port == 443 else f"https://{host}:{site.web.port}"


def certificates(paths: SitePaths) -> list[dict[str, Any]]:
    """Describe the certificates of the site."""
    now = datetime.datetime.now(datetime.UTC)
    return [
        {"use": use, **describe(load_certificate(path), now).to_dict()}
        for use, path in known_certificates(paths).items()
    ]


def disk_room(paths: SitePaths) -> dict[str, Any]:
    """How much room is left on the disk of the site, and whether that is enough."""
    usage = shutil.disk_usage(paths.root)
    enough = usage.free >= LEAST_FREE_BYTES
    return {"enough": enough, "free_gb": round(usage.free / 2**30, 1), "total_gb": round(usage.total / 2**30, 1)}

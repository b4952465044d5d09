"""Shows that a site works: what was sent to it over DICOM TLS is seen again over HTTPS."""

from __future__ import annotations

import io
import json
import ssl
import urllib.request
from pathlib import Path

from orthweb.errors import Failure
from orthweb.local.status import web_address
from orthweb.site.model import Site
from orthweb.site.paths import SitePaths
from orthweb.site.secrets import read_users


def sample() -> Path:
    """A CT slice that ships with pydicom."""
    from pydicom.data import get_testdata_file

    return Path(str(get_testdata_file("CT_small.dcm")))


def fetch_back(site: Site, paths: SitePaths, sent: Path) -> str:
    """Fetch an image that was sent through the web port and compare it; returns the page that shows its study.

    Raises
    ------
    Failure
        The image is not found, or came back different.
    """
    import pydicom

    original = pydicom.dcmread(sent)
    user = site.orthanc.users[0]
    web = _Web(site, paths, user, read_users(paths)[user])
    found = json.loads(web.request("/tools/lookup", str(original.SOPInstanceUID).encode()))
    instances = [entry["ID"] for entry in found if entry["Type"] == "Instance"]
    if not instances:
        raise Failure("the image was accepted and is not found over HTTPS", "see 'orthweb logs'")
    returned = pydicom.dcmread(io.BytesIO(web.request(f"/instances/{instances[0]}/file")))
    if returned.PixelData != original.PixelData:
        raise Failure("the image came back with other pixels", "see 'orthweb logs'")
    study = json.loads(web.request(f"/instances/{instances[0]}/study"))["ID"]
    return f"{web.base}/app/explorer.html#study?uuid={study}"


class _Web:
    """The site's web port as a browser uses it."""

    def __init__(self, site: Site, paths: SitePaths, user: str, password: str) -> None:
        self.base = web_address(site, "localhost")
        trusted = ssl.create_default_context(cafile=str(paths.pki / "ca.crt"))
        manager = urllib.request.HTTPPasswordMgrWithPriorAuth()
        manager.add_password(None, self.base, user, password, is_authenticated=True)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=trusted),
            urllib.request.HTTPBasicAuthHandler(manager),
        )

    def request(self, path: str, body: bytes | None = None) -> bytes:
        try:
            with self._opener.open(self.base + path, body, timeout=30) as response:
                answer: bytes = response.read()
                return answer
        except OSError as error:
            raise Failure(f"{self.base}{path}: {error}", "see 'orthweb logs web'") from None

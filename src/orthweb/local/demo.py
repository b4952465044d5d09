"""Shows that a site works: a real image goes in over DICOM TLS and is seen again over HTTPS."""

from __future__ import annotations

import io
import json
import shlex
import ssl
import subprocess
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orthweb.errors import Failure
from orthweb.local.certificates import issue_device
from orthweb.local.packages import DEMO, ensure
from orthweb.local.status import web_address
from orthweb.site.model import Site
from orthweb.site.paths import SitePaths
from orthweb.site.secrets import read_users

_DEVICE = "demo"
_SAMPLE = "CT_small.dcm"


@dataclass(frozen=True)
class Shown:
    """What was shown."""

    command: str
    """The command that sent the image."""
    study_url: str


def show(site: Site, paths: SitePaths, say: Callable[[str], None]) -> Shown:
    """Send pydicom's CT slice with DCMTK's storescu and fetch it back through the web port.

    Raises
    ------
    Failure
        The image was refused, not found, or came back different.
    """
    import pydicom
    from pydicom.data import get_testdata_file

    ensure(DEMO, say)
    devices = _ensure_device(site, paths)
    sample = Path(str(get_testdata_file(_SAMPLE)))
    sent = pydicom.dcmread(sample)
    command = storescu(site, devices, sample)
    # DCMTK reads TCP_NODELAY: without it every image waits 40 ms.
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "TCP_NODELAY": "1"},
    )
    if done.returncode != 0:
        raise Failure(f"storescu failed: {(done.stderr or done.stdout).strip().splitlines()[-1]}", shlex.join(command))
    say(f"sent {_SAMPLE} over DICOM TLS with storescu")
    user = site.orthanc.users[0]
    web = _Web(site, paths, user, read_users(paths)[user])
    found = json.loads(web.request("/tools/lookup", str(sent.SOPInstanceUID).encode()))
    instances = [entry["ID"] for entry in found if entry["Type"] == "Instance"]
    if not instances:
        raise Failure("the image was accepted and is not found over HTTPS", "see 'orthweb logs'")
    returned = pydicom.dcmread(io.BytesIO(web.request(f"/instances/{instances[0]}/file")))
    if returned.PixelData != sent.PixelData:
        raise Failure("the image came back with other pixels", "see 'orthweb logs'")
    say("fetched it back over HTTPS: the pixels are the same")
    study = json.loads(web.request(f"/instances/{instances[0]}/study"))["ID"]
    return Shown(shlex.join(command), f"{web.base}/app/explorer.html#study?uuid={study}")


def _ensure_device(site: Site, paths: SitePaths) -> Path:
    """The folder with the demo device's certificate, issued anew when it is another authority's."""
    folder = paths.root / "devices"
    authority = folder / "ca.crt"
    if not authority.exists() or authority.read_bytes() != (paths.pki / "ca.crt").read_bytes():
        for name in (f"{_DEVICE}.key", f"{_DEVICE}.crt", "ca.crt"):
            (folder / name).unlink(missing_ok=True)
        issue_device(paths, site, _DEVICE, folder)
    return folder


def storescu(site: Site, devices: Path, file: Path) -> list[str]:
    """Make the guide's own command that stores a file over DICOM TLS."""
    tls = [
        "+tls",
        str(devices / f"{_DEVICE}.key"),
        str(devices / f"{_DEVICE}.crt"),
        "-rc",
        "+cf",
        str(devices / "ca.crt"),
    ]
    return [
        "storescu",
        "-aet",
        "DEMO",
        "-aec",
        site.orthanc.ae_title,
        *tls,
        "localhost",
        str(site.dicom.port),
        str(file),
    ]


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

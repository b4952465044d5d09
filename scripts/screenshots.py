"""Makes the guide's pictures of the validation page from a real validation: `python scripts/screenshots.py [SITE]`."""

from __future__ import annotations

import base64
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests/site"))

from devtools import console, devtools, show_as  # noqa: E402
from webdriver import Browser, browser  # noqa: E402

IMAGES = ROOT / "docs/images"
# Name, width of the screen in CSS pixels, colour scheme, pixels for each of them, and down to where.
_PICTURES = (
    ("validation-page", 1000, "light", 1.3, ".glance"),
    ("validation-page-dark", 1000, "dark", 1.3, ".glance"),
    ("validation-page-phone", 360, "light", 2, "#overview + table"),
)
_MARGIN = 32


def main(site: Path) -> None:
    """Validate a site that is up, and take the pictures."""
    with tempfile.TemporaryDirectory(prefix="ow-") as folder:
        page = Path(folder, "page.html")
        done = subprocess.run([sys.executable, "-m", "orthweb", "-C", str(site), "validate", "--html", str(page)])
        if done.returncode not in (0, 1) or not page.exists():
            sys.exit("there is no page to take pictures of")
        IMAGES.mkdir(exist_ok=True)
        with browser(None) as opened:
            opened.go(page.as_uri())
            for name, width, scheme, density, last in _PICTURES:
                show_as(opened, width, 800, scheme, density)
                (IMAGES / f"{name}.png").write_bytes(_picture(opened, width, last))
            if complaints := console(opened):
                sys.exit("\n".join(complaints))


def _picture(opened: Browser, width: int, last: str) -> bytes:
    bottom = opened.js("return document.querySelector(arguments[0]).getBoundingClientRect().bottom", last)
    clip = {"x": 0, "y": 0, "width": width, "height": bottom + _MARGIN, "scale": 1}
    return base64.b64decode(devtools(opened, "Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "demo")

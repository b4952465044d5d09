"""What is known on this machine of a site on AWS, so that commands that only speak to the site need not ask AWS."""

from __future__ import annotations

import json
from typing import Any

from orthweb.errors import Failure
from orthweb.site.files import ensure_folder, write_file
from orthweb.site.paths import SitePaths

_OUTPUTS = "outputs.json"


def keep_outputs(paths: SitePaths, outputs: dict[str, Any]) -> None:
    """Remember what the last apply put out, so that commands that only speak to the site need not ask AWS."""
    path, text = paths.terraform / _OUTPUTS, json.dumps(outputs, indent=2) + "\n"
    if not outputs:
        path.unlink(missing_ok=True)
    elif not path.exists() or path.read_text() != text:
        ensure_folder(paths.state)
        ensure_folder(paths.terraform)
        write_file(path, text)


def site_address(paths: SitePaths) -> str:
    """The public address of the site, as this machine knows it; raises Failure when it knows none."""
    try:
        return str(json.loads((paths.terraform / _OUTPUTS).read_text())["site_address"])
    except (FileNotFoundError, ValueError, LookupError):
        raise Failure(
            f"{paths.root}: this site is on AWS, and its address is not known here",
            "'orthweb output' asks for it; 'orthweb apply' makes the site",
        ) from None

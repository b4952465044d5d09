"""A site on this machine as validation takes it, whichever engine runs it; the engine adds its view from inside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orthweb.errors import Failure
from orthweb.pki.own_device import own_device
from orthweb.site.model import Site
from orthweb.site.paths import SitePaths
from orthweb.validation.of_site import outer_target
from orthweb.validation.target import Inside, Target


def target_here(site: Site, paths: SitePaths, made: Path, inside: Callable[[], Inside]) -> Target:
    """Describe the site to validation.

    Parameters
    ----------
    made:
        A file that the engine made when it first brought the site up.
    inside:
        Gives the view from inside.

    Raises
    ------
    Failure
        It has never been up.
    InputError
        A file of it is damaged.
    """
    if not (paths.pki / "ca.crt").exists() or not made.exists():
        raise Failure(f"{paths.root}: this site has never been up", "bring it up with 'orthweb up'")
    names = tuple(site.tls.names) or ("localhost",)
    return outer_target(site, paths, own_device(paths, site), "localhost", names, inside())


def rendered_configuration(path: Path) -> dict[str, Any]:
    """Read the configuration of an Orthanc server as it was rendered; raises Failure."""
    try:
        return dict(json.loads(path.read_text()))
    except (FileNotFoundError, ValueError):
        raise Failure(f"{path}: is missing or damaged", "'orthweb up' writes it anew") from None

"""What `.orthweb` says of itself: which engine brought the site up, and where its objects are."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from orthweb.errors import InputError
from orthweb.site.files import write_file

if TYPE_CHECKING:
    from orthweb.site.model import Site
    from orthweb.site.paths import SitePaths

NATIVE, COMPOSE = "native", "compose"
ENGINES = (NATIVE, COMPOSE)


def engine_of(paths: SitePaths) -> str | None:
    """The engine that brought the site up here; None when none did."""
    try:
        return str(json.loads(paths.mark.read_text()).get("engine", NATIVE))
    except (OSError, ValueError, AttributeError):
        return None


def write_mark(paths: SitePaths, site: Site, engine: str) -> None:
    """Note the engine and the storage, before anything else is made."""
    mark = {"format": 1, "storage": storage_kind(site), **({"engine": engine} if engine != NATIVE else {})}
    write_file(paths.mark, json.dumps(mark) + "\n")


def check_mark(paths: SitePaths, site: Site, engine: str) -> None:
    """Refuse what would not find the objects of a site that has data; raises InputError."""
    try:
        known = json.loads(paths.mark.read_text())
        kept, by = known["storage"], known.get("engine", NATIVE)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise InputError(f"{paths.mark}: is missing or damaged", "bring it back from a backup") from None
    if by != engine:
        raise InputError(
            f"--engine: {engine}: this site was brought up with the engine {by}, which keeps its data otherwise",
            "leave the option out; or make a new site and send the images there",
        )
    storage = storage_kind(site)
    if kept != storage:
        raise InputError(
            f"orthweb.yaml: storage: this site keeps its objects in {kept}, not in {storage}",
            "they would not be found any more; make a new site and send them there",
        )


def storage_kind(site: Site) -> str:
    """Say where the site's objects are, in words that change when the objects would not be found any more."""
    storage = site.s3()
    if storage is None:
        return "filesystem"
    return f"s3 bucket {storage.bucket} at {storage.endpoint or 'the embedded server'}"


def forget(paths: SitePaths) -> None:
    """Delete all that Orthweb made for a site; the mark goes last, so that an interrupted purge can go on."""
    for entry in paths.state.iterdir():
        if entry != paths.mark:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    paths.mark.unlink(missing_ok=True)
    paths.state.rmdir()

"""The container images of a site: at hand before anything starts, and which versions are in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from orthweb.errors import Failure
from orthweb.host.docker import Docker
from orthweb.render.place import Versions

ORTHANC_LABEL, PLUGIN_LABEL = "org.orthanc-server.version", "org.orthanc-server.postgresql-plugin"
"""Labels by which an image of one's own says what is in it: `1.12.7`, `5.0`."""
# The public image's tags are year, month and number. From 25.1 on its PostgreSQL plugin is 7 or newer, whose writers
# do not wait for each other (orthanc-builder, release notes).
_PUBLIC = re.compile(r"(?:^|/)orthancteam/orthanc:(\d{2})\.(\d{1,2})")
_SPREADING_SINCE = (25, 1)
# What every plugin that shares an index can do: Orthanc Book, "PostgreSQL plugins".
_CAUTIOUS = Versions(orthanc=(1, 9, 2), postgresql_plugin=(4, 0))
_PUBLIC_VERSIONS = Versions(orthanc=(1, 12, 5), postgresql_plugin=(7, 0))


def ensure_images(docker: Docker, names: Iterable[str], files: Iterable[Path], step: Callable[[str], None]) -> None:
    """See that the engine has the images: those at hand, those in `files`, and the rest from their registries.

    Raises
    ------
    Failure
        One is nowhere to be had.
    """
    missing = [name for name in dict.fromkeys(names) if docker.image(name) is None]
    if missing:
        for file in files:
            step(f"loading {file.name}")
            docker.load(file)
    for name in missing:
        if docker.image(name) is None:
            step(f"fetching {name}")
            try:
                docker.pull(name)
            except Failure as error:
                raise Failure(f"image {name}: {error.message}", error.remedy) from None


def image_versions(docker: Docker, name: str) -> Versions:
    """Tell which versions an image has in it, by its labels or the public image's tag; else be cautious."""
    labels = _labels(docker.image(name))
    if ORTHANC_LABEL in labels and PLUGIN_LABEL in labels:
        return Versions(_numbers(labels[ORTHANC_LABEL]), _numbers(labels[PLUGIN_LABEL]))
    found = _PUBLIC.search(name)
    if found and (int(found[1]), int(found[2])) >= _SPREADING_SINCE:
        return _PUBLIC_VERSIONS
    return _CAUTIOUS


def may_change_schema(docker: Docker, old: str, new: str) -> bool:
    """Whether another image may bring another schema of the database: unless both say the same of their plugin."""
    before, after = (_labels(docker.image(name)).get(PLUGIN_LABEL) for name in (old, new))
    return before is None or before != after


def _labels(image: dict[str, Any] | None) -> dict[str, str]:
    return ((image or {}).get("Config") or {}).get("Labels") or {}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))

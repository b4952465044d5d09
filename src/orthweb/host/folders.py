"""Writes what a site's containers see, each file in one step, and what a container writes itself has a place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from orthweb.render.compose import DockerHost
from orthweb.render.containers import ENVOY, POSTGRESQL, services
from orthweb.render.place import Place, Rendered
from orthweb.site.files import ensure_folder, write_file

_PARTS = ("view", "etc", "secrets")
# Envoy takes up what these say as soon as they are there: what they name has to be there before.
_LAST = ("sds-", "eds-")


def make_folders(place: Place, host: DockerHost) -> None:
    """Make the folders that are mounted into the containers, owned by the accounts of these."""
    files, data = Path(host.files), Path(host.data)
    for folder in (files, data, data / "tmp"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        ensure_folder(folder)
    for name in services(place):
        owner = _owner(host, name)
        # Those inside are the container's alone: it runs as another account than whoever renders.
        ensure_folder(files / name, 0o700)
        for part in (*_PARTS, *(["run"] if name == ENVOY else [])):
            ensure_folder(files / name / part, 0o700, owner)
        if name == POSTGRESQL:
            ensure_folder(data / name, 0o700, owner)
        elif name != ENVOY:
            ensure_folder(data / "tmp" / name, 0o700, owner)
            ensure_folder(data / "objects", 0o700, owner)


def write_container_files(host: DockerHost, files: Mapping[str, Rendered]) -> None:
    """Write the files that differ from what is there."""
    root = Path(host.files)
    for path in sorted(files, key=lambda path: path.rpartition("/")[2].startswith(_LAST)):
        service, *folders, _ = path.split("/")
        owner, target = _owner(host, service), root / path
        for depth in range(1, len(folders) + 1):
            ensure_folder(root.joinpath(service, *folders[:depth]), 0o700, owner)
        if _read(target) != files[path].text:
            write_file(target, files[path].text, 0o600, owner)


def remove_others(host: DockerHost, files: Mapping[str, Rendered]) -> None:
    """Remove files that are rendered no more, such as the pair before the present certificate."""
    root = Path(host.files)
    kept = {root / path for path in files}
    for service in {path.split("/")[0] for path in files}:
        for part in _PARTS:
            for path in (root / service / part).rglob("*"):
                if path.is_file() and path not in kept and not path.name.endswith(".wasm"):
                    path.unlink()


def put_binary(host: DockerHost, path: str, content: bytes) -> None:
    """Write a file that is no text, below the folder of the service that `path` begins with."""
    target = Path(host.files) / path
    if not target.exists() or target.read_bytes() != content:
        write_file(target, content, 0o600, _owner(host, path.split("/")[0]))


def _owner(host: DockerHost, service: str) -> tuple[int, int] | None:
    # Who is not root can give files to nobody else; the containers then run as the caller.
    return host.account(service) if os.geteuid() == 0 else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None

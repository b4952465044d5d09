"""The bundle that the hosts of a site are installed from, made beside Terraform's root before it plans."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import orthweb
from orthweb.bundle.build import build_bundle
from orthweb.bundle.images import find_images, host_images
from orthweb.bundle.target import architecture_of, target
from orthweb.errors import InputError
from orthweb.site.aws import Aws, aws_of
from orthweb.site.files import ensure_folder, write_file
from orthweb.site.model import Site
from orthweb.site.paths import SitePaths
from orthweb.site.voice import Voice

_GUIDES_VARIABLE = "TF_VAR_DeploymentOptions"
_FILE, _MADE = "bundle.tar.gz", "bundle.json"
_USUAL_TYPE = "t3.medium"
# As the guide gives them to Terraform, in JSON or in HCL.
_GUIDES_IMAGE = re.compile(r"\b(?:Orthanc|Envoy)Img\b")
_GUIDES_TYPE = re.compile(r'"?InstanceType"?\s*[:=]\s*"([^"]+)"')


def ensure_bundle(site: Site, paths: SitePaths, voice: Voice) -> dict[str, str]:
    """Build the bundle of this Orthweb unless it is there; gives Terraform's variable `bundle`.

    Raises
    ------
    InputError
        An image that the bundle is to hold is for another processor.
    Failure
        A wheel or an image is neither here nor to be had.
    """
    ensure_folder(paths.state)
    ensure_folder(paths.terraform)
    aws = aws_of(site)
    machine = target(architecture_of(_instance_type(aws)))
    images = _images(site) if aws.hosts.bundle_images else {}
    file, made = paths.terraform / _FILE, paths.terraform / _MADE
    told = f"{machine.architecture} {images} {find_images(images, machine)} {_package()}"
    key = hashlib.sha256(told.encode()).hexdigest()
    known = _known(made)
    if known.get("key") != key or not file.exists():
        voice.step("building what the hosts run")
        sha256 = build_bundle(file, machine, voice, _wheels(), images).sha256
        known = {"key": key, "sha256": sha256}
        write_file(made, json.dumps(known) + "\n")
    # As Terraform finds it from its root: on another administrator's machine it is called the same.
    return {"path": _FILE, "sha256": known["sha256"]}


def _images(site: Site) -> dict[str, str]:
    if _GUIDES_IMAGE.search(os.environ.get(_GUIDES_VARIABLE, "")):
        raise InputError(
            f"{_GUIDES_VARIABLE}: names container images, and aws.hosts.bundle_images takes those of orthweb.yaml",
            "name them there, as orthanc.image and envoy.image",
        )
    return host_images(site)


def _instance_type(aws: Aws) -> str:
    guides = _GUIDES_TYPE.search(os.environ.get(_GUIDES_VARIABLE, ""))
    return aws.hosts.instance_type or (guides[1] if guides else _USUAL_TYPE)


def _package() -> str:
    """What tells this installation of Orthweb from another one."""
    root = Path(orthweb.__file__).parent
    files = sorted(path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    told = [f"{path.relative_to(root)} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]
    return "\n".join([orthweb.__version__, *told])


def _wheels() -> Path:
    """Where wheels are kept once they were downloaded, for all sites of a user."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "orthweb" / "wheels"
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def _known(made: Path) -> dict[str, str]:
    try:
        found = json.loads(made.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

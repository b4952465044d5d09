"""Takes container images out of the Docker engine of this machine, for hosts that reach no registry."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orthweb.bundle.archive import same_tar
from orthweb.bundle.target import Target
from orthweb.errors import Failure, InputError
from orthweb.site.model import Site

LIST = "images.json"
"""Names the images by what they are for: `reference` as `orthweb.yaml` has it, `id` and `file`."""


def host_images(site: Site) -> dict[str, str]:
    """The container images of a site's hosts, by what they are for."""
    return {"orthanc": site.orthanc.image, "envoy": site.envoy.image}


def find_images(references: Mapping[str, str], machine: Target) -> dict[str, str]:
    """Give the ids of images, by what they are for.

    Parameters
    ----------
    references:
        Images by what they are for: `orthanc`, `envoy`.
    machine:
        What they have to be for.

    Raises
    ------
    InputError
        An image is for another architecture, or named by its digest, which `docker save` does not keep.
    Failure
        Docker is missing, or does not have the image.
    """
    ids = {}
    for use, reference in sorted(references.items()):
        if "@" in reference:
            raise InputError(
                f"{use}.image: {reference} is named by its digest, which 'docker save' does not keep",
                "name it by a tag: the bundle's own SHA-256 says what is in it",
            )
        said = _docker(["image", "inspect", "--format", "{{.Id}} {{.Architecture}}", reference], reference)
        ids[use], _, architecture = said.strip().partition(" ")
        if architecture != machine.architecture:
            raise InputError(
                f"{reference} is for {architecture} here, and the bundle is for {machine.architecture}",
                f"docker pull --platform linux/{machine.architecture} {reference}",
            )
    return ids


def save_images(
    references: Mapping[str, str], ids: Mapping[str, str], work: Path, step: Callable[[str], None]
) -> dict[str, Path]:
    """Save the images that `find_images` found into the folder `work`, and a list of them.

    Gives the files by their names in the bundle's folder `images`; raises Failure.
    """
    files, described = {}, {}
    for use, reference in sorted(references.items()):
        step(f"saving the image {reference}")
        written, name = work / f"{use}.saved", f"{use}.tar"
        _docker(["image", "save", "--output", str(written), reference], reference)
        same_tar(written, work / name)
        written.unlink()
        files[name] = work / name
        described[use] = {"reference": reference, "id": ids[use], "file": name}
    (work / LIST).write_text(json.dumps(described, indent=2, sort_keys=True) + "\n")
    return {**files, LIST: work / LIST}


def _docker(words: Sequence[str], reference: str) -> str:
    try:
        done = subprocess.run(
            ["docker", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
        )
    except FileNotFoundError:
        raise Failure(
            "docker is not on this machine, and the images of a bundle come from it",
            "install it, or leave the images to their registry",
        ) from None
    if done.returncode == 0:
        return done.stdout
    said = " ".join(done.stderr.split()).removeprefix("Error response from daemon: ")
    if "No such image" in said:
        raise Failure(f"docker does not have {reference}", f"docker pull {reference}")
    raise Failure(f"docker: {said or f'ended with {done.returncode}'}")

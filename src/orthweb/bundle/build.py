"""Builds the bundle that a host is installed from, the same bytes from the same parts."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orthweb
from orthweb.bundle.archive import pack_gzip, store_gzip, write_tar
from orthweb.bundle.images import find_images, save_images
from orthweb.bundle.lock import host_pins
from orthweb.bundle.own_wheel import write_wheel
from orthweb.bundle.target import Target
from orthweb.bundle.wheels import gather, sha256
from orthweb.errors import InputError
from orthweb.site.voice import Voice


@dataclass(frozen=True)
class Bundle:
    """A bundle that was built."""

    path: Path
    size: int
    """In bytes."""
    sha256: str
    """In hexadecimal digits."""


def bundle_name(architecture: str) -> str:
    """Give the name of a bundle's file."""
    return f"orthweb-bundle-{orthweb.__version__}-{architecture}.tar.gz"


def build_bundle(
    output: Path,
    machine: Target,
    voice: Voice,
    wheels: Path | None = None,
    images: Mapping[str, str] | None = None,
) -> Bundle:
    """Build a bundle: `requirements.txt`, `wheels/` and, where there are images, `images/`.

    Parameters
    ----------
    output:
        The file that is written, whole or not at all.
    machine:
        What the hosts are.
    wheels:
        A folder that wheels are taken from, and that keeps those which are downloaded.
    images:
        Container images by what they are for; they come from this machine's Docker engine.

    Raises
    ------
    InputError
        The output's folder or `wheels` is none, or an image is for another machine.
    Failure
        Wheels or images are not to be had.
    """
    if not output.parent.is_dir():
        raise InputError(f"--output: {output.parent} is not a folder", "make it first")
    if output.is_dir():
        raise InputError(f"--output: {output} is a folder", "name a file")
    with tempfile.TemporaryDirectory(prefix="orthweb-bundle-") as folder:
        work = Path(folder)
        # Which is known at once, and the rest is not.
        ids = find_images(images or {}, machine)
        pins = host_pins()
        found = gather(pins, machine, wheels, work, voice.step)
        voice.step("making the wheel of Orthweb")
        own = write_wheel(work, pins)
        requirements = work / "requirements.txt"
        requirements.write_text(
            "".join(f"{pin.requirement} --hash=sha256:{sha256(found[pin.name])}\n" for pin in pins)
            + f"orthweb=={orthweb.__version__} --hash=sha256:{sha256(own)}\n"
        )
        entries = {"requirements.txt": requirements}
        entries |= {f"wheels/{path.name}": path for path in [*found.values(), own]}
        if images:
            saved = save_images(images, ids, work, voice.step)
            entries |= {f"images/{name}": path for name, path in saved.items()}
        voice.step("writing the bundle")
        return _write(output, entries, compress=bool(images))


def _write(output: Path, entries: Mapping[str, Path], compress: bool) -> Bundle:
    handle, temporary = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
    try:
        with os.fdopen(handle, "w+b") as target, tempfile.TemporaryFile(dir=output.parent) as plain:
            write_tar(plain, entries)
            plain.seek(0)
            (pack_gzip if compress else store_gzip)(plain, target)
            target.flush()
            # mkstemp's mode would keep it from who uploads it.
            os.fchmod(target.fileno(), 0o644)
            os.fsync(target.fileno())
        done = Bundle(output, os.path.getsize(temporary), sha256(Path(temporary)))
        os.replace(temporary, output)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(output)
        raise
    return done

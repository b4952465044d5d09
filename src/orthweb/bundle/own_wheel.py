"""Makes the wheel of Orthweb anew from the files that run here, however they came to be installed. PEP 427."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import orthweb
from orthweb.bundle.lock import Pin

_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # of a zip file's calendar
_MODE = 0o100644 << 16
_UNIX = 3
# A host is made by Terraform and drives none: of the modules it only needs what boots it.
_LEFT_OUT, _KEPT = "terraform", "terraform/boot"


def write_wheel(folder: Path, needs: Sequence[Pin]) -> Path:
    """Write the wheel; the same files give the same bytes, whatever their times and modes, and here is no zlib in it.

    Parameters
    ----------
    folder:
        Where it is written.
    needs:
        What its metadata says that it needs: the packages beside it.
    """
    name = f"orthweb-{orthweb.__version__}"
    about = f"{name}.dist-info"
    entries = [
        *package_files(),
        (f"{about}/METADATA", _metadata(needs)),
        (f"{about}/WHEEL", b"Wheel-Version: 1.0\nGenerator: orthweb\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
        (f"{about}/entry_points.txt", b"[console_scripts]\northweb = orthweb.__main__:main\n"),
    ]
    record = "".join(f"{path},sha256={_digest(data)},{len(data)}\n" for path, data in entries)
    entries.append((f"{about}/RECORD", f"{record}{about}/RECORD,,\n".encode()))
    wheel = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_STORED) as archive:
        for path, data in entries:
            about_file = zipfile.ZipInfo(path, _FIRST_DAY)
            about_file.external_attr = _MODE
            about_file.create_system = _UNIX
            archive.writestr(about_file, data)
    return wheel


def package_files() -> Iterator[tuple[str, bytes]]:
    """Give the files of the package that a host needs, by their path in the wheel, in order."""
    package = Path(orthweb.__file__).parent
    found = {path.relative_to(package).as_posix(): path for path in package.rglob("*") if path.is_file()}
    for name in sorted(found):
        if _belongs(name):
            yield f"orthweb/{name}", found[name].read_bytes()


def _belongs(name: str) -> bool:
    parts = name.split("/")
    if name.startswith(f"{_LEFT_OUT}/") and not name.startswith(f"{_KEPT}/"):
        return False
    # What Python, Terraform and editors leave behind.
    return not any(part == "__pycache__" or part.startswith(".") for part in parts) and not name.endswith((".pyc", "~"))


def _metadata(needs: Sequence[Pin]) -> bytes:
    lines = [
        "Metadata-Version: 2.1",
        "Name: orthweb",
        f"Version: {orthweb.__version__}",
        "Summary: The host part of Orthweb",
        "License: Apache-2.0",
        *(f"Requires-Dist: {pin.requirement}" for pin in needs),
    ]
    return ("\n".join(lines) + "\n").encode()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()

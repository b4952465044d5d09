"""Small libraries for the Orthanc processes, compiled on this machine in a moment."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from orthweb.errors import Failure


def compiled(source: str, libraries: Sequence[str]) -> bytes:
    """Compile a shared library of C that needs these libraries and no header; raises Failure."""
    with tempfile.TemporaryDirectory() as scratch:
        path, target = Path(scratch, "source.c"), Path(scratch, "library.so")
        path.write_text(source)
        command = ["tcc", "-shared", "-nostdlib", "-o", str(target), str(path), *libraries]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise Failure("tcc is not installed", "apt-get install tcc") from None
        if done.returncode != 0:
            raise Failure(f"tcc failed: {done.stderr.strip() or done.returncode}")
        return target.read_bytes()


def loaded(names: Sequence[str]) -> dict[str, str]:
    """Where the libraries of these names lie that are part of this process, as far as they are the system's own."""
    paths = {}
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.split(maxsplit=5)[-1]
        if Path(path).name in names and path.startswith(("/usr/lib", "/lib")):
            paths[Path(path).name] = path
    return paths

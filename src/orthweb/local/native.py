"""Small libraries for the Orthanc processes, compiled on this machine in a moment."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from orthweb.errors import Failure

# elf(5): the file's header, one entry of its table of segments, and where the header has the table's place and length.
_ELF, _SEGMENT = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ")
_TABLE, _TABLE_AT = struct.Struct("<Q"), 32
_NUMBER, _NUMBER_AT = struct.Struct("<H"), 56
_GNU_STACK, _READ_WRITE = 0x6474E551, 6


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
        return with_plain_stack(target.read_bytes())


def with_plain_stack(library: bytes) -> bytes:
    """Add to a 64-bit ELF library that it needs no executable stack, which tcc up to 0.9.27 leaves open.

    From glibc 2.41 on (Debian 13) a library that leaves it open is not loaded.
    """
    header = bytearray(library[: _ELF.size])
    *_, table, _, _, _, size, number, _, _, _ = _ELF.unpack(header)
    entries = library[table : table + size * number]
    if any(_SEGMENT.unpack_from(entries, size * index)[0] == _GNU_STACK for index in range(number)):
        return library
    padding = b"\0" * (-len(library) % 8)
    _TABLE.pack_into(header, _TABLE_AT, len(library) + len(padding))
    _NUMBER.pack_into(header, _NUMBER_AT, number + 1)
    stack = _SEGMENT.pack(_GNU_STACK, _READ_WRITE, 0, 0, 0, 0, 0, 16)
    return bytes(header) + library[_ELF.size :] + padding + entries + stack


def loaded(names: Sequence[str]) -> dict[str, str]:
    """Where the libraries of these names lie that are part of this process, as far as they are the system's own."""
    paths = {}
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.split(maxsplit=5)[-1]
        if Path(path).name in names and path.startswith(("/usr/lib", "/lib")):
            paths[Path(path).name] = path
    return paths

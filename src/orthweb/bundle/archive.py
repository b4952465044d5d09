"""Writes archives whose bytes depend on what is in them alone: no times, no owners, no order of a folder."""

from __future__ import annotations

import gzip
import shutil
import struct
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

_BLOCK = 65535  # the most that a stored block of deflate holds: RFC 1951, 3.2.4
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # deflate, no name, no time, of no system: RFC 1952, 2.3


def write_tar(target: IO[bytes], entries: Mapping[str, Path]) -> None:
    """Write files as a tar archive, in the order of their names in it."""
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(entries):
            about = tarfile.TarInfo(name)
            about.size = entries[name].stat().st_size
            with entries[name].open("rb") as file:
                archive.addfile(about, file)


def same_tar(source: Path, target: Path) -> None:
    """Write a tar archive anew without what differs from one writing to the next: order, times and owners."""
    with tarfile.open(source) as old, tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda one: one.name):
            about = tarfile.TarInfo(member.name)
            about.type, about.linkname = member.type, member.linkname
            about.mode = 0o755 if member.isdir() else 0o644
            about.size = member.size
            new.addfile(about, old.extractfile(member) if member.isreg() else None)


def store_gzip(source: IO[bytes], target: IO[bytes]) -> None:
    """Wrap bytes as gzip without making them smaller: wheels are compressed, and zlib is not the same everywhere."""
    target.write(_HEADER)
    checksum = size = 0
    block = source.read(_BLOCK)
    last = False
    while not last:
        following = source.read(_BLOCK)
        last = not following
        target.write(struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF))
        target.write(block)
        checksum = zlib.crc32(block, checksum)
        size += len(block)
        block = following
    target.write(struct.pack("<II", checksum, size & 0xFFFFFFFF))


def pack_gzip(source: IO[bytes], target: IO[bytes]) -> None:
    """Compress bytes as gzip, quickly, without a name and a time; by the same zlib always to the same."""
    with gzip.GzipFile(filename="", mode="wb", fileobj=target, mtime=0, compresslevel=1) as packed:
        shutil.copyfileobj(source, packed, 2**20)

"""DICOM files to transfer: those that ship with pydicom, and made-up ones of kinds that nobody ships."""

from __future__ import annotations

import functools
import hashlib
import os
import random
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom.data
from pydicom.dataset import FileDataset

from orthweb.dicom.part10 import FileHead, NotDicom, file_meta, read_head
from orthweb.dicom.store import ContextKey, context_key
from orthweb.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    MEDIA_STORAGE_DIRECTORY,
)

PACKAGED = Path(pydicom.data.__file__).parent
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
# Below the root that pydicom's author gives away numbers of: nobody's SOP class.
PRIVATE_CLASS = "1.2.826.0.1.3680043.10.1.4711"
_ENCAPSULATED = "1.2.840.10008.1.2.4."
MPEG = tuple(_ENCAPSULATED + str(number) for number in range(100, 109))
HTJ2K, JPEG_XL = (_ENCAPSULATED + "201",), tuple(_ENCAPSULATED + part for part in ("110", "111", "112"))
# Packaged files that pydicom reads although they break the standard: a peer that parses what comes refuses them, and
# Orthanc waits for what they lack until its time is over.
MALFORMED = {
    "test_files/SC_rgb_jpeg.dcm": "a JPEG transfer syntax with implicit VR (PS3.5 A.4: explicit)",
    "test_files/MR_truncated.dcm": "ends before its pixel data do",
    "test_files/rtplan_truncated.dcm": "ends within a sequence",
}
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_TRAILING_PADDING = 0xFFFCFFFC
_LONG = {b"OB", b"OW", b"UN"}
_UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True)
class Sample:
    """A file, and what says that its dataset arrived as it is."""

    path: Path
    head: FileHead

    @property
    def key(self) -> ContextKey:
        return context_key(self.head)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the dataset as it has to arrive: all bytes after the file meta information.

        A deflated one is made even with a zero byte (PS3.5 A.5).
        """
        deflated = self.head.transfer_syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
        return dataset_digest(self.path, padded=deflated)

    @property
    def malformed(self) -> bool:
        """A peer that parses it can't take it."""
        return self.path.is_relative_to(PACKAGED) and str(self.path.relative_to(PACKAGED)) in MALFORMED

    @property
    def odd(self) -> bool:
        """Its dataset has an odd length, which the standard does not know."""
        return bool(self.head.dataset_length % 2) and self.head.transfer_syntax != DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN


def dataset(path: Path) -> bytes:
    """The bytes after the file meta information, found by the length that this names where it does (PS3.10 7.1)."""
    data = path.read_bytes()
    if data[128:140] != b"DICM\x02\0\0\0UL\x04\0":
        return data[_head(path).dataset_offset :]
    return data[144 + int.from_bytes(data[140:144], "little") :]


def dataset_digest(path: Path, padded: bool = False) -> str:
    """SHA-256 of the bytes after the file meta information, with a zero byte after an odd number of them."""
    data = dataset(path)
    return hashlib.sha256(data + b"\0" * (len(data) % 2 if padded else 0)).hexdigest()


def assert_same(name: str, sent: FileDataset, received: FileDataset) -> None:
    """Compare the transfer syntax, the pixel bytes and, while at it, the value of every other element."""
    assert received.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID, name
    for keyword in PIXELS:
        assert received.get(keyword) == sent.get(keyword), f"{name}: {keyword}"

    def values(dataset: FileDataset) -> dict[int, Any]:
        # Group lengths and trailing padding say how a dataset was written, not what is in it.
        return {item.tag: item.value for item in dataset if item.tag.element != 0 and item.tag != _TRAILING_PADDING}

    assert values(received) == values(sent), name


def sample(path: Path) -> Sample:
    return Sample(path, _head(path))


@functools.cache
def packaged() -> list[Sample]:
    """The files that ship with pydicom and can be sent: they are Part 10 files that name what they are."""
    found = []
    for path in sorted(PACKAGED.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            try:
                found.append(sample(path))
            except NotDicom:
                continue
    return [one for one in found if one.head.sop_class != MEDIA_STORAGE_DIRECTORY]


def rounds(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    """The same in as many lists as it takes for none to hold an instance twice."""
    left = list(samples)
    while left:
        first = {one.head.sop_instance: one for one in reversed(left)}
        yield list(first.values())
        left = [one for one in left if one not in first.values()]


def make(folder: Path, name: str, data: bytes, syntax: str, sop_class: str = CT_STORAGE) -> Sample:
    """Write a file around the bytes of a dataset; its SOP instance UID is one of `name`'s own."""
    path = folder / f"{name}.dcm"
    path.write_bytes(file_meta(sop_class, uid_of(name), syntax) + data)
    return sample(path)


def uid_of(name: str) -> str:
    """A UID that only this name has (PS3.5 B.2)."""
    return f"2.25.{int.from_bytes(hashlib.sha256(name.encode()).digest()[:15], 'big')}"


def elements(
    name: str, pixels: bytes, sop_class: str = CT_STORAGE, big_endian: bool = False, undefined: bool = False
) -> bytes:
    """A dataset in explicit VR, with what an archive asks for and with the bytes of its pixel data."""
    order = ">" if big_endian else "<"
    parts = [
        _element(order, 0x0008, 0x0016, b"UI", sop_class.encode()),
        _element(order, 0x0008, 0x0018, b"UI", uid_of(name).encode()),
        _element(order, 0x0010, 0x0020, b"LO", name.encode()),
        _element(order, 0x0020, 0x000D, b"UI", uid_of("study of " + name).encode()),
        _element(order, 0x0020, 0x000E, b"UI", uid_of("series of " + name).encode()),
        _element(order, 0x7FE0, 0x0010, b"OB", pixels, undefined),
    ]
    return b"".join(parts)


def encapsulated(fragments: Sequence[bytes]) -> bytes:
    """The value of encapsulated pixel data: an empty offset table, a fragment each, the delimiter (PS3.5 A.4)."""
    heads = [struct.pack("<HHI", 0xFFFE, 0xE000, len(fragment)) for fragment in fragments]
    body = b"".join(part for pair in zip(heads, fragments, strict=True) for part in pair)
    return struct.pack("<HHI", 0xFFFE, 0xE000, 0) + body + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def made_up(folder: Path) -> list[Sample]:
    """A file of each kind that nobody ships; the pixels are random bytes, which a transfer does not look at."""
    noise = random.Random(1).randbytes(70_001)

    def one(name: str, syntax: str, data: bytes, sop_class: str = CT_STORAGE) -> Sample:
        return make(folder, name, data, syntax, sop_class)

    opaque = encapsulated([noise[:30_000], noise[30_000:70_000]])
    found = [
        one(f"opaque-{number}", syntax, elements(f"opaque-{number}", opaque, undefined=True))
        for number, syntax in enumerate((*HTJ2K, *JPEG_XL, *MPEG))
    ]
    big = elements("big-endian", noise[:70_000], big_endian=True)
    private = elements("private", noise[:70_000], PRIVATE_CLASS)
    many = encapsulated([noise[at : at + 2] for at in range(65_536)])
    return [
        *found,
        one("big-endian", EXPLICIT_VR_BIG_ENDIAN, big),
        one("deflated", DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, _deflated("deflated", noise, odd=False)),
        one("deflated-odd", DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, _deflated("deflated-odd", noise, odd=True)),
        one("odd-length", EXPLICIT_VR_LITTLE_ENDIAN, elements("odd-length", noise)),
        one("private", EXPLICIT_VR_LITTLE_ENDIAN, private, PRIVATE_CLASS),
        one("one-byte", EXPLICIT_VR_LITTLE_ENDIAN, b"\x08"),
        one("many-fragments", _ENCAPSULATED + "50", elements("many-fragments", many, undefined=True)),
    ]


def storescu_profile(keys: Iterable[ContextKey]) -> str:
    """A configuration for storescu with a profile `All`: a presentation context for each of these."""
    pairs = sorted(set(keys))
    assert len(pairs) <= 128, "more than an association takes (PS3.8 9.3.2.2)"
    syntaxes = sorted({syntax for _, syntax in pairs})
    lines = ["[[TransferSyntaxes]]"]
    for number, syntax in enumerate(syntaxes):
        lines += [f"[Syntax{number}]", f"TransferSyntax1 = {syntax}"]
    lines += ["[[PresentationContexts]]", "[Contexts]"]
    for number, (sop_class, syntax) in enumerate(pairs, 1):
        lines.append(f"PresentationContext{number} = {sop_class}\\Syntax{syntaxes.index(syntax)}")
    lines += ["[[Profiles]]", "[All]", "PresentationContexts = Contexts"]
    return "\n".join(lines) + "\n"


def _deflated(name: str, noise: bytes, odd: bool) -> bytes:
    """A dataset that has an odd or an even length when it is deflated, and nothing after its end (PS3.5 A.5)."""
    # What can't be made shorter would have the same parity at any length.
    pixels = bytes(value & 0x0F for value in noise)
    for length in range(60_000, 70_000, 2):
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = packer.compress(elements(name, pixels[:length])) + packer.flush()
        if len(data) % 2 == odd:
            return data
    raise AssertionError


def _element(order: str, group: int, number: int, kind: bytes, value: bytes, undefined: bool = False) -> bytes:
    if kind in _LONG:
        head = struct.pack(f"{order}HH2sxxI", group, number, kind, _UNDEFINED if undefined else len(value))
    else:
        value += (b"\0" if kind == b"UI" else b" ") * (len(value) % 2)
        head = struct.pack(f"{order}HH2sH", group, number, kind, len(value))
    return head + value


def _head(path: Path) -> FileHead:
    fd = os.open(path, os.O_RDONLY)
    try:
        return read_head(fd)
    finally:
        os.close(fd)

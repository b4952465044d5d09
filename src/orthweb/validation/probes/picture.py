"""Tells what kind of image bytes are, and how large it is, without decoding it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_JPEG_END = b"\xff\xd9"
# ITU-T T.81 table B.1: all start-of-frame markers; C4H, C8H and CCH are something else.
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA
# Markers without a length: TEM and RST0 to RST7.
_BARE = {0x01, *range(0xD0, 0xD8)}


@dataclass(frozen=True)
class Picture:
    """An image: PNG or JPEG, its width and height in pixels."""

    kind: str
    width: int
    height: int


def look_at(image: bytes) -> Picture:
    """Tell kind and size of an image; raises ValueError when it is neither PNG nor JPEG, or is cut off."""
    if image.startswith(_PNG):
        return _png(image)
    if image.startswith(_JPEG):
        return _jpeg(image)
    raise ValueError("it is neither PNG nor JPEG")


def _png(image: bytes) -> Picture:
    # W3C PNG 11.2.1: the first chunk is IHDR, the last IEND with its checksum.
    if image[12:16] != b"IHDR" or len(image) < 33 or image[-8:-4] != b"IEND":
        raise ValueError("the PNG is cut off")
    width, height = struct.unpack_from(">II", image, 16)
    return Picture("PNG", width, height)


def _jpeg(image: bytes) -> Picture:
    if not image.rstrip(b"\0").endswith(_JPEG_END):
        raise ValueError("the JPEG is cut off")
    at = len(_JPEG)
    while at + 9 <= len(image) and image[at] == 0xFF:
        marker = image[at + 1]
        if marker == 0xFF or marker in _BARE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", image, at + 5)
            return Picture("JPEG", width, height)
        if marker == _SCAN:
            break
        at += 2 + int.from_bytes(image[at + 2 : at + 4])
    raise ValueError("the JPEG names no size")

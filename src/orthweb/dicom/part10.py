"""DICOM files (PS3.10 section 7): what has to be known of one to send it, and the bytes to put before a dataset."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

from orthweb.dicom.errors import DicomError
from orthweb.dicom.uids import IMPLEMENTATION_CLASS, IMPLEMENTATION_VERSION

PREAMBLE = 128
_MAGIC = b"DICM"
_GROUP = b"\x02\x00"
_HEAD = 4096
# Far more than there are, vendors' private ones counted: a file of nothing else must not take for ever.
_MOST_ELEMENTS = 1024
# A UID has 64 characters at the most; some files break that, and this much is certainly none.
_LONGEST_VALUE = 256
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_MEDIA_SOP_CLASS, _MEDIA_SOP_INSTANCE, _TRANSFER_SYNTAX = 0x0002, 0x0003, 0x0010
_NAMES = {_MEDIA_SOP_CLASS: "SOP class", _MEDIA_SOP_INSTANCE: "SOP instance", _TRANSFER_SYNTAX: "transfer syntax"}


class NotDicom(DicomError):
    """A file is not a DICOM file, or lacks what is needed to send it."""


@dataclass(frozen=True, slots=True)
class FileHead:
    """What the file meta information says, and where the dataset begins."""

    sop_class: str
    sop_instance: str
    transfer_syntax: str
    dataset_offset: int
    size: int

    @property
    def dataset_length(self) -> int:
        """Bytes of the dataset."""
        return self.size - self.dataset_offset


def read_head(fd: int) -> FileHead:
    """Read the file meta information of an open file.

    Raises
    ------
    NotDicom
        The prefix DICM is missing, the meta information is cut off, or it names no SOP class, instance or syntax.
    OSError
        The file cannot be read.
    """
    size = os.fstat(fd).st_size
    head = os.pread(fd, _HEAD, 0)
    if head[PREAMBLE : PREAMBLE + 4] != _MAGIC:
        raise NotDicom("not a DICOM file" if size else "empty file")
    found, offset = _meta(fd, head, size)
    for number, name in _NAMES.items():
        if not found.get(number):
            raise NotDicom(f"the file meta information names no {name}")
    if offset >= size:
        raise NotDicom("no dataset after the file meta information")
    return FileHead(found[_MEDIA_SOP_CLASS], found[_MEDIA_SOP_INSTANCE], found[_TRANSFER_SYNTAX], offset, size)


def _meta(fd: int, window: bytes, size: int) -> tuple[dict[int, str], int]:
    """What is named in group 0002H, by element, and the offset after the group; `window` is the file's beginning."""
    found: dict[int, str] = {}
    start, at = 0, PREAMBLE + 4
    for _ in range(_MOST_ELEMENTS):
        if at + 12 > start + len(window):
            window, start = os.pread(fd, _HEAD, at), at
        header = window[at - start : at - start + 12]
        if not header or not _GROUP.startswith(header[:2]):
            return found, at
        if len(header) < 8:
            raise NotDicom("the file meta information is cut off")
        kind = header[4:6]
        if not (kind.isalpha() and kind.isupper()):
            # A deflated dataset may begin with any bytes.
            return found, at
        (number,) = struct.unpack_from("<H", header, 2)
        value_at = at + (12 if kind in _LONG else 8)
        length = int.from_bytes(header[8:12] if kind in _LONG else header[6:8], "little")
        at = value_at + length
        if at > size:
            raise NotDicom("the file meta information is cut off")
        if number in _NAMES:
            if length > _LONGEST_VALUE:
                raise NotDicom(f"the {_NAMES[number]} in the file meta information has {length} characters")
            if at > start + len(window):
                window, start = os.pread(fd, _HEAD, value_at), value_at
            found[number] = window[value_at - start : at - start].decode("latin-1").strip(" \0")
    raise NotDicom(f"more than {_MOST_ELEMENTS} elements in the file meta information")


def file_meta(sop_class: str, sop_instance: str, transfer_syntax: str, sender: str = "") -> bytes:
    """Build preamble, prefix and file meta information (PS3.10 7.1) for a dataset in `transfer_syntax`.

    Parameters
    ----------
    sender:
        AE title that the dataset came from (0002,0016); left out when empty.
    """
    elements = [
        _ui(_MEDIA_SOP_CLASS, sop_class),
        _ui(_MEDIA_SOP_INSTANCE, sop_instance),
        _ui(_TRANSFER_SYNTAX, transfer_syntax),
        _ui(0x0012, IMPLEMENTATION_CLASS),
        _short(0x0013, b"SH", _padded(IMPLEMENTATION_VERSION, b" ")),
    ]
    if sender:
        elements.append(_short(0x0016, b"AE", _padded(sender, b" ")))
    version = struct.pack("<HH2s2xI", 2, 1, b"OB", 2) + b"\x00\x01"
    body = version + b"".join(elements)
    return bytes(PREAMBLE) + _MAGIC + _short(0, b"UL", struct.pack("<I", len(body))) + body


def _ui(number: int, uid: str) -> bytes:
    return _short(number, b"UI", _padded(uid, b"\0"))


def _short(number: int, kind: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", 2, number, kind, len(value)) + value


def _padded(value: str, padding: bytes) -> bytes:
    encoded = value.encode("latin-1", "replace")
    return encoded + padding * (len(encoded) % 2)

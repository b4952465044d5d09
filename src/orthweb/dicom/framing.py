"""Cuts what a peer sends into PDUs, without waiting for a P-DATA-TF to be whole: its fragments pass as they come."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from orthweb.dicom.errors import InvalidPdu
from orthweb.dicom.limits import Limits
from orthweb.dicom.pdus import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_FIXED,
    ASSOCIATE_RQ,
    COMMAND,
    HEADER,
    LAST,
    P_DATA_TF,
    PDV_HEADER,
    name,
)

# Some peers count the PDU's own header of 6 bytes in the maximum length.
_SLACK = HEADER.size


_BOTH_HEADERS = struct.Struct(">BxIIBB")


@dataclass(frozen=True, slots=True)
class DataBegins:
    """The header of a P-DATA-TF."""


_DATA_BEGINS = DataBegins()


# Not frozen: there is one for every few hundred kilobytes, and that would double its price.
@dataclass(slots=True)
class Fragment:
    """Some bytes of a message on a presentation context.

    Parameters
    ----------
    last:
        The message's command or dataset ends with these bytes.
    data:
        A view of the buffer that was handed in: it holds until the next bytes are handed in. May be empty when `last`.
    """

    context_id: int
    command: bool
    last: bool
    data: memoryview


@dataclass(frozen=True, slots=True)
class Whole:
    """A PDU that is no P-DATA-TF, without its header."""

    kind: int
    body: memoryview


Piece = DataBegins | Fragment | Whole | InvalidPdu


class Framer:
    """Remembers how far into a PDU the bytes so far have led."""

    def __init__(self, limits: Limits) -> None:
        self.begun = 0
        """PDUs whose first byte has come."""
        self._limits = limits
        self._kept = bytearray()
        self._kind = 0
        self._left = 0
        self._context_id = 0
        self._control = 0
        self._fragment_left = 0

    @property
    def inside(self) -> bool:
        """Some bytes of a PDU are there, and not all."""
        return self._kind != 0 or len(self._kept) > 0

    def feed(self, data: memoryview) -> list[Piece]:
        """Cut more bytes; when the last piece is an InvalidPdu, nothing after it can be made out."""
        pieces: list[Piece] = []
        try:
            at, end = 0, len(data)
            while at < end:
                if self._kind == 0 and end - at >= _BOTH_HEADERS.size and not self._kept and data[at] == P_DATA_TF:
                    at = self._both_headers(data, at, pieces)
                elif self._kind == 0:
                    at = self._header(data, at, pieces)
                elif self._kind != P_DATA_TF:
                    at = self._body(data, at, pieces)
                elif self._fragment_left:
                    at = self._fragment(data, at, pieces)
                else:
                    at = self._value_header(data, at, pieces)
        except InvalidPdu as error:
            pieces.append(error)
        return pieces

    def _gather(self, data: memoryview, at: int, size: int) -> int:
        """Keep bytes until `size` are there; returns where to go on."""
        taken = data[at : at + size - len(self._kept)]
        self._kept += taken
        return at + len(taken)

    def _both_headers(self, data: memoryview, at: int, pieces: list[Piece]) -> int:
        """The way of nearly all bytes: a P-DATA-TF's header and its first fragment's at once."""
        _, length, value_length, context_id, control = _BOTH_HEADERS.unpack_from(data, at)
        longest = self._limits.maximum_length + _SLACK
        if not (2 < value_length <= length - 4 and length <= longest):
            return self._header(data, at, pieces)
        self.begun += 1
        pieces.append(_DATA_BEGINS)
        self._kind, self._context_id, self._control = P_DATA_TF, context_id, control
        self._left = length - PDV_HEADER.size
        self._fragment_left = value_length - 2
        return at + _BOTH_HEADERS.size

    def _header(self, data: memoryview, at: int, pieces: list[Piece]) -> int:
        if not self._kept:
            if not ASSOCIATE_RQ <= data[at] <= ABORT:
                raise InvalidPdu(f"first byte {data[at]:02X}H is no PDU type", reason=1)
            self.begun += 1
        at = self._gather(data, at, HEADER.size)
        if len(self._kept) < HEADER.size:
            return at
        kind, length = HEADER.unpack(self._kept)
        shortest, longest = self._lengths(kind)
        if not shortest <= length <= longest:
            raise InvalidPdu(f"{name(kind)} of {length} bytes; {shortest} to {longest} are allowed")
        self._kept.clear()
        self._kind, self._left = kind, length
        if kind == P_DATA_TF:
            pieces.append(_DATA_BEGINS)
        self._end_if_done()
        return at

    def _lengths(self, kind: int) -> tuple[int, int]:
        if kind == P_DATA_TF:
            return 0, self._limits.maximum_length + _SLACK
        return (ASSOCIATE_FIXED.size, self._limits.associate_length) if kind in (ASSOCIATE_RQ, ASSOCIATE_AC) else (4, 4)

    def _body(self, data: memoryview, at: int, pieces: list[Piece]) -> int:
        at = self._gather(data, at, self._left)
        if len(self._kept) == self._left:
            pieces.append(Whole(self._kind, memoryview(bytes(self._kept))))
            self._kept.clear()
            self._kind = 0
        return at

    def _value_header(self, data: memoryview, at: int, pieces: list[Piece]) -> int:
        if self._left < PDV_HEADER.size:
            raise InvalidPdu(f"{self._left} bytes after the last presentation data value")
        at = self._gather(data, at, PDV_HEADER.size)
        if len(self._kept) < PDV_HEADER.size:
            return at
        length, self._context_id, self._control = PDV_HEADER.unpack(self._kept)
        self._kept.clear()
        if not 2 <= length <= self._left - 4:
            raise InvalidPdu(f"presentation data value of {length} bytes in {self._left}")
        self._left -= PDV_HEADER.size
        self._fragment_left = length - 2
        if not self._fragment_left and self._control & LAST:
            pieces.append(Fragment(self._context_id, bool(self._control & COMMAND), True, memoryview(b"")))
        self._end_if_done()
        return at

    def _fragment(self, data: memoryview, at: int, pieces: list[Piece]) -> int:
        taken = data[at : at + self._fragment_left]
        self._fragment_left -= len(taken)
        self._left -= len(taken)
        last = bool(self._control & LAST) and not self._fragment_left
        pieces.append(Fragment(self._context_id, bool(self._control & COMMAND), last, taken))
        self._end_if_done()
        return at + len(taken)

    def _end_if_done(self) -> None:
        if not self._left and self._kind == P_DATA_TF:
            self._kind = 0

"""Takes apart what a WADO-RS server sends: several parts in one body (RFC 2046 section 5.1, RFC 2387)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message

_LONGEST_BOUNDARY = 70
_LINE_END = b"\r\n"


@dataclass(frozen=True)
class Part:
    """One part; the names of headers are in small letters."""

    headers: Mapping[str, str]
    body: bytes


def parameters(content_type: str) -> tuple[str, dict[str, str]]:
    """A media type in small letters and its parameters, whose names are in small letters."""
    message = Message()
    message["content-type"] = content_type
    found = message.get_params(failobj=[], unquote=True)
    return message.get_content_type(), {name.lower(): value for name, value in found[1:]}


def split(content_type: str, body: bytes) -> list[Part]:
    """Take a body apart.

    Raises
    ------
    ValueError
        It is not in parts, names no boundary, or breaks off before the closing boundary.
    """
    media, found = parameters(content_type)
    boundary = found.get("boundary", "").encode("latin-1", "replace")
    if not media.startswith("multipart/"):
        raise ValueError(f"it is of type {media}, not in parts")
    if not 1 <= len(boundary) <= _LONGEST_BOUNDARY:
        raise ValueError("its type names no usable boundary")
    delimiter = _LINE_END + b"--" + boundary
    # A delimiter begins with a line's end, and the first one may open the body.
    _, *pieces = (_LINE_END + body).split(delimiter)
    if not pieces:
        raise ValueError("no boundary stands in it")
    parts: list[Part] = []
    for piece in pieces:
        if piece.startswith(b"--"):
            return parts
        parts.append(_part(piece))
    raise ValueError("it breaks off before the closing boundary")


def _part(piece: bytes) -> Part:
    # White space may follow the boundary, up to the line's end.
    padding, found, rest = piece.partition(_LINE_END)
    if padding.strip(b" \t") or not found:
        raise ValueError("a boundary does not end its line")
    if rest.startswith(_LINE_END):
        return Part({}, rest[len(_LINE_END) :])
    head, found, body = rest.partition(_LINE_END * 2)
    if not found:
        raise ValueError("the headers of a part do not end")
    headers = {}
    for line in head.decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError("a part has a header without a colon")
        headers[name.strip().lower()] = value.strip()
    return Part(headers, body)

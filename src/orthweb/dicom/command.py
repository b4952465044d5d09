"""Command sets (PS3.7 section 6.3 and annex E) as values and as bytes: implicit VR little endian, group 0000H."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from orthweb.dicom.errors import InvalidCommand

C_STORE_RQ, C_STORE_RSP = 0x0001, 0x8001
C_GET_RQ, C_GET_RSP = 0x0010, 0x8010
C_FIND_RQ, C_FIND_RSP = 0x0020, 0x8020
C_MOVE_RQ, C_MOVE_RSP = 0x0021, 0x8021
C_ECHO_RQ, C_ECHO_RSP = 0x0030, 0x8030
C_CANCEL_RQ = 0x0FFF
RESPONSE = 0x8000
"""Bit of the command field that tells a response."""
MEDIUM, LOW, HIGH = 0, 2, 1
"""Priorities (PS3.7 E.1)."""

_NO_DATASET = 0x0101
_DATASET = 0x0001
_ELEMENT = struct.Struct("<HHI")
# Element numbers of group 0000H (PS3.7 E.1) by our field's name; the kinds are US, UI, AE and LO.
_FIELDS = {
    0x0002: ("affected_sop_class", "UI"),
    0x0003: ("requested_sop_class", "UI"),
    0x0100: ("command_field", "US"),
    0x0110: ("message_id", "US"),
    0x0120: ("responded_id", "US"),
    0x0600: ("move_destination", "AE"),
    0x0700: ("priority", "US"),
    0x0800: ("dataset_type", "US"),
    0x0900: ("status", "US"),
    0x0902: ("error_comment", "LO"),
    0x1000: ("affected_sop_instance", "UI"),
    0x1001: ("requested_sop_instance", "UI"),
    0x1020: ("remaining", "US"),
    0x1021: ("completed", "US"),
    0x1022: ("failed", "US"),
    0x1023: ("warning", "US"),
    0x1030: ("move_originator", "AE"),
    0x1031: ("move_originator_id", "US"),
}


@dataclass(frozen=True)
class Command:
    """A command set; what is None is not in it.

    Parameters
    ----------
    command_field:
        Command Field (0000,0100).
    dataset_type:
        Command Data Set Type (0000,0800); 0101H when no dataset follows.
    remaining, completed, failed, warning:
        Numbers of sub-operations of a C-GET or C-MOVE.
    other:
        Elements that none of the fields stand for, as (element number, value).
    """

    command_field: int
    affected_sop_class: str | None = None
    requested_sop_class: str | None = None
    message_id: int | None = None
    responded_id: int | None = None
    move_destination: str | None = None
    priority: int | None = None
    dataset_type: int = _NO_DATASET
    status: int | None = None
    error_comment: str | None = None
    affected_sop_instance: str | None = None
    requested_sop_instance: str | None = None
    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    move_originator: str | None = None
    move_originator_id: int | None = None
    other: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)

    @property
    def has_dataset(self) -> bool:
        """A dataset follows on the same presentation context."""
        return self.dataset_type != _NO_DATASET

    @property
    def is_response(self) -> bool:
        """It answers another command."""
        return bool(self.command_field & RESPONSE)


def request(
    kind: int, message_id: int, sop_class: str, instance: str | None = None, dataset: bool = False, **more: object
) -> Command:
    """Make a request on a SOP class."""
    priority = None if kind == C_ECHO_RQ else MEDIUM
    return Command(
        kind,
        message_id=message_id,
        affected_sop_class=sop_class,
        affected_sop_instance=instance,
        priority=priority,
        dataset_type=_DATASET if dataset else _NO_DATASET,
        **more,  # type: ignore[arg-type]
    )


def response(to: Command, status: int, comment: str | None = None) -> Command:
    """Make the answer to a request, without a dataset; a comment has at most 64 characters (PS3.7 annex C)."""
    return Command(
        to.command_field | RESPONSE,
        responded_id=to.message_id,
        affected_sop_class=to.affected_sop_class,
        affected_sop_instance=to.affected_sop_instance,
        status=status,
        error_comment=comment[:64] if comment else None,
    )


def cancel(message_id: int) -> Command:
    """Make the C-CANCEL of a request."""
    return Command(C_CANCEL_RQ, responded_id=message_id)


def build_command(command: Command) -> bytes:
    """Build a command set with its group length, in ascending order of the elements."""
    elements = [(number, _encoded(kind, getattr(command, name))) for number, (name, kind) in _FIELDS.items()]
    elements.extend(command.other)
    body = b"".join(
        _ELEMENT.pack(0, number, len(value)) + value for number, value in sorted(elements) if value is not None
    )
    return _ELEMENT.pack(0, 0, 4) + struct.pack("<I", len(body)) + body


def parse_command(data: bytes | bytearray | memoryview) -> Command:
    """Read a command set; its elements may stand in any order, and values be padded with spaces or zeros.

    Raises
    ------
    InvalidCommand
        An element is cut off, is of another group or has the wrong size, or the command field is missing.
    """
    found: dict[str, object] = {}
    other: list[tuple[int, bytes]] = []
    at, end = 0, len(data)
    while at < end:
        if end - at < _ELEMENT.size:
            raise InvalidCommand(f"{end - at} bytes after the last element")
        group, number, length = _ELEMENT.unpack_from(data, at)
        at += _ELEMENT.size
        if group != 0 or length > end - at:
            raise InvalidCommand(f"element ({group:04X},{number:04X}) of {length} bytes in a command set")
        value = bytes(data[at : at + length])
        at += length
        if number in _FIELDS:
            name, kind = _FIELDS[number]
            found[name] = _decoded(number, kind, value)
        elif number != 0:
            other.append((number, value))
    if "command_field" not in found:
        raise InvalidCommand("no command field (0000,0100)")
    return Command(**found, other=tuple(other))  # type: ignore[arg-type]


def _encoded(kind: str, value: int | str | None) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, int):
        return struct.pack("<H", value)
    encoded = value.encode("latin-1", "replace")
    padding = b"\0" if kind == "UI" else b" "
    return encoded + padding * (len(encoded) % 2)


def _decoded(number: int, kind: str, value: bytes) -> int | str:
    if kind != "US":
        return value.decode("latin-1").strip(" \0")
    if len(value) < 2:
        raise InvalidCommand(f"element (0000,{number:04X}) has {len(value)} bytes; 2 are needed")
    return int.from_bytes(value[:2], "little")

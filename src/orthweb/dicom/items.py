"""The user information of an association (PS3.7 annex D.3.3, PS3.8 annex D) as values and as bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from orthweb.dicom.errors import InvalidPdu

_MAXIMUM_LENGTH, _IMPLEMENTATION_CLASS, _ASYNCHRONOUS, _ROLE = 0x51, 0x52, 0x53, 0x54
_IMPLEMENTATION_VERSION, _EXTENDED, _COMMON_EXTENDED, _IDENTITY, _IDENTITY_RESPONSE = 0x55, 0x56, 0x57, 0x58, 0x59


@dataclass(frozen=True)
class AsynchronousOperations:
    """Asynchronous operations window (D.3.3.3); 0 is no limit."""

    invoked: int
    performed: int


@dataclass(frozen=True)
class Role:
    """SCP/SCU role selection of a SOP class (D.3.3.4)."""

    sop_class: str
    scu: bool
    scp: bool


@dataclass(frozen=True)
class ExtendedNegotiation:
    """SOP class extended negotiation (D.3.3.5)."""

    sop_class: str
    information: bytes


@dataclass(frozen=True)
class CommonExtendedNegotiation:
    """SOP class common extended negotiation (D.3.3.6)."""

    sop_class: str
    service_class: str
    related: tuple[str, ...] = ()
    version: int = 0


@dataclass(frozen=True)
class UserIdentity:
    """User identity (D.3.3.7); type 1 name, 2 name and passcode, 3 Kerberos, 4 SAML, 5 JSON web token."""

    type: int
    primary: bytes
    secondary: bytes = b""
    response_requested: bool = False


@dataclass(frozen=True)
class UserInformation:
    """All items of user information; what is None or empty was not there.

    Parameters
    ----------
    maximum_length:
        Longest P-DATA-TF that the sender of this item takes, in bytes; 0 is no limit.
    other:
        Items of unknown type as (type, content): kept, and else of no consequence.
    """

    maximum_length: int | None = None
    implementation_class: str | None = None
    implementation_version: str | None = None
    asynchronous_operations: AsynchronousOperations | None = None
    roles: tuple[Role, ...] = ()
    extended: tuple[ExtendedNegotiation, ...] = ()
    common_extended: tuple[CommonExtendedNegotiation, ...] = ()
    identity: UserIdentity | None = None
    identity_response: bytes | None = None
    other: tuple[tuple[int, bytes], ...] = ()


def item(kind: int, content: bytes, second: int = 0) -> bytes:
    """Build an item: type, a byte that is reserved nearly everywhere, length of 2 bytes, content."""
    return struct.pack(">BBH", kind, second, len(content)) + content


def items(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Cut a row of whole items; yields type, second byte and content.

    Raises
    ------
    InvalidPdu
        An item says that it is longer than what is there.
    """
    at, end = 0, len(data)
    while at < end:
        if end - at < 4:
            raise InvalidPdu(f"{end - at} bytes after the last item")
        kind, second, length = struct.unpack_from(">BBH", data, at)
        at += 4
        if length > end - at:
            raise InvalidPdu(f"item {kind:02X}H of {length} bytes has {end - at}")
        yield kind, second, data[at : at + length]
        at += length


def text(data: memoryview | bytes) -> str:
    """Read a UID, a name or an AE title; padding at the ends is of no significance."""
    return bytes(data).decode("latin-1").strip(" \0")


def build_user_information(information: UserInformation) -> bytes:
    """Build the content of the user information item, in ascending order of the item types."""
    parts = []
    if information.maximum_length is not None:
        parts.append(item(_MAXIMUM_LENGTH, struct.pack(">I", information.maximum_length)))
    if information.implementation_class is not None:
        parts.append(item(_IMPLEMENTATION_CLASS, _encoded(information.implementation_class)))
    if (window := information.asynchronous_operations) is not None:
        parts.append(item(_ASYNCHRONOUS, struct.pack(">HH", window.invoked, window.performed)))
    for role in information.roles:
        parts.append(item(_ROLE, _counted(_encoded(role.sop_class)) + bytes([role.scu, role.scp])))
    if information.implementation_version is not None:
        parts.append(item(_IMPLEMENTATION_VERSION, _encoded(information.implementation_version)))
    for extended in information.extended:
        parts.append(item(_EXTENDED, _counted(_encoded(extended.sop_class)) + extended.information))
    for common in information.common_extended:
        related = b"".join(_counted(_encoded(uid)) for uid in common.related)
        named = _counted(_encoded(common.sop_class)) + _counted(_encoded(common.service_class))
        parts.append(item(_COMMON_EXTENDED, named + _counted(related), common.version))
    if (identity := information.identity) is not None:
        said = bytes([identity.type, identity.response_requested])
        parts.append(item(_IDENTITY, said + _counted(identity.primary) + _counted(identity.secondary)))
    if information.identity_response is not None:
        parts.append(item(_IDENTITY_RESPONSE, _counted(information.identity_response)))
    parts.extend(item(kind, content) for kind, content in information.other)
    return b"".join(parts)


def parse_user_information(data: memoryview) -> UserInformation:
    """Read the content of the user information item; of an item that may stand once the last counts.

    Raises
    ------
    InvalidPdu
        An item's content does not fit its type.
    """
    one: dict[str, object] = {}
    roles: list[Role] = []
    extended: list[ExtendedNegotiation] = []
    common: list[CommonExtendedNegotiation] = []
    other: list[tuple[int, bytes]] = []
    for kind, second, content in items(data):
        reader = _Reader(kind, content)
        match kind:
            case 0x51:
                one["maximum_length"] = reader.number(4)
            case 0x52:
                one["implementation_class"] = text(content)
            case 0x53:
                one["asynchronous_operations"] = AsynchronousOperations(reader.number(2), reader.number(2))
            case 0x54:
                roles.append(Role(text(reader.counted()), reader.number(1) != 0, reader.number(1) != 0))
            case 0x55:
                one["implementation_version"] = text(content)
            case 0x56:
                extended.append(ExtendedNegotiation(text(reader.counted()), bytes(reader.rest())))
            case 0x57:
                named = text(reader.counted()), text(reader.counted())
                common.append(CommonExtendedNegotiation(*named, _related(kind, reader), second))
            case 0x58:
                type_, response = reader.number(1), reader.number(1) != 0
                primary, secondary = bytes(reader.counted()), bytes(reader.counted())
                one["identity"] = UserIdentity(type_, primary, secondary, response)
            case 0x59:
                one["identity_response"] = bytes(reader.counted())
            case _:
                other.append((kind, bytes(content)))
    return UserInformation(
        **one,  # type: ignore[arg-type]
        roles=tuple(roles),
        extended=tuple(extended),
        common_extended=tuple(common),
        other=tuple(other),
    )


class _Reader:
    """Reads an item's content from front to back."""

    def __init__(self, kind: int, content: memoryview) -> None:
        self._kind, self._content, self._at = kind, content, 0

    def _take(self, length: int) -> memoryview:
        taken = self._content[self._at : self._at + length]
        if len(taken) < length:
            raise InvalidPdu(f"item {self._kind:02X}H of {len(self._content)} bytes is too short")
        self._at += length
        return taken

    def number(self, length: int) -> int:
        return int.from_bytes(self._take(length), "big")

    def counted(self) -> memoryview:
        return self._take(self.number(2))

    def rest(self) -> memoryview:
        return self._content[self._at :]


def _related(kind: int, reader: _Reader) -> tuple[str, ...]:
    related = reader.counted()
    inner, uids = _Reader(kind, related), []
    while len(inner.rest()):
        uids.append(text(inner.counted()))
    return tuple(uids)


def _encoded(value: str) -> bytes:
    return value.encode("latin-1")


def _counted(value: bytes) -> bytes:
    return struct.pack(">H", len(value)) + value

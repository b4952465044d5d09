"""The first message of a TLS handshake and the first answer to it, byte by byte (RFC 8446, RFC 5246, RFC 6101).

By hand, because this machine's TLS library speaks neither the old versions nor the weak cipher suites: with it
nobody could tell a server that refuses them from one that takes them.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass

SSL_3, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 = 0x0300, 0x0301, 0x0302, 0x0303, 0x0304
VERSIONS = {TLS_1_3: "TLS 1.3", TLS_1_2: "TLS 1.2", TLS_1_1: "TLS 1.1", TLS_1_0: "TLS 1.0", SSL_3: "SSL 3.0"}
LONGEST_ANSWER = 1 << 17
"""Bytes; a ServerHello has at most half of it."""

# Record types (RFC 8446 B.1) and handshake messages (B.3).
_ALERT, _HANDSHAKE = 21, 22
_RECORD_TYPES = range(20, 25)
_SERVER_HELLO = 2
_WARNING, _CLOSE_NOTIFY = 1, 0
# A record holds at most so much, and what older versions encrypt a little more (RFC 5246 6.2.3).
_LONGEST_RECORD = (1 << 14) + 2048
_LONGEST_HELLO = 2 + 32 + 1 + 32 + 2 + 1 + 2 + 0xFFFF

# What a server may need to see before it chooses a suite: every group and signature of the registries that is in use.
_GROUPS = (0x001D, 0x0017, 0x001E, 0x0018, 0x0019, 0x0016, 0x001A, 0x001B, 0x001C, 0x0015, 0x0013, *range(0x100, 0x105))
_SIGNATURES = (
    0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0807, 0x0808, 0x0809, 0x080A, 0x080B, 0x0401, 0x0501, 0x0601,
    0x0402, 0x0502, 0x0602, 0x0301, 0x0303, 0x0302, 0x0201, 0x0203, 0x0202, 0x0101,
)  # fmt: skip
_X25519 = 0x001D

_ALERTS = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 40: "handshake_failure", 42: "bad_certificate",
    46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 50: "decode_error", 51: "decrypt_error",
    70: "protocol_version", 71: "insufficient_security", 80: "internal_error", 86: "inappropriate_fallback",
    109: "missing_extension", 112: "unrecognized_name", 116: "certificate_required",
}  # fmt: skip


class NotTls(ValueError):
    """What came is no answer to a ClientHello; the text says what it looks like."""


@dataclass(frozen=True)
class ServerHello:
    """The version and the cipher suite that the server chose."""

    version: int
    suite: int


@dataclass(frozen=True)
class Alert:
    """The server ended the handshake, and why (RFC 8446 section 6)."""

    description: int

    def __str__(self) -> str:
        return f"alert {_ALERTS.get(self.description, self.description)}"


def client_hello(version: int, suites: Sequence[int], server_name: str | None = None) -> bytes:
    """Make the record that asks for one version and some cipher suites, and for nothing else.

    Parameters
    ----------
    version:
        One of `VERSIONS`. SSL 3.0 knows no extensions, so neither `server_name` nor curves.
    server_name:
        A DNS name in ASCII; None for a server that is called by its address.
    """
    # 1.3 names itself in an extension; middleboxes want to see a session's identifier in what looks like 1.2.
    legacy, session = (TLS_1_2, secrets.token_bytes(32)) if version == TLS_1_3 else (version, b"")
    # Servers that are strict want to hear that renegotiation would be safe (RFC 5746 3.3).
    offered = [*suites, 0x00FF] if version != TLS_1_3 else suites
    body = struct.pack("!H", legacy) + secrets.token_bytes(32) + _vector(1, session)
    body += _vector(2, b"".join(struct.pack("!H", suite) for suite in offered)) + _vector(1, b"\0")
    if version != SSL_3:
        body += _vector(2, _extensions(version, server_name))
    message = b"\x01" + _vector(3, body)
    return struct.pack("!BH", _HANDSHAKE, min(legacy, TLS_1_0)) + _vector(2, message)


def read_answer(data: bytes, ended: bool = False) -> ServerHello | Alert | None:
    """Read what a server sent first; None when more of it has to come.

    Parameters
    ----------
    data:
        All that has come so far.
    ended:
        The server closed the connection, so that nothing more comes.

    Raises
    ------
    NotTls
        A TLS server would not send this, or the server hung up before it had said anything.
    """
    said, messages, at = None, b"", 0
    while at < len(data):
        kind, content, at = _record(data, at)
        if content is None:
            break
        if kind == _ALERT:
            said = _alert(content)
            # Warnings may come before the ServerHello: that no certificate has this name, for example.
            if content[0] != _WARNING or said.description == _CLOSE_NOTIFY:
                return said
        elif kind == _HANDSHAKE and content:
            messages += content
            hello = _server_hello(messages)
            if hello is not None:
                return hello
        else:
            raise NotTls(f"a TLS record of type {kind} where a ServerHello was due")
    if len(data) > LONGEST_ANSWER:
        raise NotTls(f"more than {LONGEST_ANSWER} bytes without a ServerHello")
    if not ended:
        return None
    if said is not None:
        return said
    raise NotTls("half an answer" if data else "nothing: it hung up")


def _record(data: bytes, at: int) -> tuple[int, bytes | None, int]:
    """The record that begins here, its content None while it is not whole, and where the next one begins."""
    head = data[at : at + 5]
    if head[0] not in _RECORD_TYPES or (len(head) > 1 and head[1] != 3):
        raise NotTls(f"what begins with {data[at : at + 8]!r}")
    if len(head) < 5:
        return head[0], None, len(data)
    length = int.from_bytes(head[3:5], "big")
    if length > _LONGEST_RECORD:
        raise NotTls(f"a TLS record of {length} bytes")
    content = data[at + 5 : at + 5 + length]
    return head[0], content if len(content) == length else None, at + 5 + length


def _alert(content: bytes) -> Alert:
    if len(content) != 2:
        raise NotTls(f"a TLS alert of {len(content)} bytes")
    return Alert(content[1])


def _server_hello(messages: bytes) -> ServerHello | None:
    if messages[0] != _SERVER_HELLO:
        raise NotTls(f"a handshake message of type {messages[0]} where a ServerHello was due")
    length = int.from_bytes(messages[1:4], "big")
    if len(messages) >= 4 and length > _LONGEST_HELLO:
        raise NotTls(f"a ServerHello of {length} bytes")
    body = messages[4 : 4 + length]
    if len(messages) < 4 or len(body) < length:
        return None
    try:
        version, session = struct.unpack_from("!H32xB", body)
        if session > 32:
            raise NotTls(f"a ServerHello with a session identifier of {session} bytes")
        suite, compression = struct.unpack_from("!HB", body, 35 + session)
    except struct.error:
        raise NotTls("a ServerHello that is too short") from None
    chosen = _chosen_version(body[38 + session :]) or version
    if compression or chosen not in VERSIONS:
        raise NotTls(f"a ServerHello of version {chosen:#06x} with compression {compression}")
    return ServerHello(chosen, suite)


def _chosen_version(extensions: bytes) -> int | None:
    """The version in the extension supported_versions; None where there is no such extension."""
    if not extensions:
        return None
    if len(extensions) != 2 + int.from_bytes(extensions[:2], "big"):
        raise NotTls("a ServerHello whose extensions don't end where it ends")
    at, chosen = 2, None
    while at < len(extensions):
        head = extensions[at : at + 4]
        kind, length = int.from_bytes(head[:2], "big"), int.from_bytes(head[2:], "big")
        value = extensions[at + 4 : at + 4 + length]
        if len(head) < 4 or len(value) < length or (kind == 43 and length != 2):
            raise NotTls("a ServerHello with an extension of a wrong length")
        if kind == 43:
            chosen = int.from_bytes(value, "big")
        at += 4 + length
    return chosen


def _extensions(version: int, server_name: str | None) -> bytes:
    """Those that a server needs to choose a suite: RFC 6066, 8422 (groups, points), 8446 (versions, key shares)."""
    found = b""
    if server_name:
        found += _extension(0, _vector(2, b"\0" + _vector(2, server_name.encode("ascii"))))
    found += _extension(10, _vector(2, b"".join(struct.pack("!H", group) for group in _GROUPS)))
    found += _extension(11, _vector(1, b"\0"))
    # Servers under FIPS take nobody without the extended master secret (RFC 7627).
    found += _extension(23, b"")
    if version >= TLS_1_2:
        found += _extension(13, _vector(2, b"".join(struct.pack("!H", scheme) for scheme in _SIGNATURES)))
    if version == TLS_1_3:
        # Any 32 bytes are a public key of X25519 (RFC 7748 section 5); nobody goes on to use it.
        share = struct.pack("!H", _X25519) + _vector(2, secrets.token_bytes(32))
        found += _extension(43, _vector(1, struct.pack("!H", TLS_1_3)))
        found += _extension(51, _vector(2, share))
    return found


def _extension(kind: int, value: bytes) -> bytes:
    return struct.pack("!H", kind) + _vector(2, value)


def _vector(size: int, value: bytes) -> bytes:
    """A value with its length in so many bytes before it."""
    return len(value).to_bytes(size, "big") + value

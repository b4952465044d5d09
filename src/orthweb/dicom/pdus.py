"""The protocol data units of PS3.8 section 9.3 as values and as bytes, but for P-DATA-TF, whose bytes only pass."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from orthweb.dicom.errors import InvalidPdu
from orthweb.dicom.items import UserInformation, build_user_information, item, items, parse_user_information, text
from orthweb.dicom.limits import Limits
from orthweb.dicom.uids import APPLICATION_CONTEXT

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA_TF, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
HEADER = struct.Struct(">BxI")
"""What every PDU begins with: its type and the length of the rest."""
PDV_HEADER = struct.Struct(">IBB")
"""What every presentation data value begins with: length of the rest, context id, message control header (E.2)."""
ASSOCIATE_FIXED = struct.Struct(">HH16s16s32x")
"""What stands before the items of an A-ASSOCIATE-RQ or -AC: version, called and calling AE title."""
COMMAND, LAST = 1, 2
"""Bits of the message control header."""
ACCEPTED, USER_REJECTION, NO_REASON, ABSTRACT_SYNTAX_NOT_SUPPORTED, TRANSFER_SYNTAXES_NOT_SUPPORTED = range(5)
"""Results of a presentation context (PS3.8 table 9-18)."""

_APPLICATION_CONTEXT, _PROPOSED, _RESULT, _ABSTRACT, _TRANSFER, _USER = 0x10, 0x20, 0x21, 0x30, 0x40, 0x50
_NAMES = {
    ASSOCIATE_RQ: "A-ASSOCIATE-RQ",
    ASSOCIATE_AC: "A-ASSOCIATE-AC",
    ASSOCIATE_RJ: "A-ASSOCIATE-RJ",
    P_DATA_TF: "P-DATA-TF",
    RELEASE_RQ: "A-RELEASE-RQ",
    RELEASE_RP: "A-RELEASE-RP",
    ABORT: "A-ABORT",
}


@dataclass(frozen=True)
class PresentationContext:
    """A proposed presentation context: an odd id from 1 to 255, an abstract syntax and its transfer syntaxes."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True)
class ContextResult:
    """The answer to a proposed presentation context; the transfer syntax counts only when it was accepted."""

    id: int
    result: int
    transfer_syntax: str = ""


@dataclass(frozen=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ (9.3.2); `protocol_version` is a bit field whose bit 0 is version 1."""

    calling_ae_title: str
    called_ae_title: str
    contexts: tuple[PresentationContext, ...]
    user_information: UserInformation = field(default_factory=UserInformation)
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = 1


@dataclass(frozen=True)
class AssociateAccept:
    """A-ASSOCIATE-AC (9.3.3); its AE titles are those of the request, and nobody looks at them."""

    calling_ae_title: str
    called_ae_title: str
    contexts: tuple[ContextResult, ...]
    user_information: UserInformation = field(default_factory=UserInformation)
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = 1


@dataclass(frozen=True)
class AssociateReject:
    """A-ASSOCIATE-RJ (9.3.4): result 1 for good, 2 for now; source and reason of table 9-21."""

    result: int
    source: int
    reason: int


@dataclass(frozen=True)
class Abort:
    """A-ABORT (9.3.8): source 0 the user, 2 the upper layer; reason of table 9-26."""

    source: int
    reason: int


def name(kind: int) -> str:
    """Name a PDU type as the standard does."""
    return _NAMES.get(kind, f"PDU type {kind:02X}H")


def build_associate(pdu: AssociateRequest | AssociateAccept) -> bytes:
    """Build an A-ASSOCIATE-RQ or -AC. Titles longer than 16 characters raise ValueError."""
    titles = [_title(pdu.called_ae_title), _title(pdu.calling_ae_title)]
    body = [
        ASSOCIATE_FIXED.pack(pdu.protocol_version, 0, *titles),
        item(_APPLICATION_CONTEXT, pdu.application_context.encode("latin-1")),
    ]
    if isinstance(pdu, AssociateRequest):
        body.extend(_proposed(context) for context in pdu.contexts)
    else:
        body.extend(_result(context) for context in pdu.contexts)
    body.append(item(_USER, build_user_information(pdu.user_information)))
    content = b"".join(body)
    return HEADER.pack(ASSOCIATE_RQ if isinstance(pdu, AssociateRequest) else ASSOCIATE_AC, len(content)) + content


def parse_associate_request(body: memoryview, limits: Limits) -> AssociateRequest:
    """Read an A-ASSOCIATE-RQ without its 6 bytes of header; its items may stand in any order.

    Raises
    ------
    InvalidPdu
        It is none, or breaks a limit.
    """
    version, called, calling = _fixed(body)
    application, information = "", UserInformation()
    contexts: dict[int, PresentationContext] = {}
    for kind, _, content in items(body[ASSOCIATE_FIXED.size :]):
        if kind == _APPLICATION_CONTEXT:
            application = text(content)
        elif kind == _PROPOSED:
            context = _parse_proposed(content, limits)
            if context.id in contexts:
                raise InvalidPdu(f"presentation context {context.id} is proposed twice")
            contexts[context.id] = context
            if len(contexts) > limits.contexts:
                raise InvalidPdu(f"more than {limits.contexts} presentation contexts")
        elif kind == _USER:
            information = _parse_user(content, limits)
    return AssociateRequest(calling, called, tuple(contexts.values()), information, application, version)


def parse_associate_accept(body: memoryview, limits: Limits) -> AssociateAccept:
    """Read an A-ASSOCIATE-AC without its 6 bytes of header; raises InvalidPdu."""
    version, called, calling = _fixed(body)
    application, information = "", UserInformation()
    contexts: list[ContextResult] = []
    for kind, _, content in items(body[ASSOCIATE_FIXED.size :]):
        if kind == _APPLICATION_CONTEXT:
            application = text(content)
        elif kind == _RESULT:
            contexts.append(_parse_result(content))
            if len(contexts) > limits.contexts:
                raise InvalidPdu(f"more than {limits.contexts} presentation contexts")
        elif kind == _USER:
            information = _parse_user(content, limits)
    return AssociateAccept(calling, called, tuple(contexts), information, application, version)


def build_reject(pdu: AssociateReject) -> bytes:
    """Build an A-ASSOCIATE-RJ."""
    return HEADER.pack(ASSOCIATE_RJ, 4) + bytes([0, pdu.result, pdu.source, pdu.reason])


def parse_reject(body: memoryview) -> AssociateReject:
    """Read the 4 bytes of an A-ASSOCIATE-RJ."""
    return AssociateReject(body[1], body[2], body[3])


def build_abort(pdu: Abort) -> bytes:
    """Build an A-ABORT."""
    return HEADER.pack(ABORT, 4) + bytes([0, 0, pdu.source, pdu.reason])


def parse_abort(body: memoryview) -> Abort:
    """Read the 4 bytes of an A-ABORT."""
    return Abort(body[2], body[3])


def build_release(kind: int) -> bytes:
    """Build an A-RELEASE-RQ or -RP."""
    return HEADER.pack(kind, 4) + bytes(4)


def data_header(context_id: int, length: int, command: bool, last: bool) -> bytes:
    """Build the 12 bytes before a fragment of `length` bytes that has a P-DATA-TF to itself."""
    control = (COMMAND if command else 0) | (LAST if last else 0)
    return HEADER.pack(P_DATA_TF, length + 6) + PDV_HEADER.pack(length + 2, context_id, control)


def _title(title: str) -> bytes:
    encoded = title.encode("latin-1")
    if len(encoded) > 16:
        raise ValueError(f"AE title {title!r} has more than 16 characters")
    return encoded.ljust(16)


def _fixed(body: memoryview) -> tuple[int, str, str]:
    if len(body) < ASSOCIATE_FIXED.size:
        raise InvalidPdu(f"{len(body)} bytes are fewer than an association's {ASSOCIATE_FIXED.size}")
    version, _, called, calling = ASSOCIATE_FIXED.unpack_from(body)
    return version, text(called), text(calling)


def _proposed(context: PresentationContext) -> bytes:
    content = [bytes([context.id, 0, 0, 0]), item(_ABSTRACT, context.abstract_syntax.encode("latin-1"))]
    content.extend(item(_TRANSFER, syntax.encode("latin-1")) for syntax in context.transfer_syntaxes)
    return item(_PROPOSED, b"".join(content))


def _result(context: ContextResult) -> bytes:
    # The transfer syntax has to be there, and to be passed over, also when the context is refused (table 9-18).
    syntax = item(_TRANSFER, context.transfer_syntax.encode("latin-1"))
    return item(_RESULT, bytes([context.id, 0, context.result, 0]) + syntax)


def _context_id(content: memoryview) -> int:
    if len(content) < 4:
        raise InvalidPdu(f"presentation context of {len(content)} bytes")
    if content[0] % 2 == 0:
        raise InvalidPdu(f"presentation context id {content[0]} is even")
    return content[0]


def _parse_proposed(content: memoryview, limits: Limits) -> PresentationContext:
    number, abstract = _context_id(content), ""
    syntaxes: list[str] = []
    for kind, _, inner in items(content[4:]):
        if kind == _ABSTRACT:
            abstract = text(inner)
        elif kind == _TRANSFER:
            syntaxes.append(text(inner))
    if len(syntaxes) > limits.transfer_syntaxes:
        raise InvalidPdu(f"presentation context {number} has more than {limits.transfer_syntaxes} transfer syntaxes")
    if not abstract or not syntaxes:
        raise InvalidPdu(f"presentation context {number} lacks {'a transfer' if abstract else 'its abstract'} syntax")
    return PresentationContext(number, abstract, tuple(syntaxes))


def _parse_result(content: memoryview) -> ContextResult:
    number, syntax = _context_id(content), ""
    for kind, _, inner in items(content[4:]):
        if kind == _TRANSFER:
            syntax = text(inner)
    return ContextResult(number, content[2], syntax)


def _parse_user(content: memoryview, limits: Limits) -> UserInformation:
    if len(content) > limits.user_information:
        raise InvalidPdu(f"user information of {len(content)} bytes is over {limits.user_information}")
    return parse_user_information(content)

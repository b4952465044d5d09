"""Whatever may stand in an association's PDUs and in command sets, for hypothesis."""

from __future__ import annotations

from dataclasses import fields
from typing import TypeVar

from hypothesis import strategies as st

from orthweb.dicom.command import Command
from orthweb.dicom.items import (
    AsynchronousOperations,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    Role,
    UserIdentity,
    UserInformation,
)
from orthweb.dicom.pdus import AssociateAccept, AssociateRequest, ContextResult, PresentationContext

T = TypeVar("T")
BYTE = st.integers(0, 0xFF)
SHORT = st.integers(0, 0xFFFF)
# Padding at the ends is of no significance, so it does not come back.
TEXT = st.text(st.characters(max_codepoint=0xFF), max_size=70).map(lambda text: text.strip(" \0"))
NAMED = TEXT.filter(bool)
AE_TITLES = TEXT.map(lambda text: text[:16].strip(" \0"))
CONTENT = st.binary(max_size=100)
CONTEXT_IDS = st.integers(0, 127).map(lambda number: 2 * number + 1)


def several(each: st.SearchStrategy[T], most: int = 4) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(each, max_size=most).map(tuple)


USER_INFORMATION = st.builds(
    UserInformation,
    maximum_length=st.none() | st.integers(0, 0xFFFFFFFF),
    implementation_class=st.none() | TEXT,
    implementation_version=st.none() | TEXT,
    asynchronous_operations=st.none() | st.builds(AsynchronousOperations, SHORT, SHORT),
    roles=several(st.builds(Role, TEXT, st.booleans(), st.booleans())),
    extended=several(st.builds(ExtendedNegotiation, TEXT, CONTENT)),
    common_extended=several(st.builds(CommonExtendedNegotiation, TEXT, TEXT, several(TEXT), BYTE)),
    identity=st.none() | st.builds(UserIdentity, BYTE, CONTENT, CONTENT, st.booleans()),
    identity_response=st.none() | CONTENT,
    other=several(st.tuples(BYTE.filter(lambda kind: not 0x51 <= kind <= 0x59), CONTENT)),
)
REQUESTS = st.builds(
    AssociateRequest,
    calling_ae_title=AE_TITLES,
    called_ae_title=AE_TITLES,
    contexts=st.lists(
        st.builds(PresentationContext, CONTEXT_IDS, NAMED, st.lists(NAMED, min_size=1, max_size=4).map(tuple)),
        max_size=6,
        unique_by=lambda context: context.id,
    ).map(tuple),
    user_information=USER_INFORMATION,
    application_context=TEXT,
    protocol_version=SHORT,
)
ACCEPTANCES = st.builds(
    AssociateAccept,
    calling_ae_title=AE_TITLES,
    called_ae_title=AE_TITLES,
    contexts=several(st.builds(ContextResult, CONTEXT_IDS, BYTE, TEXT), 6),
    user_information=USER_INFORMATION,
    application_context=TEXT,
    protocol_version=SHORT,
)

_KINDS = {"int": SHORT, "int | None": st.none() | SHORT, "str | None": st.none() | TEXT}
_KNOWN = {0x0002, 0x0003, 0x0100, 0x0110, 0x0120, 0x0600, 0x0700, 0x0800, 0x0900, 0x0902, 0x1000, 0x1001}
_KNOWN |= {0x1020, 0x1021, 0x1022, 0x1023, 0x1030, 0x1031}
_OTHERS = st.dictionaries(st.integers(1, 0xFFFF).filter(lambda number: number not in _KNOWN), CONTENT, max_size=4)
COMMANDS = st.builds(
    Command,
    **{field.name: _KINDS[str(field.type)] for field in fields(Command) if field.name != "other"},
    other=_OTHERS.map(lambda found: tuple(sorted(found.items()))),
)

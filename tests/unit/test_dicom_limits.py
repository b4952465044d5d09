"""Association PDUs that break a limit, or don't hold what they say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dicom_local_user import CT_STORAGE, REQUEST, acceptance

from orthweb.dicom import pdus
from orthweb.dicom.errors import InvalidPdu
from orthweb.dicom.framing import Framer, Whole
from orthweb.dicom.items import UserInformation, item
from orthweb.dicom.limits import Limits
from orthweb.dicom.pdus import AssociateAccept, AssociateRequest, PresentationContext

LIMITS = Limits()
CONTEXT = PresentationContext(1, CT_STORAGE, tuple(f"1.2.{number}" for number in range(5)))
TWO = (CONTEXT, replace(CONTEXT, id=3))


@pytest.mark.parametrize(
    ("limits", "request_"),
    [
        (Limits(contexts=1), AssociateRequest("A", "B", TWO)),
        (Limits(transfer_syntaxes=4), AssociateRequest("A", "B", (CONTEXT,))),
        (Limits(user_information=20), AssociateRequest("A", "B", (), UserInformation(1, "1.2.3.4.5.6.7.8"))),
    ],
    ids=["contexts", "transfer_syntaxes", "user_information"],
)
def test_a_request_beyond_a_limit_is_no_pdu(limits: Limits, request_: AssociateRequest) -> None:
    data = pdus.build_associate(request_)
    assert pdus.parse_associate_request(memoryview(data)[6:], LIMITS) == request_
    with pytest.raises(InvalidPdu):
        pdus.parse_associate_request(memoryview(data)[6:], limits)


def test_an_acceptance_beyond_a_limit_is_no_pdu() -> None:
    data = pdus.build_associate(acceptance(AssociateRequest("A", "B", TWO)))
    for limits in (Limits(contexts=1), Limits(user_information=2)):
        with pytest.raises(InvalidPdu):
            pdus.parse_associate_accept(memoryview(data)[6:], limits)


@pytest.mark.parametrize("build", [REQUEST, acceptance(REQUEST)], ids=["A-ASSOCIATE-RQ", "A-ASSOCIATE-AC"])
def test_an_association_pdu_beyond_its_length_is_refused_at_its_header(
    build: AssociateRequest | AssociateAccept,
) -> None:
    data = pdus.build_associate(build)
    just = Limits(associate_length=len(data) - 6)
    assert isinstance(Framer(just).feed(memoryview(data))[0], Whole)
    (refused,) = Framer(Limits(associate_length=len(data) - 7)).feed(memoryview(data)[:6])
    assert isinstance(refused, InvalidPdu)


SYNTAX = item(0x40, b"1.2")
NO_CONTEXTS = pdus.build_associate(AssociateRequest("A", "B", ()))[6:]


@pytest.mark.parametrize(
    "added",
    [
        b"\x20",
        b"\x20\0\0\x05\1\0\0\0",
        item(0x20, b"\1\0\0"),
        item(0x20, b"\2\0\0\0" + item(0x30, b"1.2") + SYNTAX),
        item(0x20, b"\1\0\0\0" + SYNTAX),
        item(0x20, b"\1\0\0\0" + item(0x30, b"1.2")),
        item(0x20, b"\1\0\0\0" + item(0x30, b"1.2") + SYNTAX + b"\x40\0\0"),
        item(0x20, b"\1\0\0\0" + item(0x30, b"1.2") + SYNTAX) * 2,
        item(0x50, item(0x51, b"\0\0\1")),
        item(0x50, item(0x53, b"\0\0\1")),
        item(0x50, item(0x54, b"\0\x031.")),
        item(0x50, item(0x54, b"\0\x031.2\1")),
        item(0x50, item(0x56, b"\0")),
        item(0x50, item(0x57, b"\0\x031.2\0\x031.2")),
        item(0x50, item(0x57, b"\0\x031.2\0\x031.2\0\3\0\2a")),
        item(0x50, item(0x58, b"\2\0\0\1a\0\2b")),
        item(0x50, item(0x59, b"\0\1")),
        item(0x50, b"\x51\0\0"),
    ],
)
def test_an_item_that_does_not_hold_what_it_says_is_no_pdu(added: bytes) -> None:
    with pytest.raises(InvalidPdu):
        pdus.parse_associate_request(memoryview(NO_CONTEXTS + added), LIMITS)


@pytest.mark.parametrize("result", [b"\1\0\0", b"\2\0\0\0" + SYNTAX, b"\1\0\0\0\x40\0\0\5"])
def test_a_result_that_does_not_hold_what_it_says_is_no_pdu(result: bytes) -> None:
    with pytest.raises(InvalidPdu):
        pdus.parse_associate_accept(memoryview(NO_CONTEXTS + item(0x21, result)), LIMITS)


def test_a_body_shorter_than_its_fixed_part_is_no_pdu() -> None:
    with pytest.raises(InvalidPdu):
        pdus.parse_associate_request(memoryview(NO_CONTEXTS[:67]), LIMITS)

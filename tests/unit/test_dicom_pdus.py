"""PDUs as values and as bytes: pynetdicom's examples, what goes in comes out again, and the limits."""

from __future__ import annotations

import struct
from dataclasses import replace
from random import Random

import pytest
from dicom_local_user import CT_STORAGE, REQUEST
from dicom_strategies import ACCEPTANCES, BYTE, CONTEXT_IDS, REQUESTS
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.tests import encoded_pdu_items as examples

from orthweb.dicom import pdus
from orthweb.dicom.framing import DataBegins, Fragment, Framer, Piece, Whole
from orthweb.dicom.items import (
    AsynchronousOperations,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    Role,
    UserIdentity,
    UserInformation,
    build_user_information,
    item,
    items,
    parse_user_information,
)
from orthweb.dicom.limits import Limits
from orthweb.dicom.pdus import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextResult,
    PresentationContext,
)

LIMITS = Limits()
IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
VERIFICATION, MR_STORAGE = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.4"
PYNETDICOM, DCMTK = "1.2.826.0.1.3680043.9.3811.0.9.0", "1.2.276.0.7230010.3.0.3.6.0"
BY_PYNETDICOM = UserInformation(16382, PYNETDICOM, "PYNETDICOM_090")
BY_DCMTK = UserInformation(16384, DCMTK, "OFFIS_DCMTK_360")
ECHO = (PresentationContext(1, VERIFICATION, (IMPLICIT,)),)
NAME_ONLY = UserIdentity(1, b"pynetdicom", response_requested=True)
MR_IS_SR = CommonExtendedNegotiation(MR_STORAGE, "1.2.840.10008.4.2", ("1.2.840.10008.5.1.4.1.1.88.22",))
EXTENDED = ExtendedNegotiation(CT_STORAGE, b"\2\0\3\0\1\0")

REQUEST_EXAMPLES = {
    "a_associate_rq": AssociateRequest("ECHOSCU", "ANY-SCP", ECHO, BY_PYNETDICOM),
    "a_associate_rq_user_async": AssociateRequest(
        "ECHOSCU",
        "ANY-SCP",
        ECHO,
        replace(BY_PYNETDICOM, identity=NAME_ONLY, asynchronous_operations=AsynchronousOperations(5, 5)),
    ),
    "a_associate_rq_role": AssociateRequest(
        "GETSCU",
        "ANY-SCP",
        (PresentationContext(1, CT_STORAGE, (EXPLICIT,)),),
        replace(BY_PYNETDICOM, roles=(Role(CT_STORAGE, scu=False, scp=True),)),
    ),
    "a_associate_rq_user_id_user_pass": AssociateRequest(
        "STORESCU",
        "ANY-SCP",
        (PresentationContext(1, CT_STORAGE, (EXPLICIT, BIG_ENDIAN, IMPLICIT)),),
        replace(BY_DCMTK, identity=UserIdentity(2, b"pynetdicom", b"p4ssw0rd")),
    ),
    "a_associate_rq_user_id_ext_neg": AssociateRequest(
        "ECHOSCU",
        "ANY-SCP",
        (*ECHO, PresentationContext(3, CT_STORAGE, (IMPLICIT,)), PresentationContext(5, MR_STORAGE, (IMPLICIT,))),
        replace(
            BY_PYNETDICOM,
            identity=NAME_ONLY,
            asynchronous_operations=AsynchronousOperations(5, 5),
            extended=(EXTENDED, replace(EXTENDED, sop_class=MR_STORAGE)),
        ),
    ),
    "a_associate_rq_called": AssociateRequest("ANY-", "", ECHO, BY_PYNETDICOM),
    "a_associate_rq_calling": AssociateRequest("", "ANY-", ECHO, BY_PYNETDICOM),
}
ACCEPT_EXAMPLES = {
    "a_associate_ac": AssociateAccept("ECHOSCU", "ANY-SCP", (ContextResult(1, 0, IMPLICIT),), BY_DCMTK),
    "a_associate_ac_user": AssociateAccept(
        "ECHOSCU", "ANY-SCP", (ContextResult(1, 0, IMPLICIT),), replace(BY_DCMTK, identity_response=b"Accepted")
    ),
    # Of this type, whatever it is called.
    "a_associate_rq_com_ext_neg": AssociateAccept(
        "ECHOSCU",
        "ANY-SCP",
        tuple(ContextResult(number, 0, IMPLICIT) for number in (1, 3, 5)),
        replace(BY_PYNETDICOM, maximum_length=16384, common_extended=(MR_IS_SR,)),
    ),
    "a_associate_ac_zero_ts": AssociateAccept(
        "PYNETDICOM",
        "ANY-SCP",
        (ContextResult(1, 0, EXPLICIT), ContextResult(3, 3)),
        UserInformation(28672, "2.16.840.1", "MergeCOM3_390IB2"),
    ),
    "a_associate_ac_no_ts": AssociateAccept(
        "PYNETDICOM",
        "ANY-SCP",
        (ContextResult(1, 3),),
        UserInformation(16382, "1.2.826.0.1.3680043.9.3811.1.4.0", "PYNETDICOM_140"),
    ),
}
# Not built by us as they are: items in another order, reserved bytes that are not zero, a syntax that is missing.
OTHER_FORMS = {
    "a_associate_rq_user_async",
    "a_associate_rq_role",
    "a_associate_rq_user_id_user_pass",
    "a_associate_rq_user_id_ext_neg",
    "a_associate_ac_no_ts",
}


def example(name: str) -> bytes:
    """An example with the length that it has: in one of them the header says another."""
    data: bytes = getattr(examples, name)
    return data[:2] + struct.pack(">I", len(data) - 6) + data[6:]


def whole(data: bytes) -> Whole:
    """Cut the one PDU that `data` is."""
    (piece,) = Framer(LIMITS).feed(memoryview(data))
    assert isinstance(piece, Whole)
    return piece


def parsed_request(data: bytes, limits: Limits = LIMITS) -> AssociateRequest:
    return pdus.parse_associate_request(whole(data).body, limits)


def parsed_accept(data: bytes, limits: Limits = LIMITS) -> AssociateAccept:
    return pdus.parse_associate_accept(whole(data).body, limits)


@pytest.mark.parametrize("name", REQUEST_EXAMPLES)
def test_a_request_of_pynetdicoms_examples_is_understood(name: str) -> None:
    data, expected = example(name), REQUEST_EXAMPLES[name]
    assert parsed_request(data) == expected
    built = pdus.build_associate(expected)
    assert parsed_request(built) == expected
    assert (built == data) == (name not in OTHER_FORMS)


@pytest.mark.parametrize("name", ACCEPT_EXAMPLES)
def test_an_acceptance_of_pynetdicoms_examples_is_understood(name: str) -> None:
    data, expected = example(name), ACCEPT_EXAMPLES[name]
    assert parsed_accept(data) == expected
    built = pdus.build_associate(expected)
    assert parsed_accept(built) == expected
    assert (built == data) == (name not in OTHER_FORMS)


def test_the_other_pdus_of_pynetdicoms_examples_are_built_and_understood() -> None:
    assert pdus.parse_reject(whole(examples.a_associate_rj).body) == AssociateReject(1, 1, 1)
    assert pdus.build_reject(AssociateReject(1, 1, 1)) == examples.a_associate_rj
    assert pdus.build_release(pdus.RELEASE_RQ) == examples.a_release_rq
    assert pdus.build_release(pdus.RELEASE_RP) == examples.a_release_rp
    assert pdus.parse_abort(whole(examples.a_abort).body) == Abort(0, 0)
    assert pdus.build_abort(Abort(0, 0)) == examples.a_abort
    assert pdus.parse_abort(whole(examples.a_p_abort).body) == Abort(2, 4)
    assert pdus.build_abort(Abort(2, 4)) == examples.a_p_abort


@pytest.mark.parametrize("name", ["p_data_tf", "p_data_tf_rq", "p_data_tf_n_event_report"])
def test_data_of_pynetdicoms_examples_pass(name: str) -> None:
    data = getattr(examples, name)
    begins, fragment = Framer(LIMITS).feed(memoryview(data))
    assert begins == DataBegins()
    assert isinstance(fragment, Fragment)
    assert fragment == Fragment(1, command=True, last=True, data=memoryview(data[12:]))
    assert pdus.data_header(1, len(fragment.data), command=True, last=True) == data[:12]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("asynchronous_window_ops", UserInformation(asynchronous_operations=AsynchronousOperations(5, 5))),
        ("user_identity_rq_user_nopw", UserInformation(identity=NAME_ONLY)),
        ("user_identity_rq_user_pass", UserInformation(identity=UserIdentity(2, b"pynetdicom", b"p4ssw0rd"))),
        ("user_identity_ac", UserInformation(identity_response=b"Accepted")),
        ("maximum_length_received", UserInformation(16382)),
        ("implementation_class_uid", UserInformation(implementation_class=PYNETDICOM)),
        ("implementation_class_uid_empty", UserInformation(implementation_class="")),
        ("implementation_version_name", UserInformation(implementation_version="PYNETDICOM_090")),
        ("implementation_version_name_empty", UserInformation(implementation_version="")),
        ("role_selection", UserInformation(roles=(Role(CT_STORAGE + "1", scu=False, scp=True),))),
        ("role_selection_odd", UserInformation(roles=(Role(CT_STORAGE, scu=False, scp=True),))),
        ("extended_negotiation", UserInformation(extended=(EXTENDED,))),
        ("common_extended_negotiation", UserInformation(common_extended=(MR_IS_SR,))),
    ],
)
def test_a_user_information_item_of_pynetdicoms_examples_is_built_and_understood(
    name: str, expected: UserInformation
) -> None:
    data = getattr(examples, name)
    assert parse_user_information(memoryview(data)) == expected
    assert build_user_information(expected) == data


@given(REQUESTS)
def test_a_request_comes_out_as_it_went_in(request_: AssociateRequest) -> None:
    assert parsed_request(pdus.build_associate(request_)) == request_


@given(ACCEPTANCES)
def test_an_acceptance_comes_out_as_it_went_in(accept: AssociateAccept) -> None:
    assert parsed_accept(pdus.build_associate(accept)) == accept


@given(BYTE, BYTE, BYTE)
def test_a_rejection_and_an_abort_come_out_as_they_went_in(result: int, source: int, reason: int) -> None:
    reject, abort = AssociateReject(result, source, reason), Abort(source, reason)
    assert pdus.parse_reject(whole(pdus.build_reject(reject)).body) == reject
    assert pdus.parse_abort(whole(pdus.build_abort(abort)).body) == abort


@given(CONTEXT_IDS, st.binary(min_size=1, max_size=300), st.booleans(), st.booleans())
def test_data_come_out_as_they_went_in(context_id: int, data: bytes, command: bool, last: bool) -> None:
    pieces: list[Piece] = [DataBegins(), Fragment(context_id, command, last, memoryview(data))]
    assert Framer(LIMITS).feed(memoryview(pdus.data_header(context_id, len(data), command, last) + data)) == pieces


@given(REQUESTS, st.randoms(use_true_random=False))
def test_items_may_stand_in_any_order(request_: AssociateRequest, order: Random) -> None:
    data = pdus.build_associate(request_)
    fixed = 6 + pdus.ASSOCIATE_FIXED.size
    parts = [item(kind, bytes(content), second) for kind, second, content in items(memoryview(data)[fixed:])]
    contexts = [part for part in parts if part[0] == 0x20]
    order.shuffle(parts)
    # The contexts keep their order among themselves.
    parts = [contexts.pop(0) if part[0] == 0x20 else part for part in parts]
    assert parsed_request(data[:fixed] + b"".join(parts)) == request_


def test_an_item_nobody_knows_is_passed_over() -> None:
    data = pdus.build_associate(REQUEST)
    body = data[6:] + item(0x77, b"whatever")
    assert pdus.parse_associate_request(memoryview(body), LIMITS) == REQUEST


def test_a_title_of_more_than_16_characters_is_not_sent() -> None:
    with pytest.raises(ValueError, match="more than 16 characters"):
        pdus.build_associate(AssociateRequest("A" * 17, "B", ECHO))

"""What an association does beyond the state table: its times, and what it does when the peer is quicker than we."""

from __future__ import annotations

import pytest
from dicom_local_user import CT_STORAGE, REQUEST, LocalUser, acceptance, acceptor, requestor, value_pdu

from orthweb.dicom.errors import WrongState
from orthweb.dicom.indications import Aborted, Associated
from orthweb.dicom.items import UserInformation
from orthweb.dicom.limits import Limits
from orthweb.dicom.pdus import (
    ABSTRACT_SYNTAX_NOT_SUPPORTED,
    ACCEPTED,
    RELEASE_RQ,
    Abort,
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    build_abort,
    build_associate,
    build_release,
)
from orthweb.dicom.upper_layer import UpperLayer

LIMITS = Limits(request_seconds=30, closing_seconds=10, pdu_seconds=60, idle_seconds=600)
USER_ABORT = build_abort(Abort(0, 0))
PDU = value_pdu(3, bytes(1000), command=False, last=False)


def deadline(user: LocalUser) -> float:
    assert user.layer.deadline is not None
    return user.layer.deadline


def test_a_connection_that_says_nothing_is_closed_without_a_word() -> None:
    user = acceptor(LIMITS, established=False)
    assert deadline(user) == 30
    assert user.layer.expire(29.9) == []
    assert not user.layer.finished
    assert user.layer.expire(30) == []
    assert user.layer.finished
    assert user.layer.take_output() == b""
    assert user.layer.why == "no whole A-ASSOCIATE-RQ after 30 s"


def test_a_request_that_comes_byte_by_byte_gains_no_time() -> None:
    user = acceptor(LIMITS, established=False)
    for now, byte in enumerate(build_associate(REQUEST)[:29]):
        user.hear(bytes([byte]), now)
        assert deadline(user) == 30
    user.layer.expire(30)
    assert user.layer.finished


def test_a_pdu_that_stalls_half_way_ends_the_association() -> None:
    user = acceptor(LIMITS)
    user.layer.received(memoryview(PDU[:500]), 100)
    assert deadline(user) == 160
    user.layer.received(memoryview(PDU[500:999]), 159)
    assert deadline(user) == 160
    (given,) = user.layer.expire(160)
    assert isinstance(given, Aborted)
    assert given.why == "a PDU was not whole after 60 s"
    assert user.layer.take_output() == USER_ABORT
    assert deadline(user) == 170
    assert user.layer.expire(170) == []
    assert user.layer.finished


def test_a_whole_pdu_leaves_only_the_idle_time() -> None:
    user = acceptor(LIMITS)
    user.layer.received(memoryview(PDU[:500]), 100)
    user.layer.received(memoryview(PDU[500:]), 159)
    assert deadline(user) == 759


def test_each_pdu_has_its_own_time_also_when_pieces_never_end_with_one() -> None:
    user = acceptor(LIMITS)
    stream, step = PDU * 20, len(PDU) + 50
    for number, at in enumerate(range(0, len(stream) - step, step)):
        now = 100 + 40.0 * number
        user.layer.received(memoryview(stream[at : at + step]), now)
        assert deadline(user) == now + 60
    assert user.layer.established


def test_a_peer_that_falls_silent_is_aborted() -> None:
    user = acceptor(LIMITS)
    user.layer.received(memoryview(PDU), 100)
    (given,) = user.layer.expire(700)
    assert isinstance(given, Aborted)
    assert user.layer.take_output() == USER_ABORT


def test_an_association_is_not_idle_while_the_local_user_is_at_work() -> None:
    user = acceptor(LIMITS)
    user.layer.touch(500)
    assert user.layer.expire(700) == []
    assert deadline(user) == 1100


def test_a_peer_that_does_not_answer_the_request_is_aborted() -> None:
    user = requestor(LIMITS, established=False)
    (given,) = user.layer.expire(deadline(user))
    assert isinstance(given, Aborted)
    assert given.why == "no answer from the peer after 30 s"
    assert user.layer.take_output() == USER_ABORT


def test_a_peer_that_does_not_answer_the_release_is_aborted() -> None:
    user = requestor(LIMITS)
    user.layer.release(100)
    assert deadline(user) == 130
    (given,) = user.layer.expire(130)
    assert isinstance(given, Aborted)


def test_a_release_that_went_well_leaves_no_reason_behind() -> None:
    user = acceptor(LIMITS)
    user.hear(build_release(RELEASE_RQ), 100)
    user.layer.expire(deadline(user))
    assert user.layer.finished
    assert user.layer.why == ""


@pytest.mark.parametrize("ended_by", [b"\xff", build_abort(Abort(0, 0)), PDU], ids=["garbage", "abort", "data"])
def test_nobody_is_asked_what_cannot_be_answered_any_more(ended_by: bytes) -> None:
    """A question and the association's end in one piece: the answer would be in the wrong state."""
    asking = UpperLayer(LIMITS, 0)
    given = asking.received(memoryview(build_associate(REQUEST) + ended_by), 1)
    assert [type(one) for one in given] == [Aborted]
    releasing = acceptor(LIMITS).layer
    given = releasing.received(memoryview(build_release(RELEASE_RQ) + ended_by), 1)
    assert [type(one) for one in given] == [Aborted]


def test_data_that_came_before_the_end_still_arrive() -> None:
    layer = acceptor(LIMITS).layer
    data, end = layer.received(memoryview(PDU + build_abort(Abort(0, 0))), 1)
    assert not isinstance(data, Aborted)
    assert isinstance(end, Aborted)
    with pytest.raises(WrongState):
        layer.may_send()


def test_the_rest_of_a_pdu_is_of_no_interest_after_an_abort() -> None:
    layer = acceptor(LIMITS).layer
    assert len(layer.received(memoryview(PDU[:500]), 1)) == 1
    layer.abort(2, "given up")
    assert layer.take_output() == USER_ABORT
    assert layer.received(memoryview(PDU[500:] + PDU), 3) == []
    assert layer.take_output() == b""


def test_only_what_was_asked_for_and_accepted_can_be_used() -> None:
    results = (
        ContextResult(1, ABSTRACT_SYNTAX_NOT_SUPPORTED),
        ContextResult(3, ACCEPTED, "1.2.840.10008.1.2"),
        ContextResult(5, ACCEPTED, "1.2.840.10008.1.2"),
    )
    user = requestor(LIMITS, established=False)
    user.hear(build_associate(AssociateAccept("A", "B", results)))
    assert isinstance(user.indications[0], Associated)
    assert user.layer.contexts == {3: (CT_STORAGE, "1.2.840.10008.1.2")}
    for context_id in (1, 5):
        with pytest.raises(ValueError, match="not accepted"):
            user.layer.data_header(context_id, 100, command=True, last=True)


def test_nothing_longer_is_sent_than_the_peer_takes() -> None:
    layer = requestor(LIMITS).layer
    assert layer.peer_maximum == 16384
    assert len(layer.data_header(1, 16378, command=False, last=True)) == 12
    with pytest.raises(ValueError, match="over the peer's 16384"):
        layer.data_header(1, 16379, command=False, last=True)


@pytest.mark.parametrize(("named", "meant"), [(None, 0), (0, 0), (1, 128), (127, 128), (2**32 - 1, 2**32 - 1)])
def test_a_maximum_that_holds_no_message_is_not_believed(named: int | None, meant: int) -> None:
    request = AssociateRequest("A", "B", REQUEST.contexts, UserInformation(named))
    layer = UpperLayer(LIMITS, 0)
    layer.received(memoryview(build_associate(request)), 0)
    layer.accept(acceptance(request), 0)
    assert layer.peer_maximum == meant


def test_bytes_before_there_is_a_connection_are_not_heard() -> None:
    layer = UpperLayer(LIMITS, 0, REQUEST)
    for data in (build_associate(REQUEST), PDU, b"\xff", build_abort(Abort(0, 0))):
        assert layer.received(memoryview(data), 1) == []
    layer.connected(2)
    assert layer.take_output() == build_associate(REQUEST)

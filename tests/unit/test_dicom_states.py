"""The state table of PS3.8 (table 9-10) cell by cell on a real upper layer; each test is named for its cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from dicom_local_user import REQUEST, acceptance, value_pdu

from orthweb.dicom import states
from orthweb.dicom.errors import WrongState
from orthweb.dicom.framing import Fragment
from orthweb.dicom.indications import (
    Aborted,
    Associated,
    AssociateRequested,
    Indication,
    Rejected,
    Released,
    ReleaseRequested,
)
from orthweb.dicom.limits import Limits
from orthweb.dicom.pdus import (
    RELEASE_RP,
    RELEASE_RQ,
    Abort,
    AssociateReject,
    AssociateRequest,
    build_abort,
    build_associate,
    build_reject,
    build_release,
)
from orthweb.dicom.upper_layer import UpperLayer

# As the standard prints it: a row an event, a column a state from Sta1 to Sta13.
TABLE_9_10 = """
Evt1   AE-1 .    .    .    .    .    .    .    .    .     .    .    .
Evt2   .    .    .    AE-2 .    .    .    .    .    .     .    .    .
Evt3   .    AA-1 AA-8 .    AE-3 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
Evt4   .    AA-1 AA-8 .    AE-4 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
Evt5   AE-5 .    .    .    .    .    .    .    .    .     .    .    .
Evt6   .    AE-6 AA-8 .    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-7
Evt7   .    .    AE-7 .    .    .    .    .    .    .     .    .    .
Evt8   .    .    AE-8 .    .    .    .    .    .    .     .    .    .
Evt9   .    .    .    .    .    DT-1 .    AR-7 .    .     .    .    .
Evt10  .    AA-1 AA-8 .    AA-8 DT-2 AR-6 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
Evt11  .    .    .    .    .    AR-1 .    .    .    .     .    .    .
Evt12  .    AA-1 AA-8 .    AA-8 AR-2 AR-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
Evt13  .    AA-1 AA-8 .    AA-8 AA-8 AR-3 AA-8 AA-8 AR-10 AR-3 AA-8 AA-6
Evt14  .    .    .    .    .    .    .    AR-4 AR-9 .     .    AR-4 .
Evt15  .    .    AA-1 AA-2 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1  AA-1 AA-1 .
Evt16  .    AA-2 AA-3 .    AA-3 AA-3 AA-3 AA-3 AA-3 AA-3  AA-3 AA-3 AA-2
Evt17  .    AA-5 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4  AA-4 AA-4 AR-5
Evt18  .    AA-2 .    .    .    .    .    .    .    .     .    .    AA-2
Evt19  .    AA-1 AA-8 .    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-7
"""
CELLS = {
    (event, state): action
    for event, row in enumerate(TABLE_9_10.split("\n")[1:-1], 1)
    for state, action in enumerate(row.split()[1:], 1)
}

RQ, AC, RJ, P_DATA, RELEASE_REQUEST, RELEASE_RESPONSE = 1, 2, 3, 4, 5, 6
USER_ABORT, PROVIDER_ABORT = (7, 0), (7, 2)


@dataclass(frozen=True)
class Consequence:
    """What an action does (PS3.8 tables 9-6 to 9-9): PDU sent, indication given, next state."""

    after: int | dict[str, int]
    sends: int | tuple[int, int] | None = None
    gives: type[Indication] | None = None


ACTIONS = {
    "AE-1": Consequence(4),
    "AE-2": Consequence(5, RQ),
    "AE-3": Consequence(6, gives=Associated),
    "AE-4": Consequence(1, gives=Rejected),
    "AE-5": Consequence(2),
    "AE-6": Consequence(3, gives=AssociateRequested),
    "AE-7": Consequence(6, AC),
    "AE-8": Consequence(13, RJ),
    "DT-1": Consequence(6, P_DATA),
    "DT-2": Consequence(6, gives=Fragment),
    "AR-1": Consequence(7, RELEASE_REQUEST),
    "AR-2": Consequence(8, gives=ReleaseRequested),
    "AR-3": Consequence(1, gives=Released),
    "AR-4": Consequence(13, RELEASE_RESPONSE),
    "AR-5": Consequence(1),
    "AR-6": Consequence(7, gives=Fragment),
    "AR-7": Consequence(8, P_DATA),
    "AR-8": Consequence({"requestor": 9, "acceptor": 10}, gives=ReleaseRequested),
    "AR-9": Consequence(11, RELEASE_RESPONSE),
    "AR-10": Consequence(12, gives=Released),
    "AA-1": Consequence(13, USER_ABORT),
    "AA-2": Consequence(1),
    "AA-3": Consequence(1, gives=Aborted),
    "AA-4": Consequence(1, gives=Aborted),
    "AA-5": Consequence(1),
    "AA-6": Consequence(13),
    "AA-7": Consequence(13, PROVIDER_ABORT),
    "AA-8": Consequence(13, PROVIDER_ABORT, Aborted),
}
WITH_ARTIM = (2, 13)

# Every time differs, so that a deadline tells which it is.
LIMITS = Limits(request_seconds=30, closing_seconds=10, pdu_seconds=60, idle_seconds=600)
STARTED, NOW = 0.0, 5.0
DATA = value_pdu(1, b"data", command=False, last=True)

Step = Callable[[UpperLayer], tuple[list[Indication], bytes]]
"""Delivers an event; returns what the local user is told, and what is sent."""


def peer_sends(data: bytes) -> Step:
    return lambda layer: (layer.received(memoryview(data), NOW), layer.take_output())


def local(request: Callable[[UpperLayer], bytes | None]) -> Step:
    def step(layer: UpperLayer) -> tuple[list[Indication], bytes]:
        data = request(layer) or b""
        return [], layer.take_output() + data

    return step


def send_data(layer: UpperLayer) -> bytes:
    layer.may_send()
    return layer.data_header(1, 4, command=False, last=True) + b"data"


def artim_expires(layer: UpperLayer) -> tuple[list[Indication], bytes]:
    """Where it doesn't run, it cannot expire."""
    now = layer.deadline if layer.state in WITH_ARTIM and layer.deadline is not None else NOW
    return layer.expire(now), layer.take_output()


EVENTS: dict[int, Step] = {
    2: local(lambda layer: layer.connected(NOW)),
    3: peer_sends(build_associate(acceptance(REQUEST))),
    4: peer_sends(build_reject(AssociateReject(1, 1, 1))),
    6: peer_sends(build_associate(REQUEST)),
    7: local(lambda layer: layer.accept(acceptance(REQUEST), NOW)),
    8: local(lambda layer: layer.reject(AssociateReject(1, 1, 7), NOW)),
    9: local(send_data),
    10: peer_sends(DATA),
    11: local(lambda layer: layer.release(NOW)),
    12: peer_sends(build_release(RELEASE_RQ)),
    13: peer_sends(build_release(RELEASE_RP)),
    14: local(lambda layer: layer.release_response(NOW)),
    15: local(lambda layer: layer.abort(NOW)),
    16: peer_sends(build_abort(Abort(0, 0))),
    17: lambda layer: (layer.closed(NOW), layer.take_output()),
    18: artim_expires,
    19: peer_sends(b"\x08\0\0\0\0\x04\0\0\0\0"),
}
LOCAL_REQUESTS = (2, 7, 8, 9, 11, 14)
ABORT_REQUEST = 15
# An upper layer begins with one of them, and there is no way to say it again.
BEGINNINGS = (1, 5)

WAYS = {
    "acceptor": {
        1: [17],
        2: [],
        3: [6],
        6: [6, 7],
        7: [6, 7, 11],
        8: [6, 7, 12],
        10: [6, 7, 11, 12],
        12: [6, 7, 11, 12, 13],
        13: [6, 8],
    },
    "requestor": {
        1: [2, 17],
        4: [],
        5: [2],
        6: [2, 3],
        7: [2, 3, 11],
        8: [2, 3, 12],
        9: [2, 3, 11, 12],
        11: [2, 3, 11, 12, 14],
        13: [2, 3, 15],
    },
}
CASES = [
    pytest.param(
        event,
        state,
        role,
        id=f"Evt{event}-Sta{state}-{action}-{role}" if action != "." else f"Evt{event}-Sta{state}-{role}",
    )
    for (event, state), action in CELLS.items()
    for role in WAYS
    if event not in BEGINNINGS and state in WAYS[role]
]


def brought_to(state: int, role: str) -> UpperLayer:
    """An upper layer in a state, all of it at the time STARTED."""
    layer = UpperLayer(LIMITS, STARTED, REQUEST if role == "requestor" else None)
    for event in WAYS[role][state]:
        EVENTS[event](layer)
    assert layer.state == state
    return layer


def kind_of(output: bytes) -> int | tuple[int, int] | None:
    """Type of the one PDU that was sent; of an A-ABORT its source as well."""
    if not output:
        return None
    assert len(output) == 6 + int.from_bytes(output[2:6], "big"), "one PDU"
    return (output[0], output[8]) if output[0] == 7 else output[0]


@pytest.mark.parametrize(("event", "state", "role"), CASES)
def test_cell(event: int, state: int, role: str) -> None:
    action = CELLS[event, state]
    layer = brought_to(state, role)
    before = layer.deadline
    if action == "." and event in LOCAL_REQUESTS:
        with pytest.raises(WrongState):
            EVENTS[event](layer)
        given: list[Indication] = []
        output = layer.take_output()
    else:
        given, output = EVENTS[event](layer)
    expected = ACTIONS[action] if action != "." else Consequence(state)
    after = expected.after if isinstance(expected.after, int) else expected.after[role]
    assert layer.state == after
    assert kind_of(output) == expected.sends
    assert [type(indication) for indication in given] == ([expected.gives] if expected.gives else [])
    assert layer.finished == (after == 1)
    if action in (".", "AA-6", "AA-7"):
        assert layer.deadline == before
    elif after == 13:
        assert layer.deadline == NOW + LIMITS.closing_seconds


@pytest.mark.parametrize(("state", "role"), [(state, role) for role in WAYS for state in WAYS[role]])
def test_artim_runs_in_two_states_and_only_closes_the_connection(state: int, role: str) -> None:
    layer = brought_to(state, role)
    given = layer.expire(layer.deadline) if layer.deadline is not None else []
    silent = not given and not layer.take_output()
    assert (silent and layer.finished) == (state in (*WITH_ARTIM, 1))


@pytest.mark.parametrize("event", BEGINNINGS, ids=["Evt1-Sta1-AE-1", "Evt5-Sta1-AE-5"])
def test_beginning(event: int) -> None:
    layer = UpperLayer(LIMITS, STARTED, REQUEST if event == 1 else None)
    expected = ACTIONS[CELLS[event, 1]]
    assert layer.state == expected.after
    assert layer.take_output() == b""
    assert layer.deadline == (None if event == 1 else STARTED + LIMITS.request_seconds)


def test_a_request_of_another_protocol_version_is_rejected() -> None:
    """Evt6-Sta2-AE-6, where the request is not acceptable."""
    layer = brought_to(2, "acceptor")
    request = AssociateRequest("MODALITY", "ARCHIVE", REQUEST.contexts, protocol_version=2)
    assert layer.received(memoryview(build_associate(request)), NOW) == []
    assert layer.take_output() == build_reject(AssociateReject(result=1, source=2, reason=2))
    assert layer.state == 13
    assert layer.deadline == NOW + LIMITS.closing_seconds


@pytest.mark.parametrize(("source", "reason"), [(0, 0), (2, 6)], ids=["A-ABORT", "A-P-ABORT"])
def test_the_user_learns_who_aborted(source: int, reason: int) -> None:
    """Evt16-Sta6-AA-3, from the peer's user and from its upper layer."""
    layer = brought_to(6, "acceptor")
    (given,) = layer.received(memoryview(build_abort(Abort(source, reason))), NOW)
    assert isinstance(given, Aborted)
    assert (given.source, given.reason) == (source, reason)
    assert layer.why == given.why


@pytest.mark.parametrize(("data", "reason"), [(b"\x16", 1), (build_release(RELEASE_RP), 2)], ids=["Evt19", "Evt13"])
def test_an_abort_says_what_the_peer_did(data: bytes, reason: int) -> None:
    """AA-8: reason 1 is an unrecognized PDU, 2 an unexpected one (table 9-26)."""
    layer = brought_to(6, "acceptor")
    layer.received(memoryview(data), NOW)
    assert layer.take_output() == build_abort(Abort(2, reason))


def test_no_cell_is_filled_that_the_standard_leaves_empty() -> None:
    ours = {(event, state): action.value for event, row in states.TABLE.items() for state, action in row.items()}
    assert ours == {cell: action for cell, action in CELLS.items() if action != "."}

"""The state table of PS3.8 table 9-10, as data."""

from __future__ import annotations

from enum import Enum, IntEnum

from orthweb.dicom.pdus import ABORT, ASSOCIATE_AC, ASSOCIATE_RJ, ASSOCIATE_RQ, RELEASE_RP, RELEASE_RQ


class State(IntEnum):
    """States of an association (PS3.8 9.2.1); the name's number is the standard's."""

    IDLE = 1
    AWAIT_REQUEST = 2
    AWAIT_LOCAL_ASSOCIATE_RESPONSE = 3
    AWAIT_CONNECTION = 4
    AWAIT_ACCEPT = 5
    ESTABLISHED = 6
    AWAIT_RELEASE_RESPONSE = 7
    AWAIT_LOCAL_RELEASE_RESPONSE = 8
    COLLISION_REQUESTOR_LOCAL = 9
    COLLISION_ACCEPTOR_REMOTE = 10
    COLLISION_REQUESTOR_REMOTE = 11
    COLLISION_ACCEPTOR_LOCAL = 12
    AWAIT_CLOSE = 13


class Event(IntEnum):
    """Events of the state machine (PS3.8 table 9-10, first column)."""

    ASSOCIATE_REQUEST = 1
    CONNECTED = 2
    ASSOCIATE_AC = 3
    ASSOCIATE_RJ = 4
    CONNECTION = 5
    ASSOCIATE_RQ = 6
    ACCEPT = 7
    REJECT = 8
    DATA_REQUEST = 9
    DATA_TF = 10
    RELEASE_REQUEST = 11
    RELEASE_RQ = 12
    RELEASE_RP = 13
    RELEASE_RESPONSE = 14
    ABORT_REQUEST = 15
    ABORT = 16
    CLOSED = 17
    ARTIM_EXPIRED = 18
    INVALID_PDU = 19


PDU_EVENTS = {
    ASSOCIATE_RQ: Event.ASSOCIATE_RQ,
    ASSOCIATE_AC: Event.ASSOCIATE_AC,
    ASSOCIATE_RJ: Event.ASSOCIATE_RJ,
    RELEASE_RQ: Event.RELEASE_RQ,
    RELEASE_RP: Event.RELEASE_RP,
    ABORT: Event.ABORT,
}
"""The event that a PDU is, by its type; a P-DATA-TF is one from its header on."""


class Action(Enum):
    """Actions of the state machine (PS3.8 tables 9-6 to 9-9)."""

    AE1, AE2, AE3, AE4, AE5, AE6, AE7, AE8 = (f"AE-{number}" for number in range(1, 9))
    DT1, DT2 = "DT-1", "DT-2"
    AR1, AR2, AR3, AR4, AR5, AR6, AR7, AR8, AR9, AR10 = (f"AR-{number}" for number in range(1, 11))
    AA1, AA2, AA3, AA4, AA5, AA6, AA7, AA8 = (f"AA-{number}" for number in range(1, 9))


_A, _S = Action, State
_PDU_OUT_OF_TURN = {
    _S.AWAIT_REQUEST: _A.AA1,
    _S.AWAIT_LOCAL_ASSOCIATE_RESPONSE: _A.AA8,
    _S.AWAIT_ACCEPT: _A.AA8,
    **{state: _A.AA8 for state in State if _S.ESTABLISHED <= state <= _S.COLLISION_ACCEPTOR_LOCAL},
    _S.AWAIT_CLOSE: _A.AA6,
}
_ON_THE_WAY = [state for state in State if _S.AWAIT_ACCEPT <= state <= _S.COLLISION_ACCEPTOR_LOCAL]

TABLE: dict[Event, dict[State, Action]] = {
    Event.ASSOCIATE_REQUEST: {_S.IDLE: _A.AE1},
    Event.CONNECTED: {_S.AWAIT_CONNECTION: _A.AE2},
    Event.ASSOCIATE_AC: {**_PDU_OUT_OF_TURN, _S.AWAIT_ACCEPT: _A.AE3},
    Event.ASSOCIATE_RJ: {**_PDU_OUT_OF_TURN, _S.AWAIT_ACCEPT: _A.AE4},
    Event.CONNECTION: {_S.IDLE: _A.AE5},
    Event.ASSOCIATE_RQ: {**_PDU_OUT_OF_TURN, _S.AWAIT_REQUEST: _A.AE6, _S.AWAIT_CLOSE: _A.AA7},
    Event.ACCEPT: {_S.AWAIT_LOCAL_ASSOCIATE_RESPONSE: _A.AE7},
    Event.REJECT: {_S.AWAIT_LOCAL_ASSOCIATE_RESPONSE: _A.AE8},
    Event.DATA_REQUEST: {_S.ESTABLISHED: _A.DT1, _S.AWAIT_LOCAL_RELEASE_RESPONSE: _A.AR7},
    Event.DATA_TF: {**_PDU_OUT_OF_TURN, _S.ESTABLISHED: _A.DT2, _S.AWAIT_RELEASE_RESPONSE: _A.AR6},
    Event.RELEASE_REQUEST: {_S.ESTABLISHED: _A.AR1},
    Event.RELEASE_RQ: {**_PDU_OUT_OF_TURN, _S.ESTABLISHED: _A.AR2, _S.AWAIT_RELEASE_RESPONSE: _A.AR8},
    Event.RELEASE_RP: {
        **_PDU_OUT_OF_TURN,
        _S.AWAIT_RELEASE_RESPONSE: _A.AR3,
        _S.COLLISION_ACCEPTOR_REMOTE: _A.AR10,
        _S.COLLISION_REQUESTOR_REMOTE: _A.AR3,
    },
    Event.RELEASE_RESPONSE: {
        _S.AWAIT_LOCAL_RELEASE_RESPONSE: _A.AR4,
        _S.COLLISION_REQUESTOR_LOCAL: _A.AR9,
        _S.COLLISION_ACCEPTOR_LOCAL: _A.AR4,
    },
    Event.ABORT_REQUEST: {
        _S.AWAIT_LOCAL_ASSOCIATE_RESPONSE: _A.AA1,
        _S.AWAIT_CONNECTION: _A.AA2,
        **dict.fromkeys(_ON_THE_WAY, _A.AA1),
    },
    Event.ABORT: {
        _S.AWAIT_REQUEST: _A.AA2,
        _S.AWAIT_LOCAL_ASSOCIATE_RESPONSE: _A.AA3,
        **dict.fromkeys(_ON_THE_WAY, _A.AA3),
        _S.AWAIT_CLOSE: _A.AA2,
    },
    Event.CLOSED: {
        _S.AWAIT_REQUEST: _A.AA5,
        _S.AWAIT_LOCAL_ASSOCIATE_RESPONSE: _A.AA4,
        _S.AWAIT_CONNECTION: _A.AA4,
        **dict.fromkeys(_ON_THE_WAY, _A.AA4),
        _S.AWAIT_CLOSE: _A.AR5,
    },
    Event.ARTIM_EXPIRED: {_S.AWAIT_REQUEST: _A.AA2, _S.AWAIT_CLOSE: _A.AA2},
    Event.INVALID_PDU: {**_PDU_OUT_OF_TURN, _S.AWAIT_CLOSE: _A.AA7},
}
"""What happens on an event in a state; a cell that is not here cannot occur, or is the local user's mistake."""

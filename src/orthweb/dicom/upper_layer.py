"""An association as a state machine without I/O (PS3.8 section 9.2): bytes in, indications and bytes out.

The time is passed in, in seconds of any clock that only goes forward. Whoever drives it hands in what the connection
delivers, sends `take_output()`, closes the connection once `finished`, and calls `expire` when `deadline` has come.
"""

from __future__ import annotations

from orthweb.dicom import pdus
from orthweb.dicom.errors import InvalidPdu, WrongState, abortion
from orthweb.dicom.framing import DataBegins, Fragment, Framer, Piece
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
from orthweb.dicom.negotiation import AcceptedContexts, accepted_contexts, longest_taken
from orthweb.dicom.pdus import Abort, AssociateAccept, AssociateReject, AssociateRequest
from orthweb.dicom.states import PDU_EVENTS, TABLE, Action, Event, State
from orthweb.dicom.timers import ARTIM_STATES, Timers

_OVER = {State.IDLE, State.AWAIT_CLOSE}
# Before there is a connection nothing can be heard, and nothing is to be cut into PDUs.
_UNHEARD = {State.IDLE, State.AWAIT_CONNECTION}
_VERSION_1 = 1
_UNEXPECTED_PDU = 2
_NOBODY = AssociateRequest("", "", ())
_UNSUPPORTED_VERSION = AssociateReject(result=1, source=2, reason=2)


class UpperLayer:
    """One association, in the role of the requestor when `request` is given, of the acceptor otherwise."""

    def __init__(self, limits: Limits, now: float, request: AssociateRequest | None = None) -> None:
        self.state = State.IDLE
        self.why = ""
        """Why the association ended before its release, in words; empty while it didn't."""
        self.contexts: AcceptedContexts = {}
        self.peer_maximum = 0
        """Longest P-DATA-TF that the peer takes, in bytes without its header; 0 is no limit."""
        self.request = request or _NOBODY
        """What the requestor asked for; empty in the acceptor until it has come."""
        self._limits = limits
        self._requestor = request is not None
        self._framer = Framer(limits)
        self._output: list[bytes] = []
        self._indications: list[Indication] = []
        self._timers = Timers(limits, now)
        self._passing = False
        self._deaf = False
        self._step(Event.ASSOCIATE_REQUEST if self._requestor else Event.CONNECTION)

    @property
    def finished(self) -> bool:
        """Nothing more will come of it: once the output is sent, the connection is to be closed."""
        return self.state is State.IDLE

    @property
    def established(self) -> bool:
        """Messages may be sent."""
        return self.state is State.ESTABLISHED

    @property
    def deadline(self) -> float | None:
        """When `expire` has to be called, in the clock that `now` is of; None is never."""
        return self._timers.deadline

    def take_output(self) -> bytes:
        """What is to be sent now."""
        output = b"".join(self._output)
        self._output.clear()
        return output

    def touch(self, now: float) -> None:
        """Tell that the local user was at work, or that the peer took bytes: the association is not idle."""
        self._timers.now = now
        self._timers.touch()

    def connected(self, now: float) -> None:
        """The connection that the requestor asked for is there."""
        self._timers.now = now
        self._step(Event.CONNECTED)

    def received(self, data: memoryview, now: float) -> list[Indication]:
        """Take bytes of the peer; the views in the indications hold until the next call."""
        self.touch(now)
        if self._hears():
            for piece in self._framer.feed(data):
                self._take(piece)
                if not self._hears():
                    break
            self._timers.inside_pdu(self._framer.inside, self._framer.begun)
        return self._indicated()

    def closed(self, now: float) -> list[Indication]:
        """The connection is gone."""
        self._timers.now = now
        if not self.finished:
            self._step(Event.CLOSED)
        return self._indicated()

    def expire(self, now: float) -> list[Indication]:
        """End what took too long."""
        self._timers.now = now
        why = self._timers.expired()
        if why is None:
            return []
        if self.state in ARTIM_STATES:
            if self.state is State.AWAIT_REQUEST:
                self.why = why
            self._step(Event.ARTIM_EXPIRED)
        else:
            self.abort(now, why)
            self._indications.append(Aborted(None, 0, why))
        return self._indicated()

    def accept(self, pdu: AssociateAccept, now: float) -> None:
        """Take the association that the peer asked for."""
        self._timers.now = now
        self._step(Event.ACCEPT, pdu)

    def reject(self, pdu: AssociateReject, now: float) -> None:
        """Refuse the association that the peer asked for."""
        self._timers.now = now
        self._step(Event.REJECT, pdu)

    def may_send(self) -> None:
        """Check that a P-DATA-TF may be sent now; raises WrongState."""
        if self.state is not State.ESTABLISHED:
            self._step(Event.DATA_REQUEST)

    def data_header(self, context_id: int, length: int, command: bool, last: bool) -> bytes:
        """The 12 bytes to send before a fragment of `length` bytes.

        Raises
        ------
        WrongState
            The association takes no data now.
        ValueError
            The context is not accepted, or the fragment longer than the peer takes.
        """
        if context_id not in self.contexts:
            raise ValueError(f"presentation context {context_id} is not accepted")
        if self.peer_maximum and length + 6 > self.peer_maximum:
            raise ValueError(f"a fragment of {length} bytes is over the peer's {self.peer_maximum}")
        self.may_send()
        return pdus.data_header(context_id, length, command, last)

    def release(self, now: float) -> None:
        """Ask the peer for the release."""
        self._timers.now = now
        self._step(Event.RELEASE_REQUEST)

    def release_response(self, now: float) -> None:
        """Agree to the release that the peer asked for."""
        self._timers.now = now
        self._step(Event.RELEASE_RESPONSE)

    def abort(self, now: float, why: str = "aborted here") -> None:
        """End the association at once; when there is none yet, or it is over already, nothing happens."""
        self._timers.now = now
        if self.state not in ARTIM_STATES | {State.IDLE}:
            self.why = why
            self._step(Event.ABORT_REQUEST)

    def _hears(self) -> bool:
        return self.state not in _UNHEARD and not self._deaf

    def _indicated(self) -> list[Indication]:
        indications, self._indications = self._indications, []
        if indications and isinstance(indications[-1], Aborted):
            # Nobody can answer these any more.
            return [one for one in indications if not isinstance(one, AssociateRequested | ReleaseRequested)]
        return indications

    def _take(self, piece: Piece) -> None:
        if isinstance(piece, Fragment):
            # What was on the way when we aborted is of no interest.
            if self._passing and (self.state is State.ESTABLISHED or self.state not in _OVER):
                self._pass(piece)
        elif isinstance(piece, DataBegins):
            if self.state is State.ESTABLISHED:
                # DT-2, without a look at the table: most of what comes is data.
                self._passing = True
                return
            self._passing = TABLE[Event.DATA_TF][self.state] in (Action.DT2, Action.AR6)
            self._step(Event.DATA_TF, "P-DATA-TF")
        elif isinstance(piece, InvalidPdu):
            self._invalid(piece)
        else:
            try:
                self._step(PDU_EVENTS[piece.kind], self._parse(piece.kind, piece.body))
            except InvalidPdu as error:
                self._invalid(error)

    def _pass(self, fragment: Fragment) -> None:
        if fragment.context_id in self.contexts:
            self._indications.append(fragment)
        else:
            self._invalid(InvalidPdu(f"data on presentation context {fragment.context_id}, which is not accepted"))

    def _parse(self, kind: int, body: memoryview) -> object:
        expected = TABLE[PDU_EVENTS[kind]][self.state]
        if expected is Action.AE6:
            return pdus.parse_associate_request(body, self._limits)
        if expected is Action.AE3:
            return pdus.parse_associate_accept(body, self._limits)
        if expected is Action.AE4:
            return pdus.parse_reject(body)
        return pdus.parse_abort(body) if kind == pdus.ABORT else pdus.name(kind)

    def _invalid(self, error: InvalidPdu) -> None:
        self._deaf = True
        self._step(Event.INVALID_PDU, error)

    def _step(self, event: Event, detail: object = None) -> None:
        action = TABLE[event].get(self.state)
        if action is None:
            raise WrongState(f"{event.name} is not possible in state {self.state.value} ({self.state.name})")
        self._act(action, detail)

    def _act(self, action: Action, detail: object) -> None:
        """Do what PS3.8 tables 9-6 to 9-9 say."""
        match action, detail:
            case Action.AE1, _:
                self._enter(State.AWAIT_CONNECTION)
            case Action.AE2, _:
                self._send(pdus.build_associate(self.request), State.AWAIT_ACCEPT)
            case Action.AE3, AssociateAccept():
                self._agree(detail)
                self._indicate(Associated(detail), State.ESTABLISHED)
            case Action.AE4, AssociateReject():
                self.why = "the peer rejected the association"
                self._indicate(Rejected(detail), State.IDLE)
            case Action.AE5, _:
                self._enter(State.AWAIT_REQUEST)
            case Action.AE6, AssociateRequest(protocol_version=version) if version & _VERSION_1:
                self.request = detail
                self._indicate(AssociateRequested(detail), State.AWAIT_LOCAL_ASSOCIATE_RESPONSE)
            case Action.AE6, AssociateRequest(protocol_version=version):
                self.why = f"protocol version {version:04X}H"
                self._send(pdus.build_reject(_UNSUPPORTED_VERSION), State.AWAIT_CLOSE)
            case Action.AE7, AssociateAccept():
                self._agree(detail)
                self._send(pdus.build_associate(detail), State.ESTABLISHED)
            case Action.AE8, AssociateReject():
                self._send(pdus.build_reject(detail), State.AWAIT_CLOSE)
            case ((Action.DT1 | Action.DT2 | Action.AR6 | Action.AR7 | Action.AA6), _):
                # What passes, or is of no interest any more, changes nothing.
                pass
            case Action.AR1, _:
                self._send(pdus.build_release(pdus.RELEASE_RQ), State.AWAIT_RELEASE_RESPONSE)
            case Action.AR2, _:
                self._indicate(ReleaseRequested(), State.AWAIT_LOCAL_RELEASE_RESPONSE)
            case Action.AR3, _:
                self._indicate(Released(), State.IDLE)
            case Action.AR4, _:
                self._send(pdus.build_release(pdus.RELEASE_RP), State.AWAIT_CLOSE)
            case Action.AR8, _:
                after = State.COLLISION_REQUESTOR_LOCAL if self._requestor else State.COLLISION_ACCEPTOR_REMOTE
                self._indicate(ReleaseRequested(), after)
            case Action.AR9, _:
                self._send(pdus.build_release(pdus.RELEASE_RP), State.COLLISION_REQUESTOR_REMOTE)
            case Action.AR10, _:
                self._indicate(Released(), State.COLLISION_ACCEPTOR_LOCAL)
            case Action.AA1, _:
                self.why = self.why or _problem(detail)
                self._send(pdus.build_abort(Abort(0, 0)), State.AWAIT_CLOSE)
            case ((Action.AA2 | Action.AR5 | Action.AA5), _):
                self._enter(State.IDLE)
            case Action.AA3, Abort(source, reason):
                self.why = abortion(source, reason)
                self._indicate(Aborted(source, reason, self.why), State.IDLE)
            case Action.AA4, _:
                self.why = "the connection was lost"
                self._indicate(Aborted(None, 0, self.why), State.IDLE)
            case Action.AA7, _:
                self._send(pdus.build_abort(Abort(2, _abort_reason(detail))), State.AWAIT_CLOSE)
            case Action.AA8, _:
                self.why = _problem(detail)
                reason = _abort_reason(detail)
                self._send(pdus.build_abort(Abort(2, reason)), State.AWAIT_CLOSE)
                self._indicate(Aborted(None, reason, self.why), State.AWAIT_CLOSE)

    def _send(self, pdu: bytes, after: State) -> None:
        self._output.append(pdu)
        self._enter(after)

    def _indicate(self, indication: Indication, after: State) -> None:
        self._indications.append(indication)
        self._enter(after)

    def _enter(self, state: State) -> None:
        if state is self.state:
            return
        self.state = state
        self._timers.enter(state)

    def _agree(self, accept: AssociateAccept) -> None:
        self.contexts = accepted_contexts(self.request, accept)
        self.peer_maximum = longest_taken(accept if self._requestor else self.request)


def _abort_reason(detail: object) -> int:
    return detail.reason if isinstance(detail, InvalidPdu) else _UNEXPECTED_PDU


def _problem(detail: object) -> str:
    return str(detail) if isinstance(detail, InvalidPdu) else f"{detail} out of turn"

"""The times that an association is held to, and which of them count in which state."""

from __future__ import annotations

from orthweb.dicom.limits import Limits
from orthweb.dicom.states import State

ARTIM_STATES = {State.AWAIT_REQUEST, State.AWAIT_CLOSE}
"""Where the ARTIM timer of PS3.8 section 9.1.5 runs; it ends the association without a word."""

_WAITING_FOR_PEER = {
    State.AWAIT_ACCEPT,
    State.AWAIT_RELEASE_RESPONSE,
    State.COLLISION_ACCEPTOR_REMOTE,
    State.COLLISION_REQUESTOR_REMOTE,
}


class Timers:
    """When what has to have happened, in seconds of the clock that `now` is of."""

    def __init__(self, limits: Limits, now: float) -> None:
        self.now = now
        self._limits = limits
        self._state = State.IDLE
        self._answer: float | None = None
        self._pdu: float | None = None
        self._pdus_begun = 0
        self._idle = now + limits.idle_seconds

    def touch(self) -> None:
        """Somebody was at work."""
        self._idle = self.now + self._limits.idle_seconds

    def enter(self, state: State) -> None:
        """Start what runs in a state."""
        self._state = state
        self._answer = None
        if state is State.AWAIT_CLOSE:
            self._answer = self.now + self._limits.closing_seconds
        elif state is State.AWAIT_REQUEST or state in _WAITING_FOR_PEER:
            self._answer = self.now + self._limits.request_seconds

    def inside_pdu(self, inside: bool, begun: int) -> None:
        """Tell whether a PDU is there in part, and how many have begun in all: each has its own time."""
        if not inside:
            self._pdu = None
        elif begun != self._pdus_begun:
            self._pdu = self.now + self._limits.pdu_seconds
        self._pdus_begun = begun

    @property
    def deadline(self) -> float | None:
        """When the next time is over; None is never."""
        return min((time for time, _, _ in self._running()), default=None)

    def expired(self) -> str | None:
        """Say in words what was not there in time; None while all is in time."""
        over = [f"{what} after {seconds:g} s" for time, what, seconds in self._running() if self.now >= time]
        return over[0] if over else None

    def _running(self) -> list[tuple[float, str, float]]:
        limits, running = self._limits, []
        if self._answer is not None:
            what = "no whole A-ASSOCIATE-RQ" if self._state is State.AWAIT_REQUEST else "no answer from the peer"
            seconds = limits.closing_seconds if self._state is State.AWAIT_CLOSE else limits.request_seconds
            running.append((self._answer, what, seconds))
        if self._pdu is not None and self._state is not State.IDLE and self._state not in ARTIM_STATES:
            running.append((self._pdu, "a PDU was not whole", limits.pdu_seconds))
        if self._state is State.ESTABLISHED:
            running.append((self._idle, "nothing from the peer", limits.idle_seconds))
        return running

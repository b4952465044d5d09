"""What a send decides by: how many associations, which trouble passes, and what a status makes of an instance."""

from __future__ import annotations

import socket
import ssl

from orthweb.dicom.errors import AssociationRejected
from orthweb.dicom.statuses import Verdict, words
from orthweb.transfer.results import Outcome, Result
from orthweb.transfer.sources import Instance

MOST_ASSOCIATIONS = 16
_LEAST_ASSOCIATIONS = 4
# Of round trip for each association more than the least: 16 of them from 36 ms on.
_SECONDS_AN_ASSOCIATION = 0.003


def associations_for(round_trip: float) -> int:
    """How many associations fill a line: each instance waits for one round trip, and only others can use that time.

    Parameters
    ----------
    round_trip:
        Seconds from the request of an association to its answer.
    """
    return min(MOST_ASSOCIATIONS, _LEAST_ASSOCIATIONS + round(round_trip / _SECONDS_AN_ASSOCIATION))


def error_is_final(error: Exception) -> bool:
    """Another try would fail for the same reason: the peer's refusal for good, or missing trust."""
    if isinstance(error, AssociationRejected):
        return not error.transient
    if isinstance(error, socket.gaierror):
        return error.errno != socket.EAI_AGAIN
    return isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError)


def judged_as(instance: Instance, judged: Verdict, status: int) -> Result:
    """The result of an instance whose response was judged so."""
    match judged:
        case Verdict.ACCEPTED:
            return Result(instance, Outcome.ACCEPTED, status=status)
        case Verdict.WARNING:
            return Result(instance, Outcome.WARNING, words(status), status)
        case _:
            return Result(instance, Outcome.REFUSED, words(status), status)

"""What an association tells its local user (PS3.8 section 7)."""

from __future__ import annotations

from dataclasses import dataclass

from orthweb.dicom.framing import Fragment
from orthweb.dicom.pdus import AssociateAccept, AssociateReject, AssociateRequest


@dataclass(frozen=True)
class AssociateRequested:
    """A peer asks for an association: answer with `accept` or `reject`."""

    request: AssociateRequest


@dataclass(frozen=True)
class Associated:
    """The peer took the association."""

    accept: AssociateAccept


@dataclass(frozen=True)
class Rejected:
    """The peer refused the association."""

    reject: AssociateReject


@dataclass(frozen=True)
class ReleaseRequested:
    """The peer asks for the release: answer with `release_response`."""


@dataclass(frozen=True)
class Released:
    """The peer agreed to the release that was asked for."""


@dataclass(frozen=True)
class Aborted:
    """The association is over, without a release.

    Parameters
    ----------
    source:
        0 the peer's user, 2 the peer's upper layer (PS3.8 table 9-26); None when it ended here: a broken connection,
        a PDU that cannot be, a time that ran out.
    why:
        In words.
    """

    source: int | None
    reason: int
    why: str


Indication = AssociateRequested | Associated | Rejected | Fragment | ReleaseRequested | Released | Aborted

"""What can go wrong with an association, as exceptions."""

from __future__ import annotations


class DicomError(Exception):
    """An association or a message on it failed."""


class InvalidPdu(DicomError):
    """Bytes that are no PDU of PS3.8 section 9.3, or one that breaks a limit.

    Parameters
    ----------
    message:
        What is wrong.
    reason:
        Reason of the A-ABORT that answers it (PS3.8 table 9-26): 1 unrecognized PDU, 6 invalid parameter value.
    """

    def __init__(self, message: str, reason: int = 6) -> None:
        super().__init__(message)
        self.reason = reason


class InvalidCommand(DicomError):
    """Bytes that are no command set of PS3.7 annex E."""


class WrongState(DicomError):
    """The local user asked for what the association's state does not allow."""


class AssociationRejected(DicomError):
    """The peer answered with an A-ASSOCIATE-RJ (PS3.8 table 9-21)."""

    def __init__(self, result: int, source: int, reason: int) -> None:
        super().__init__(f"association rejected: {rejection(result, source, reason)}")
        self.result, self.source, self.reason = result, source, reason

    @property
    def transient(self) -> bool:
        """Worth another try later."""
        return self.result == 2


class AssociationAborted(DicomError):
    """The association ended before it was released: by the peer, by the connection's loss or by us."""


class NotAccepted(DicomError):
    """The peer takes no presentation context that the message needs."""

    def __init__(self, message: str, abstract_syntax: str = "") -> None:
        super().__init__(message)
        self.abstract_syntax = abstract_syntax


class OperationFailed(DicomError):
    """The peer answered a request with a status that says it was not done (PS3.7 annex C)."""

    def __init__(self, what: str, status: int) -> None:
        super().__init__(what)
        self.status = status


_REJECTIONS = {
    (1, 1): "no reason given",
    (1, 2): "application context name not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 1): "no reason given",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}
_ABORTS = {
    0: "no reason given",
    1: "unrecognized PDU",
    2: "unexpected PDU",
    4: "unrecognized PDU parameter",
    5: "unexpected PDU parameter",
    6: "invalid PDU parameter value",
}


def rejection(result: int, source: int, reason: int) -> str:
    """Say in words why an association was rejected (PS3.8 table 9-21)."""
    words = _REJECTIONS.get((source, reason), f"source {source}, reason {reason}")
    return f"{words} ({'for now' if result == 2 else 'for good'})"


def abortion(source: int, reason: int) -> str:
    """Say in words who aborted an association and why (PS3.8 table 9-26)."""
    if source == 0:
        return "aborted by the peer"
    return f"aborted by the peer's upper layer: {_ABORTS.get(reason, f'reason {reason}')}"

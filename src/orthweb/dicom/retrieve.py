"""C-GET and C-MOVE as their user: instances to here or to another peer, with their sub-operations (PS3.4 annex C)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from pydicom import Dataset

from orthweb.dicom import command as dimse
from orthweb.dicom.command import Command
from orthweb.dicom.items import Role
from orthweb.dicom.messages import CommandReceived, DatasetBytes
from orthweb.dicom.query import IDENTIFIER_SYNTAXES, InvalidIdentifier, ask, decode, failed, responses
from orthweb.dicom.reception import OpenSink, Reception, Sender
from orthweb.dicom.requestor import Peer, Proposal, Requestor
from orthweb.dicom.statuses import SUCCESS, UNRECOGNIZED_OPERATION, is_pending, is_warning
from orthweb.dicom.uids import STUDY_ROOT_GET, STUDY_ROOT_MOVE

MOVE_PROPOSAL: Proposal = (STUDY_ROOT_MOVE, IDENTIFIER_SYNTAXES)


@dataclass(frozen=True)
class SubOperations:
    """How far a C-GET or C-MOVE is, as the peer tells it; a number that it does not tell is 0.

    Parameters
    ----------
    failed_instances:
        SOP Instance UIDs that the last response names as failed; not every peer does.
    """

    remaining: int = 0
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_instances: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """All that the peer has announced."""
        return self.remaining + self.completed + self.failed + self.warning


Told = Callable[[SubOperations, int], None]
"""Is told how far it is, and how many bytes of datasets came since the last time."""


@contextmanager
def getting(peer: Peer, storage: Iterable[Proposal]) -> Iterator[Requestor]:
    """An association on which C-GET works for instances of at most 127 contexts; raises what `Requestor` does."""
    proposals = [(STUDY_ROOT_GET, IDENTIFIER_SYNTAXES), *storage]
    roles = [Role(sop_class, scu=False, scp=True) for sop_class in dict.fromkeys(name for name, _ in proposals[1:])]
    with Requestor(peer, proposals, roles) as requestor:
        yield requestor


def get(
    requestor: Requestor,
    identifier: Dataset,
    open_sink: OpenSink,
    told: Told,
    stop: Callable[[], bool] = lambda: False,
) -> SubOperations:
    """Have instances sent on this association.

    Parameters
    ----------
    identifier:
        Unique keys of what to send, with the Query/Retrieve Level (PS3.4 C.4.3.1.3).
    open_sink:
        Decides about each instance.
    told:
        An error that it raises ends the association.
    stop:
        Is asked after each instance: when it says so, the rest is cancelled.

    Returns
    -------
    The sub-operations as the last response counts them.

    Raises
    ------
    NotAccepted
        The peer does not offer C-GET.
    OperationFailed
        It says that it failed.
    AssociationAborted, WrongState
        The association is over; instances that were whole stay.
    """
    request, context_id = ask(requestor, dimse.C_GET_RQ, STUDY_ROOT_GET, identifier)
    syntax = requestor.contexts[context_id][1]
    storage = _Storage(requestor, open_sink, told, lambda: stop() and _cancel(requestor, context_id, request))
    try:
        for answer in responses(requestor, request, storage.others()):
            storage.progress = _counts(answer.command, answer.dataset, syntax)
            told(storage.progress, 0)
    finally:
        storage.reception.discard()
    return _judged("the retrieval", answer.command, storage.progress)


def move(requestor: Requestor, identifier: Dataset, destination: str, told: Told) -> SubOperations:
    """Have instances sent by the peer to another one, that it knows by its AE title; as `get` in all else."""
    request, context_id = ask(requestor, dimse.C_MOVE_RQ, STUDY_ROOT_MOVE, identifier, destination)
    syntax = requestor.contexts[context_id][1]
    for answer in responses(requestor, request):
        progress = _counts(answer.command, answer.dataset, syntax)
        told(progress, 0)
    return _judged(f"the move to {destination}", answer.command, progress)


class _Storage:
    """The peer's C-STORE requests on an association that is ours: takes them, and lets the rest through."""

    def __init__(self, requestor: Requestor, open_sink: OpenSink, told: Told, cancelled: Callable[[], bool]) -> None:
        peer = requestor.peer
        self.reception = Reception(open_sink, Sender(peer.host, peer.called_ae_title, peer.calling_ae_title))
        self.progress = SubOperations()
        self._requestor, self._told, self._cancelled = requestor, told, cancelled
        self._over = False
        self._context_id = 0
        self._asked = False

    def others(self) -> Iterator[CommandReceived | DatasetBytes]:
        """The messages of the association but for the peer's requests, which are answered."""
        for received in self._requestor.messages(self.reception.flush):
            if isinstance(received, CommandReceived):
                self._asked = not received.command.is_response
            if not self._asked:
                yield received
            elif isinstance(received, CommandReceived):
                self._begin(received)
            else:
                self._take(received)

    def _begin(self, received: CommandReceived) -> None:
        command = received.command
        if command.command_field == dimse.C_STORE_RQ and command.has_dataset:
            self._context_id = received.context_id
            self.reception.begin(command, self._requestor.contexts[received.context_id][1])
        elif command.command_field != dimse.C_CANCEL_RQ:
            refusal = dimse.response(command, UNRECOGNIZED_OPERATION)
            self._requestor.association.send_command(received.context_id, refusal)

    def _take(self, data: DatasetBytes) -> None:
        size = len(data.data)
        response = self.reception.take(data)
        if response is not None:
            self._requestor.association.send_command(self._context_id, response)
            self._over = self._over or self._cancelled()
        self._told(self.progress, size)


def _cancel(requestor: Requestor, context_id: int, request: Command) -> bool:
    requestor.association.send_command(context_id, dimse.cancel(request.message_id or 0))
    return True


def _counts(response: Command, dataset: bytes, syntax: str) -> SubOperations:
    named: tuple[str, ...] = ()
    if dataset and not is_pending(response.status or 0):
        # The list is of use, and nothing depends on it.
        with suppress(InvalidIdentifier):
            named = tuple(decode(dataset, syntax).get("FailedSOPInstanceUIDList") or ())
    remaining, completed = response.remaining or 0, response.completed or 0
    return SubOperations(remaining, completed, response.failed or 0, response.warning or 0, named)


def _judged(what: str, response: Command, progress: SubOperations) -> SubOperations:
    status = response.status or 0
    if status == SUCCESS or is_warning(status):
        return progress
    raise failed(what, response)

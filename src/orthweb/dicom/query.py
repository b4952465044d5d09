"""C-FIND as its user: identifiers as datasets, one match after the other (PS3.4 annex C)."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydicom import Dataset, config
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from orthweb.dicom import command as dimse
from orthweb.dicom.command import Command
from orthweb.dicom.errors import DicomError, OperationFailed
from orthweb.dicom.messages import CommandReceived, DatasetBytes
from orthweb.dicom.requestor import Answer, Proposal, Requestor
from orthweb.dicom.statuses import CANCELLED, SUCCESS, is_pending, words
from orthweb.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, STUDY_ROOT_FIND

IDENTIFIER_SYNTAXES = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
"""What pydicom raises on bytes that are no dataset."""


class InvalidIdentifier(DicomError):
    """The dataset of a response cannot be read."""


class Incomplete(DicomError):
    """The peer ended a query before all matches were told, without being asked to."""


def find_proposal(model: str = STUDY_ROOT_FIND) -> Proposal:
    """The presentation context that a query needs."""
    return model, IDENTIFIER_SYNTAXES


def find(
    requestor: Requestor,
    identifier: Dataset,
    limit: int | None = None,
    model: str = STUDY_ROOT_FIND,
    fits: Callable[[Dataset], bool] = lambda match: True,
) -> Iterator[Dataset]:
    """Query for matches. Nothing else may be asked on the association before the last of them was taken.

    Parameters
    ----------
    identifier:
        Keys, with the Query/Retrieve Level (PS3.4 C.4.1.1.3).
    limit:
        After so many matches the query is cancelled, and ends.
    model:
        SOP class of the information model.
    fits:
        Says what of that which the peer tells is a match: it may pass over keys that it does not support.

    Raises
    ------
    NotAccepted
        The peer does not offer queries.
    OperationFailed
        It says that it failed.
    Incomplete
        It told fewer matches than it has, after the last one that it told.
    InvalidIdentifier
        A match cannot be read.
    AssociationAborted, WrongState
        The association is over.
    """
    request, context_id = ask(requestor, dimse.C_FIND_RQ, model, identifier)
    syntax = requestor.contexts[context_id][1]
    told = 0
    for answer in responses(requestor, request):
        if is_pending(answer.command.status or 0):
            match = decode(answer.dataset, syntax)
            # What was on the way when the query was cancelled is more than was asked for.
            if told == limit or not fits(match):
                continue
            told += 1
            yield match
            if told == limit:
                requestor.association.send_command(context_id, dimse.cancel(request.message_id or 0))
        elif answer.command.status == CANCELLED and told != limit:
            raise Incomplete(f"it told {told} matches and ended the query before the last")
        elif answer.command.status not in (SUCCESS, CANCELLED):
            raise failed("the query", answer.command)


def ask(
    requestor: Requestor, kind: int, model: str, identifier: Dataset, destination: str | None = None
) -> tuple[Command, int]:
    """Send a request with an identifier; returns it and the id of its presentation context. Raises as `find`."""
    context_id = requestor.context_for(model)
    request = dimse.request(kind, requestor.next_message_id(), model, dataset=True, move_destination=destination)
    requestor.association.send_message(context_id, request, encode(identifier, requestor.contexts[context_id][1]))
    return request, context_id


def responses(
    requestor: Requestor, request: Command, messages: Iterator[CommandReceived | DatasetBytes] | None = None
) -> Iterator[Answer]:
    """The responses to a request, the last of them the one whose status is not pending; `messages` as `answers` has."""
    for answer in requestor.answers(messages):
        command = answer.command
        if command.is_response and command.responded_id == request.message_id:
            yield answer
            if not is_pending(command.status or 0):
                return


def failed(what: str, response: Command) -> OperationFailed:
    """The error for a response that says that `what` failed."""
    status = response.status or 0
    comment = f", it says {response.error_comment!r}" if response.error_comment else ""
    return OperationFailed(f"{what} failed: {words(status)}{comment}", status)


def encode(identifier: Dataset, transfer_syntax: str) -> bytes:
    """Encode an identifier; characters beyond ASCII have to fit its Specific Character Set."""
    buffer = DicomBytesIO()
    buffer.is_little_endian = True
    buffer.is_implicit_VR = transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN
    with lenient():
        write_dataset(buffer, identifier)
    return bytes(buffer.getvalue())


def decode(data: bytes, transfer_syntax: str) -> Dataset:
    """Decode an identifier with all its values; raises InvalidIdentifier."""
    with lenient():
        try:
            found = read_dataset(io.BytesIO(data), transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN, True)
            found.decode()
            # Values are made on first use.
            str(found)
        except UNREADABLE as error:
            raise InvalidIdentifier(f"a match cannot be read: {error}") from None
    return found


@contextmanager
def lenient() -> Iterator[None]:
    """Let pydicom take what the standard doesn't allow, without a word: what a peer keeps is still its answer."""
    strict = config.convert_wrong_length_to_UN
    with config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config.convert_wrong_length_to_UN = True
        try:
            yield
        finally:
            config.convert_wrong_length_to_UN = strict

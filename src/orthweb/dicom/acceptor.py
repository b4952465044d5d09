"""The role that is asked for an association: negotiation, C-ECHO and C-STORE as their provider."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from orthweb.dicom import command as dimse
from orthweb.dicom.association import Association
from orthweb.dicom.errors import AssociationAborted, InvalidCommand, WrongState
from orthweb.dicom.framing import Fragment
from orthweb.dicom.indications import Aborted, AssociateRequested, Indication, ReleaseRequested
from orthweb.dicom.items import UserInformation
from orthweb.dicom.limits import Limits
from orthweb.dicom.messages import Assembler, CommandReceived
from orthweb.dicom.pdus import (
    ABSTRACT_SYNTAX_NOT_SUPPORTED,
    ACCEPTED,
    TRANSFER_SYNTAXES_NOT_SUPPORTED,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextResult,
    PresentationContext,
)
from orthweb.dicom.reception import OpenSink, Reception, Sender
from orthweb.dicom.statuses import SUCCESS, UNRECOGNIZED_OPERATION
from orthweb.dicom.transport import Channel, now
from orthweb.dicom.uids import (
    APPLICATION_CONTEXT,
    IMPLEMENTATION_CLASS,
    IMPLEMENTATION_VERSION,
    OTHER_STORAGE,
    STANDARD_STORAGE_PREFIX,
    VERIFICATION,
)
from orthweb.dicom.upper_layer import UpperLayer

log = logging.getLogger(__name__)

APPLICATION_CONTEXT_NOT_SUPPORTED = AssociateReject(result=1, source=1, reason=2)
CALLED_AE_TITLE_NOT_RECOGNIZED = AssociateReject(result=1, source=1, reason=7)
LOCAL_LIMIT_EXCEEDED = AssociateReject(result=2, source=3, reason=2)


def any_storage(sop_class: str) -> bool:
    """Every storage SOP class of the standard, and every class that is not of the standard: a vendor's own."""
    standard = sop_class.startswith("1.2.840.10008.")
    return not standard or sop_class.startswith(STANDARD_STORAGE_PREFIX) or sop_class in OTHER_STORAGE


def any_syntax(_transfer_syntax: str) -> bool:
    """Every transfer syntax: a dataset is kept as it comes."""
    return True


@dataclass(frozen=True)
class StorageService:
    """What an acceptor takes.

    Parameters
    ----------
    open_sink:
        Decides about each instance.
    ae_title:
        Called AE title that is asked for; None takes any.
    sop_class, transfer_syntax:
        Say what is taken; of the transfer syntaxes of a presentation context the requestor's first that is.
    """

    open_sink: OpenSink
    ae_title: str | None = None
    sop_class: Callable[[str], bool] = any_storage
    transfer_syntax: Callable[[str], bool] = any_syntax


class Acceptor:
    """One association that a peer asked for."""

    def __init__(
        self,
        channel: Channel,
        address: str,
        service: StorageService,
        limits: Limits,
        refusal: AssociateReject | None = None,
    ) -> None:
        self._layer = UpperLayer(limits, now())
        self._association = Association(channel, self._layer, limits)
        self._assembler = Assembler(limits)
        self._service, self._limits, self._refusal = service, limits, refusal
        self._sender = Sender(address, "", "", channel.peer_certificate())
        self._reception = Reception(service.open_sink, self._sender)

    def serve(self) -> None:
        """Serve the association until it is over; whatever the peer does, this returns."""
        try:
            while not self._layer.finished:
                for indication in self._association.wait():
                    self._handle(indication)
                self._reception.flush()
        except (AssociationAborted, WrongState) as error:
            # The peer went while it was being answered.
            log.info("%s: %s", self._sender.address, error)
        finally:
            self._reception.discard()
            self._association.close()
            if self._layer.why:
                log.info("%s %r: %s", self._sender.address, self._sender.calling_ae_title, self._layer.why)

    def _handle(self, indication: Indication) -> None:
        if self._layer.why and not isinstance(indication, Aborted):
            # It was given up before this came.
            return
        match indication:
            case Fragment():
                self._take(indication)
            case AssociateRequested(request):
                self._negotiate(request)
            case ReleaseRequested():
                self._layer.release_response(now())
            case Aborted():
                self._reception.discard()

    def _negotiate(self, request: AssociateRequest) -> None:
        sender = Sender(
            self._sender.address, request.calling_ae_title, request.called_ae_title, self._sender.certificate
        )
        self._sender, self._reception = sender, Reception(self._service.open_sink, sender)
        refusal = self._refusal or self._refused(request)
        if refusal is not None:
            self._layer.reject(refusal, now())
            return
        information = UserInformation(self._limits.maximum_length, IMPLEMENTATION_CLASS, IMPLEMENTATION_VERSION)
        results = tuple(self._judge(context) for context in request.contexts)
        accept = AssociateAccept(request.calling_ae_title, request.called_ae_title, results, information)
        self._layer.accept(accept, now())

    def _refused(self, request: AssociateRequest) -> AssociateReject | None:
        if request.application_context != APPLICATION_CONTEXT:
            return APPLICATION_CONTEXT_NOT_SUPPORTED
        if self._service.ae_title not in (None, request.called_ae_title):
            return CALLED_AE_TITLE_NOT_RECOGNIZED
        return None

    def _judge(self, context: PresentationContext) -> ContextResult:
        if context.abstract_syntax != VERIFICATION and not self._service.sop_class(context.abstract_syntax):
            return ContextResult(context.id, ABSTRACT_SYNTAX_NOT_SUPPORTED)
        for syntax in context.transfer_syntaxes:
            if self._service.transfer_syntax(syntax):
                return ContextResult(context.id, ACCEPTED, syntax)
        return ContextResult(context.id, TRANSFER_SYNTAXES_NOT_SUPPORTED)

    def _take(self, fragment: Fragment) -> None:
        try:
            taken = self._assembler.take(fragment)
        except InvalidCommand as error:
            self._layer.abort(now(), str(error))
            self._reception.discard()
            return
        if isinstance(taken, CommandReceived):
            self._begin(taken)
        elif taken is not None:
            response = self._reception.take(taken)
            if response is not None:
                self._association.send_command(fragment.context_id, response)

    def _begin(self, received: CommandReceived) -> None:
        command = received.command
        if command.is_response or command.command_field == dimse.C_CANCEL_RQ:
            # Nothing here is asked, and nothing lasts long enough to be cancelled.
            return
        if command.command_field == dimse.C_STORE_RQ and command.has_dataset:
            self._reception.begin(command, self._layer.contexts[received.context_id][1])
            return
        known = command.command_field == dimse.C_ECHO_RQ
        response = dimse.response(command, SUCCESS if known else UNRECOGNIZED_OPERATION)
        self._association.send_command(received.context_id, response)

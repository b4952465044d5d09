"""The role that asks for an association: connect, negotiate, and C-ECHO."""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from orthweb.dicom import command as dimse
from orthweb.dicom.association import Association
from orthweb.dicom.command import Command
from orthweb.dicom.errors import (
    AssociationAborted,
    AssociationRejected,
    InvalidCommand,
    NotAccepted,
)
from orthweb.dicom.framing import Fragment
from orthweb.dicom.indications import Aborted, Associated, Indication, Rejected, ReleaseRequested
from orthweb.dicom.items import Role, UserInformation
from orthweb.dicom.limits import Limits
from orthweb.dicom.messages import Assembler, CommandReceived, DatasetBytes
from orthweb.dicom.pdus import AssociateAccept, AssociateRequest, PresentationContext
from orthweb.dicom.transport import connect, now
from orthweb.dicom.uids import IMPLEMENTATION_CLASS, IMPLEMENTATION_VERSION, VERIFICATION
from orthweb.dicom.upper_layer import UpperLayer

Proposal = tuple[str, tuple[str, ...]]
"""An abstract syntax and the transfer syntaxes to propose for it, in one presentation context."""
MOST_CONTEXTS = 128


@dataclass(frozen=True)
class Peer:
    """Whom to call and as whom.

    Parameters
    ----------
    tls:
        None for plain DICOM.
    server_name:
        Name that the peer's certificate has to hold; the host by default.
    """

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str = "ORTHWEB"
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    server_name: str | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Answer:
    """A response, with its dataset in the transfer syntax of the presentation context; empty when it has none."""

    context_id: int
    command: Command
    dataset: bytes


class Requestor:
    """An association that this side asked for. Use it as a context manager: it is released at the end, or aborted."""

    def __init__(self, peer: Peer, proposals: Sequence[Proposal], roles: Sequence[Role] = ()) -> None:
        """Connect and negotiate.

        Parameters
        ----------
        proposals:
            At most 128.
        roles:
            SOP classes whose SCP this side can be as well: for C-GET (PS3.7 D.3.3.4).

        Raises
        ------
        OSError, TimeoutError
            The connection could not be made, or the TLS handshake failed.
        AssociationRejected, AssociationAborted
            The peer does not want the association.
        """
        contexts = tuple(
            PresentationContext(2 * number + 1, abstract, syntaxes)
            for number, (abstract, syntaxes) in enumerate(proposals)
        )
        limits = peer.limits
        request = AssociateRequest(
            peer.calling_ae_title,
            peer.called_ae_title,
            contexts,
            UserInformation(limits.maximum_length, IMPLEMENTATION_CLASS, IMPLEMENTATION_VERSION, roles=tuple(roles)),
        )
        self.peer = peer
        layer = UpperLayer(limits, now(), request)
        channel, self.connect_seconds = connect(
            peer.host, peer.port, peer.tls, now() + limits.handshake_seconds, peer.server_name
        )
        self.tls_version = channel.tls_version()
        self.association = Association(channel, layer, limits)
        self._assembler = Assembler(limits)
        self._message_id = 0
        self._indications: deque[Indication] = deque()
        self.accepted = AssociateAccept("", "", ())
        """How the peer answered the request for the association."""
        asked = now()
        self._negotiate()
        self.negotiation_seconds = now() - asked
        """From the request of the association to its answer."""

    def __enter__(self) -> Requestor:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.association.release()
        else:
            self.association.abort("given up here")

    @property
    def contexts(self) -> Mapping[int, tuple[str, str]]:
        """Accepted presentation contexts: abstract and transfer syntax by id."""
        return self.association.layer.contexts

    def context_for(self, abstract_syntax: str, transfer_syntax: str | None = None) -> int:
        """The id of an accepted presentation context; raises NotAccepted."""
        for number, (abstract, syntax) in self.contexts.items():
            if abstract == abstract_syntax and transfer_syntax in (None, syntax):
                return number
        proposed = {context.abstract_syntax for context in self.association.layer.request.contexts}
        if abstract_syntax not in proposed or transfer_syntax is None:
            raise NotAccepted(f"the peer does not take SOP class {abstract_syntax}", abstract_syntax)
        wanted = f"SOP class {abstract_syntax} in transfer syntax {transfer_syntax}"
        raise NotAccepted(f"the peer does not take {wanted}", abstract_syntax)

    def next_message_id(self) -> int:
        """A Message ID (0000,0110) that no open request of this association has."""
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def echo(self) -> int:
        """C-ECHO; returns the status. Raises AssociationAborted, NotAccepted."""
        context_id = self.context_for(VERIFICATION)
        request = dimse.request(dimse.C_ECHO_RQ, self.next_message_id(), VERIFICATION)
        self.association.send_command(context_id, request)
        return self.response_to(request)

    def response_to(self, request: Command) -> int:
        """Wait for the response to a request that has one and no dataset; returns its status."""
        for answer in self.answers():
            if answer.command.is_response and answer.command.responded_id == request.message_id:
                return answer.command.status or 0
        raise AssociationAborted("no response")

    def answers(self, messages: Iterator[CommandReceived | DatasetBytes] | None = None) -> Iterator[Answer]:
        """Wait for whole messages, one after the other.

        Parameters
        ----------
        messages:
            Of these, which somebody picked from all; all of them by default.

        Raises
        ------
        AssociationAborted
            The association ended, or the peer sent what is no message.
        """
        for received in messages or self.messages():
            if isinstance(received, CommandReceived):
                head, dataset = received, bytearray()
                if received.command.has_dataset:
                    continue
            else:
                dataset += received.data
                if len(dataset) > self.peer.limits.identifier_length:
                    raise self._given_up(f"an identifier of more than {self.peer.limits.identifier_length} bytes")
                if not received.last:
                    continue
            yield Answer(head.context_id, head.command, bytes(dataset))

    def messages(self, before_waiting: Callable[[], None] = lambda: None) -> Iterator[CommandReceived | DatasetBytes]:
        """Wait for commands and the bytes of datasets as they come.

        Parameters
        ----------
        before_waiting:
            Called before more bytes are received: the views of what was told so far hold until it returns.
        """
        while True:
            indication = self._next_indication(before_waiting)
            if isinstance(indication, ReleaseRequested):
                self.association.layer.release_response(now())
                self.association.finish()
                raise AssociationAborted("the peer released the association")
            if isinstance(indication, Fragment):
                try:
                    taken = self._assembler.take(indication)
                except InvalidCommand as error:
                    raise self._given_up(str(error)) from None
                if taken is not None:
                    yield taken

    def _next_indication(self, before_waiting: Callable[[], None] = lambda: None) -> Indication:
        """The next that is no end of the association; raises AssociationAborted."""
        while not self._indications:
            before_waiting()
            self._indications.extend(self.association.wait())
        indication = self._indications.popleft()
        if isinstance(indication, Aborted):
            self.association.close()
            raise AssociationAborted(indication.why) from self.association.trouble
        return indication

    def _given_up(self, why: str) -> AssociationAborted:
        self.association.abort(why)
        return AssociationAborted(why)

    def _negotiate(self) -> None:
        self.association.layer.connected(now())
        try:
            indication = self._next_indication()
        except AssociationAborted:
            # With TLS 1.3 the peer judges our certificate after the handshake: its alert is the first that we read.
            if isinstance(self.association.trouble, ssl.SSLError):
                raise self.association.trouble from None
            raise
        if isinstance(indication, Rejected):
            said = indication.reject
            raise AssociationRejected(said.result, said.source, said.reason)
        if isinstance(indication, Associated):
            self.accepted = indication.accept

"""A local user of an upper layer for tests: accepts all that it is asked, and keeps what it hears."""

from __future__ import annotations

from dataclasses import dataclass, field

from orthweb.dicom.command import Command, build_command
from orthweb.dicom.errors import InvalidCommand
from orthweb.dicom.framing import Fragment
from orthweb.dicom.indications import AssociateRequested, Indication, ReleaseRequested
from orthweb.dicom.items import UserInformation
from orthweb.dicom.limits import Limits
from orthweb.dicom.messages import Assembler, CommandReceived
from orthweb.dicom.pdus import (
    ACCEPTED,
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    PresentationContext,
    build_associate,
    data_header,
)
from orthweb.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from orthweb.dicom.upper_layer import UpperLayer

GIVEN_UP = "given up"
"""Why the local user aborts when what it hears is no message."""
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
REQUEST = AssociateRequest(
    "MODALITY",
    "ARCHIVE",
    (
        PresentationContext(1, VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,)),
        PresentationContext(3, CT_STORAGE, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)),
    ),
    UserInformation(16384, "1.2.3"),
)


def acceptance(request: AssociateRequest) -> AssociateAccept:
    """Accept every presentation context in its first transfer syntax."""
    results = tuple(ContextResult(context.id, ACCEPTED, context.transfer_syntaxes[0]) for context in request.contexts)
    return AssociateAccept(request.calling_ae_title, request.called_ae_title, results, UserInformation(16384, "1.2.3"))


@dataclass
class LocalUser:
    """What was heard, and the layer it was heard through.

    Parameters
    ----------
    commands, datasets:
        Whole command sets with their presentation context, and the bytes of each dataset so far.
    indications:
        All that are no fragments.
    sent:
        All that the layer sent.
    """

    layer: UpperLayer
    limits: Limits
    commands: list[tuple[int, Command]] = field(default_factory=list)
    datasets: list[bytearray] = field(default_factory=list)
    indications: list[Indication] = field(default_factory=list)
    sent: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self._assembler = Assembler(self.limits)
        self._between = True

    def hear(self, data: bytes, now: float = 1.0) -> None:
        """Let the peer send some bytes, and answer as an acceptor does."""
        for indication in self.layer.received(memoryview(data), now):
            if isinstance(indication, Fragment):
                self._take(indication, now)
                continue
            self.indications.append(indication)
            if isinstance(indication, AssociateRequested):
                self.layer.accept(acceptance(indication.request), now)
            elif isinstance(indication, ReleaseRequested) and self.layer.why != GIVEN_UP:
                self.layer.release_response(now)
        self.sent += self.layer.take_output()

    def _take(self, fragment: Fragment, now: float) -> None:
        if self.layer.why == GIVEN_UP:
            return
        try:
            taken = self._assembler.take(fragment)
        except InvalidCommand:
            self.layer.abort(now, GIVEN_UP)
            # Also where the layer has ended it already.
            self.layer.why = GIVEN_UP
            return
        if isinstance(taken, CommandReceived):
            self.commands.append((taken.context_id, taken.command))
        elif taken is not None:
            if self._between:
                self.datasets.append(bytearray())
            self.datasets[-1] += taken.data
            self._between = taken.last


def acceptor(limits: Limits | None = None, established: bool = True, now: float = 0.0) -> LocalUser:
    """An acceptor that a peer has just connected to, or whose association is there already."""
    limits = limits or Limits()
    user = LocalUser(UpperLayer(limits, now), limits)
    if established:
        user.hear(build_associate(REQUEST), now)
        user.indications.clear()
        user.sent.clear()
    return user


def requestor(limits: Limits | None = None, established: bool = True, now: float = 0.0) -> LocalUser:
    """A requestor that has just sent its request, or whose association is there already."""
    limits = limits or Limits()
    user = LocalUser(UpperLayer(limits, now, REQUEST), limits)
    user.layer.connected(now)
    user.sent += user.layer.take_output()
    if established:
        user.hear(build_associate(acceptance(REQUEST)), now)
        user.indications.clear()
        user.sent.clear()
    return user


def value_pdu(context_id: int, data: bytes, command: bool, last: bool) -> bytes:
    """A P-DATA-TF of one presentation data value."""
    return data_header(context_id, len(data), command, last) + data


def message(context_id: int, command: Command, dataset: bytes | None = None, size: int = 16378) -> bytes:
    """A message as P-DATA-TFs of one fragment of at most `size` bytes each."""
    parts = []
    for data, is_command in ((build_command(command), True), (dataset, False)):
        if data is not None:
            for at in range(0, max(len(data), 1), size):
                part = data[at : at + size]
                parts.append(value_pdu(context_id, part, is_command, last=at + size >= len(data)))
    return b"".join(parts)

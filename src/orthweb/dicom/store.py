"""C-STORE as its user: files grouped over presentation contexts, and sent one after the other (PS3.4 annex B)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from orthweb.dicom import command as dimse
from orthweb.dicom.outbox import Outbox
from orthweb.dicom.part10 import FileHead, read_head
from orthweb.dicom.requestor import MOST_CONTEXTS, Peer, Proposal, Requestor
from orthweb.dicom.uids import DEFLATED

ContextKey = tuple[str, str]
"""SOP class and transfer syntax of an instance: what it needs a presentation context for."""


def context_key(head: FileHead) -> ContextKey:
    """What presentation context an instance needs."""
    return head.sop_class, head.transfer_syntax


def grouped(keys: Iterable[ContextKey]) -> list[list[ContextKey]]:
    """Spread what is needed over as few associations as the 128 presentation contexts of each allow."""
    distinct = list(dict.fromkeys(keys))
    return [distinct[at : at + MOST_CONTEXTS] for at in range(0, len(distinct), MOST_CONTEXTS)]


def proposals(keys: Iterable[ContextKey]) -> list[Proposal]:
    """One presentation context a SOP class and transfer syntax: the peer can't choose one that needs recoding."""
    return [(sop_class, (syntax,)) for sop_class, syntax in dict.fromkeys(keys)]


class Storer:
    """Sends instances on an association of its own; use it as a context manager."""

    def __init__(self, peer: Peer, keys: Iterable[ContextKey]) -> None:
        """Negotiate; raises what `Requestor` raises."""
        self.requestor = Requestor(peer, proposals(keys))
        self._contexts = {accepted: number for number, accepted in self.requestor.contexts.items()}
        self._outbox = Outbox(self.requestor.association)

    def __enter__(self) -> Storer:
        self.requestor.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.requestor.__exit__(kind, *rest)

    def takes(self, key: ContextKey) -> bool:
        """The peer accepted a presentation context for such instances."""
        return key in self._contexts

    @property
    def usable(self) -> bool:
        """More instances can be sent."""
        return self.requestor.association.layer.established

    def interrupt(self) -> None:
        """End the association, from another thread."""
        self.requestor.association.interrupt()

    def store(
        self,
        path: str | Path,
        head: FileHead | None = None,
        progress: Callable[[int], None] = lambda count: None,
    ) -> int:
        """Send one file; returns the status of the response.

        Parameters
        ----------
        head:
            What `read_head` said of the file, when it was read before.
        progress:
            As for `Outbox.send`.

        Raises
        ------
        NotDicom, OSError
            The file cannot be read; the association goes on.
        NotAccepted
            The peer takes no such instances; the association goes on.
        FileChanged
            The file became shorter on the way; the association is aborted.
        AssociationAborted
            The association ended; whether the instance arrived is not known.
        """
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            head = head or read_head(fd)
            context_id = self._contexts.get(context_key(head)) or self.requestor.context_for(*context_key(head))
            request = dimse.request(
                dimse.C_STORE_RQ, self.requestor.next_message_id(), head.sop_class, head.sop_instance, dataset=True
            )
            prefix = self.requestor.association.command_pdus(context_id, request)
            padded = head.transfer_syntax in DEFLATED
            self._outbox.send(prefix, context_id, fd, head.dataset_offset, head.dataset_length, padded, progress)
        finally:
            os.close(fd)
        return self.requestor.response_to(request)

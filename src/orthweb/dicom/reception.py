"""Takes in the instances of C-STORE requests, whichever side asked for the association."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from orthweb.dicom import command as dimse
from orthweb.dicom.command import Command
from orthweb.dicom.messages import DatasetBytes
from orthweb.dicom.statuses import CANNOT_UNDERSTAND, OUT_OF_RESOURCES

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sender:
    """Who sends.

    Parameters
    ----------
    address:
        IP address that the connection comes from.
    certificate:
        What it showed over TLS, DER; None without.
    """

    address: str
    calling_ae_title: str
    called_ae_title: str
    certificate: bytes | None = None


@dataclass(frozen=True)
class StoreRequest:
    """An instance that is about to come, and how its dataset is encoded."""

    sender: Sender
    sop_class: str
    sop_instance: str
    transfer_syntax: str


class Sink(Protocol):
    """Where the dataset of one instance goes."""

    def write(self, views: Sequence[memoryview]) -> None:
        """Take bytes in their order; the views hold until this returns. OSError means that there is no room."""

    def finish(self) -> int:
        """The dataset is whole: returns the status of the response. Success means that it is safely kept."""

    def discard(self) -> None:
        """Forget what came: the dataset will not become whole, or a write failed."""


OpenSink = Callable[[StoreRequest], Sink | int]
"""Decides about an instance: a place for its dataset, or the status that refuses it."""


class Reception:
    """The instance that is coming in on one association."""

    def __init__(self, open_sink: OpenSink, sender: Sender) -> None:
        self._open_sink = open_sink
        self._sender = sender
        self._request: Command | None = None
        self._sink: Sink | None = None
        self._status = CANNOT_UNDERSTAND
        self._comment: str | None = None
        self._views: list[memoryview] = []

    def begin(self, request: Command, transfer_syntax: str) -> None:
        """A C-STORE request has come; its dataset follows."""
        self._request, self._sink, self._comment = request, None, None
        if not request.affected_sop_class or not request.affected_sop_instance:
            self._status, self._comment = CANNOT_UNDERSTAND, "no affected SOP class or instance"
            return
        coming = StoreRequest(self._sender, request.affected_sop_class, request.affected_sop_instance, transfer_syntax)
        try:
            opened = self._open_sink(coming)
        except OSError as error:
            self._fail(error)
            return
        if isinstance(opened, int):
            self._status = opened
        else:
            self._sink = opened

    def take(self, data: DatasetBytes) -> Command | None:
        """Take some bytes of the dataset; returns the response after the last of them."""
        if self._request is None:
            return None
        if self._sink is not None and data.data:
            self._views.append(data.data)
        if not data.last:
            return None
        self.flush()
        if self._sink is not None:
            try:
                self._status = self._sink.finish()
            except OSError as error:
                self._fail(error)
        request, self._request, self._sink = self._request, None, None
        return dimse.response(request, self._status, self._comment)

    def flush(self) -> None:
        """Write what was taken: has to be called before the views become invalid."""
        views, self._views = self._views, []
        if self._sink is None or not views:
            return
        try:
            self._sink.write(views)
        except OSError as error:
            self._fail(error)

    def discard(self) -> None:
        """The association is over: what did not become whole is forgotten."""
        self._views.clear()
        sink, self._sink = self._sink, None
        if sink is not None:
            try:
                sink.discard()
            except OSError as error:
                log.error("cannot remove what came of an instance: %s", error)

    def _fail(self, error: OSError) -> None:
        """The rest of the dataset is read, and then refused for now: the sender may try again."""
        log.error("cannot keep an instance: %s", error)
        self._status, self._comment = OUT_OF_RESOURCES, error.strerror or "no room"
        self.discard()

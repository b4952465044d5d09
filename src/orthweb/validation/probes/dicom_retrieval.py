"""Brings instances back with C-GET, into memory, and tells how they differ from what was sent."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydicom import Dataset, dcmread
from pydicom.datadict import keyword_for_tag

from orthweb.dicom.part10 import file_meta
from orthweb.dicom.query import UNREADABLE
from orthweb.dicom.reception import StoreRequest
from orthweb.dicom.requestor import Peer, Proposal
from orthweb.dicom.retrieve import get, getting
from orthweb.dicom.statuses import SUCCESS
from orthweb.validation.samples.syntax_samples import name_of
from orthweb.validation.samples.test_instances import TestInstance

_PIXEL_DATA = 0x7FE00010
# Says how a dataset was written, not what is in it.
_TRAILING_PADDING = 0xFFFCFFFC


@dataclass(frozen=True)
class Received:
    """An instance that came back: its transfer syntax, and the bytes of its dataset."""

    sop_class: str
    transfer_syntax: str
    dataset: bytes


class _InMemory:
    """Keeps the dataset of one instance."""

    def __init__(self, request: StoreRequest, kept: dict[str, Received]) -> None:
        self._request, self._kept = request, kept
        self._parts: list[bytes] = []

    def write(self, views: Sequence[memoryview]) -> None:
        self._parts += [bytes(view) for view in views]

    def finish(self) -> int:
        request = self._request
        dataset = b"".join(self._parts)
        self._kept[request.sop_instance] = Received(request.sop_class, request.transfer_syntax, dataset)
        return SUCCESS

    def discard(self) -> None:
        self._parts.clear()


def bring(peer: Peer, contexts: Iterable[Proposal], identifier: Dataset) -> dict[str, Received]:
    """C-GET what an identifier names; returns it by SOP Instance UID. Raises what `Requestor` and `get` raise."""
    kept: dict[str, Received] = {}
    with getting(peer, contexts) as requestor:
        get(requestor, identifier, lambda request: _InMemory(request, kept), lambda progress, size: None)
    return kept


def differences(sent: TestInstance, received: Received) -> list[str]:
    """Say in words what differs, but for how the dataset is written; empty when nothing does."""
    if received.transfer_syntax != sent.transfer_syntax:
        came, was = name_of(received.transfer_syntax), name_of(sent.transfer_syntax)
        return [f"it comes in {came}, and was sent in {was}"]
    if received.dataset == sent.dataset:
        return []
    ours = _read(sent.sop_class, sent.sop_instance, sent.transfer_syntax, sent.dataset)
    try:
        theirs = _read(received.sop_class, sent.sop_instance, received.transfer_syntax, received.dataset)
        return _differing(sent.pixel_data, ours, theirs)
    except UNREADABLE as error:
        return [f"it cannot be read: {error}"]


def _read(sop_class: str, sop_instance: str, transfer_syntax: str, dataset: bytes) -> Dataset:
    return dcmread(io.BytesIO(file_meta(sop_class, sop_instance, transfer_syntax) + dataset))


def _differing(pixels: bytes, ours: Dataset, theirs: Dataset) -> list[str]:
    came = bytes(theirs.get("PixelData") or b"")
    found = []
    if came != pixels:
        at = next((at for at, (one, other) in enumerate(zip(pixels, came, strict=False)) if one != other), None)
        where = f"{len(came)} bytes for {len(pixels)}" if at is None else f"byte {at} of {len(pixels)} is the first"
        found.append(f"other pixel data: {where}")
    tags = sorted({element.tag for dataset in (ours, theirs) for element in dataset})
    others = [
        keyword_for_tag(tag) or str(tag)
        for tag in tags
        if tag.element and tag not in (_PIXEL_DATA, _TRAILING_PADDING) and ours.get(tag) != theirs.get(tag)
    ]
    if others:
        found.append(f"other values of {', '.join(others)}")
    return found

"""Sends datasets straight from files: read into one buffer between the headers of P-DATA-TFs, sent without a copy."""

from __future__ import annotations

import os
from collections.abc import Callable

from orthweb.dicom.association import Association
from orthweb.dicom.pdus import data_header

BUFFER_LENGTH = 1 << 19
"""Bytes of datasets that are read and sent at a time, at the least one P-DATA-TF."""
_HEADER = 12
# Room before the first P-DATA-TF, so that a command leaves together with its dataset.
_PREFIX = 4096
# IOV_MAX of Linux and macOS: what one read can be spread over.
_MOST_FRAGMENTS = 1024


class FileChanged(Exception):
    """A file became shorter while it was being sent: the message cannot be ended as it was begun."""


class Outbox:
    """The buffer of one association."""

    def __init__(self, association: Association) -> None:
        self._association = association
        self._fragment = association.fragment_length
        step = self._fragment + _HEADER
        count = min(max(1, BUFFER_LENGTH // step), _MOST_FRAGMENTS)
        self._buffer = memoryview(bytearray(_PREFIX + count * step))
        starts = range(_PREFIX, _PREFIX + count * step, step)
        self._slots = [self._buffer[start + _HEADER : start + step] for start in starts]
        self._headers = [self._buffer[start : start + _HEADER] for start in starts]

    def send(
        self,
        prefix: bytes,
        context_id: int,
        fd: int,
        offset: int,
        length: int,
        padded: bool,
        progress: Callable[[int], None] = lambda count: None,
    ) -> None:
        """Send `prefix`, whole PDUs, and then `length` bytes of a file as the dataset.

        Parameters
        ----------
        length:
            In bytes, at least 1.
        padded:
            Send a zero byte after a dataset of odd length: fragments have an even length (PS3.8 annex E.1).
        progress:
            Called with the number of bytes of the dataset that went out, each time some did.

        Raises
        ------
        AssociationAborted
            The connection broke.
        FileChanged
            The file ends too early; the association is aborted.
        OSError
            The file cannot be read; the association is aborted when some of it had been sent.
        """
        begun = False
        if len(prefix) > _PREFIX:
            self._association.send(prefix)
            prefix, begun = b"", True
        while length:
            size = min(length, self._fragment * len(self._slots))
            try:
                self._read(fd, offset, size)
            except OSError:
                if begun:
                    self._association.abort("the file could not be read to its end")
                raise
            padding = padded and size % 2
            end = self._put_headers(context_id, size + padding, last=size == length)
            if padding:
                self._buffer[end - 1] = 0
            start = _PREFIX - len(prefix)
            self._buffer[start:_PREFIX] = prefix
            self._association.layer.may_send()
            self._association.send(self._buffer[start:end])
            progress(size)
            prefix, begun = b"", True
            offset += size
            length -= size

    def _read(self, fd: int, offset: int, size: int) -> None:
        whole, rest = divmod(size, self._fragment)
        targets = self._slots[:whole] + ([self._slots[whole][:rest]] if rest else [])
        done = os.preadv(fd, targets, offset)
        if done == size:
            return
        # A read may end early, at a signal or at the end of the file.
        for number, target in enumerate(targets):
            have = min(max(done - number * self._fragment, 0), len(target))
            while have < len(target):
                more = os.preadv(fd, [target[have:]], offset + number * self._fragment + have)
                if not more:
                    self._association.abort("the file became shorter while it was sent")
                    raise FileChanged
                have += more

    def _put_headers(self, context_id: int, size: int, last: bool) -> int:
        """Write the headers before the fragments; returns where the last fragment ends."""
        number = 0
        while True:
            length = min(size, self._fragment)
            size -= length
            self._headers[number][:] = data_header(context_id, length, command=False, last=last and not size)
            if not size:
                return _PREFIX + number * (self._fragment + _HEADER) + _HEADER + length
            number += 1

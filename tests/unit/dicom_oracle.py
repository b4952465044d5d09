"""What has to hold whatever bytes come: fuzzing looks for bytes with which it doesn't.

Each target takes bytes and raises nothing; an exception is a defect, of whatever kind.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from dicom_local_user import LocalUser, acceptor, requestor

from orthweb.dicom.part10 import NotDicom, file_meta, read_head
from orthweb.dicom.states import State

# Bits of the first byte, which says how the rest is delivered.
PIECES, RELEASING, SILENCE = 1, 2, 4


def acceptor_hears(data: bytes) -> None:
    """Bytes of whoever connects."""
    _deliver(acceptor(established=False), data)


def requestor_hears(data: bytes) -> None:
    """Bytes of whom we called: also while we are asking for the release."""
    user = requestor(established=False)
    flags = data[0] if data else 0
    _deliver(user, data, release=bool(flags & RELEASING))


def association_hears(data: bytes) -> None:
    """Bytes on an association: messages are the same however the bytes are cut."""
    whole, cut = acceptor(), acceptor()
    whole.hear(data[1:])
    for part in _pieces(data):
        cut.hear(part)
    assert cut.commands == whole.commands
    assert cut.datasets == whole.datasets
    for user in (whole, cut):
        _ends(user)


def file_is_read(data: bytes) -> None:
    """A file's head can be read, or the file is none; what was read, written anew, is read again."""
    fd = os.memfd_create("fuzz")
    try:
        os.write(fd, data)
        head = read_head(fd)
        assert 132 < head.dataset_offset < head.size == len(data)
        again = file_meta(head.sop_class, head.sop_instance, head.transfer_syntax)
        os.ftruncate(fd, 0)
        os.pwrite(fd, again + b"\xff", 0)
        second = read_head(fd)
        assert second.dataset_offset == len(again)
        assert (second.sop_class, second.sop_instance) == (head.sop_class, head.sop_instance)
        assert second.transfer_syntax == head.transfer_syntax
    except NotDicom:
        pass
    finally:
        os.close(fd)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "acceptor": acceptor_hears,
    "requestor": requestor_hears,
    "association": association_hears,
    "file": file_is_read,
}


def _pieces(data: bytes) -> Iterator[bytes]:
    """The bytes after the first, whole or in pieces of lengths that they say themselves."""
    at = 1
    while at < len(data):
        length = 1 + data[at] % 61 if data[0] & PIECES else len(data)
        yield data[at : at + length]
        at += length


def _deliver(user: LocalUser, data: bytes, release: bool = False) -> None:
    for part in _pieces(data):
        user.hear(part)
        if release and user.layer.established:
            user.layer.release(2)
    if data and data[0] & SILENCE:
        _ends(user)
    user.layer.closed(3)
    assert user.layer.finished


def _ends(user: LocalUser) -> None:
    """Without another byte the association ends, but where only the local user keeps it."""
    layer = user.layer
    for _ in range(3):
        if layer.deadline is not None:
            layer.expire(layer.deadline)
    assert layer.finished or layer.state is State.AWAIT_LOCAL_ASSOCIATE_RESPONSE
    assert len(layer.take_output()) <= 20

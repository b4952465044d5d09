"""Peers made of a bare socket: they send and answer what no library would, and hear every byte that comes back."""

from __future__ import annotations

import concurrent.futures
import contextlib
import select
import socket
import struct
from collections.abc import Callable, Iterator

from dicom_local_user import CT_STORAGE, REQUEST, acceptance, message
from dicom_samples import elements, uid_of

from orthweb.dicom.command import C_ECHO_RQ, C_STORE_RQ, Command, build_command, parse_command, request, response
from orthweb.dicom.items import UserInformation
from orthweb.dicom.pdus import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RQ,
    COMMAND,
    LAST,
    P_DATA_TF,
    RELEASE_RP,
    RELEASE_RQ,
    Abort,
    AssociateAccept,
    ContextResult,
    build_abort,
    build_associate,
    build_release,
    data_header,
)
from orthweb.dicom.uids import VERIFICATION

PATIENCE = 15
"""Seconds that a bare peer waits for an answer before the test fails."""
ASSOCIATE = build_associate(REQUEST)
RELEASE, RELEASED = build_release(RELEASE_RQ), build_release(RELEASE_RP)
ABORTED = build_abort(Abort(0, 0))
ECHO = message(1, request(C_ECHO_RQ, 7, VERIFICATION))
STORAGE_CONTEXT = 3
# Source 2 is the upper layer (PS3.8 table 9-26).
BY_THE_USER, UNRECOGNIZED_PDU, UNEXPECTED_PDU, INVALID_VALUE = (0, 0), (2, 1), (2, 2), (2, 6)


def store_request(name: str, message_id: int = 1) -> Command:
    """The request for an instance whose UID is of this name."""
    return request(C_STORE_RQ, message_id, CT_STORAGE, uid_of(name), dataset=True)


def store(name: str, data: bytes | None = None, message_id: int = 1, size: int = 16378) -> bytes:
    """The PDUs of a C-STORE of an instance whose UID is of this name."""
    return message(STORAGE_CONTEXT, store_request(name, message_id), data or a_dataset(name), size)


def a_dataset(name: str) -> bytes:
    return elements(name, bytes(range(256)) * 8)


class Wire:
    """A connection, byte by byte."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connection
        self.lengths: list[int] = []
        """Of the PDUs that were heard, without their headers."""

    def send(self, data: bytes, piece: int | None = None) -> None:
        """Send bytes, in writes of `piece` bytes each."""
        for at in range(0, len(data), piece or len(data)):
            self.socket.sendall(data[at : at + (piece or len(data))])

    def hear(self, count: int) -> bytes:
        """So many bytes, or as many as come before the end."""
        heard = b""
        while len(heard) < count:
            more = self.socket.recv(count - len(heard))
            if not more:
                break
            heard += more
        return heard

    def pdu(self) -> tuple[int, bytes]:
        """The type of the next PDU and what is after its header; type 0 at the end of the connection."""
        try:
            head = self.hear(6)
            if len(head) < 6:
                assert not head
                return 0, b""
            kind, length = struct.unpack(">BxI", head)
            self.lengths.append(length)
            return kind, self.hear(length)
        except ConnectionResetError:
            return 0, b""

    def response(self) -> Command:
        """The next response, which is one P-DATA-TF with one fragment."""
        kind, body = self.pdu()
        assert kind == P_DATA_TF
        length, _, control = struct.unpack_from(">IBB", body)
        assert (length, control) == (len(body) - 4, 3)
        return parse_command(body[6:])

    def associate(self, data: bytes = ASSOCIATE) -> None:
        """Ask for an association, and get it."""
        self.send(data)
        assert self.pdu()[0] == ASSOCIATE_AC

    def release(self) -> None:
        self.send(RELEASE)
        assert self.pdu()[0] == RELEASE_RP

    def aborted(self) -> tuple[int, int]:
        """Hear an A-ABORT and then nothing any more; returns its source and reason."""
        kind, body = self.pdu()
        assert kind == ABORT, kind
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        assert self.pdu() == (0, b"")
        return body[2], body[3]

    def closed(self) -> bool:
        """Hear nothing but the end."""
        return self.pdu() == (0, b"")

    def reset(self) -> None:
        """End the connection with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


@contextlib.contextmanager
def calling(port: int, source: str = "127.0.0.1", receive_buffer: int = 0) -> Iterator[Wire]:
    """A connection to a server on this machine.

    Parameters
    ----------
    source:
        Address of this machine that it comes from.
    receive_buffer:
        Bytes that the kernel keeps while the test doesn't read; as usual when 0.
    """
    with socket.socket() as connection:
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(PATIENCE)
        connection.bind((source, 0))
        connection.connect(("127.0.0.1", port))
        yield Wire(connection)


@contextlib.contextmanager
def answering(
    script: Callable[[Wire], None], receive_buffer: int = 0, listener: socket.socket | None = None
) -> Iterator[int]:
    """A server that does with one connection after the other what `script` says, and then closes it; gives its port."""
    woken, ending = socket.socketpair()
    listener = listener or socket.create_server(("127.0.0.1", 0))
    if receive_buffer:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)

    def serve() -> None:
        while woken not in select.select([woken, listener], [], [])[0]:
            connection, _ = listener.accept()
            with connection:
                script(Wire(connection))

    with woken, listener, concurrent.futures.ThreadPoolExecutor(1) as threads:
        port = int(listener.getsockname()[1])
        served = threads.submit(serve)
        try:
            yield port
        finally:
            ending.close()
            served.result(PATIENCE)


def accept(wire: Wire, information: UserInformation | None = None, more: tuple[ContextResult, ...] = ()) -> None:
    """Accept the association that a requestor asks for, in the contexts of REQUEST and in `more`."""
    usual = acceptance(REQUEST)
    assert wire.pdu()[0] == ASSOCIATE_RQ
    contexts = (*usual.contexts, *more)
    wire.send(build_associate(AssociateAccept("", "", contexts, information or usual.user_information)))


def released(wire: Wire) -> None:
    """Hear the request for the release, agree, and hear the end."""
    assert wire.pdu()[0] == RELEASE_RQ
    wire.send(RELEASED)
    assert wire.closed()


def read_message(wire: Wire) -> tuple[Command, bytes]:
    """The next message of a peer that sends one fragment a P-DATA-TF."""
    parts = {COMMAND: bytearray(), 0: bytearray()}
    command: Command | None = None
    while command is None or command.has_dataset:
        kind, body = wire.pdu()
        assert kind == P_DATA_TF, kind
        control = body[5]
        parts[control & COMMAND] += body[6:]
        if control == COMMAND | LAST:
            command = parse_command(parts[COMMAND])
        elif control == LAST:
            break
    assert command is not None
    return command, bytes(parts[0])


def answer_store(wire: Wire, status: int = 0) -> bytes:
    """Take an instance and answer; returns the dataset."""
    command, data = read_message(wire)
    answer = build_command(response(command, status))
    wire.send(data_header(STORAGE_CONTEXT, len(answer), command=True, last=True) + answer)
    return data

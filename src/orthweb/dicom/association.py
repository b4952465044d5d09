"""Drives one association over a connection: the state machine does the protocol, this does the sending and waiting."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Sequence
from dataclasses import replace

from orthweb.dicom.command import Command, build_command
from orthweb.dicom.errors import AssociationAborted, WrongState
from orthweb.dicom.indications import Aborted, Indication, ReleaseRequested
from orthweb.dicom.limits import Limits
from orthweb.dicom.transport import Channel, now
from orthweb.dicom.upper_layer import UpperLayer

BUFFER_LENGTH = 1 << 19
"""Bytes that are received at a time, at the most; memory that no peer fills is not used."""
# A peer that names no maximum, or an enormous one, is sent P-DATA-TFs of this length.
_LONGEST_SENT = 262_144
# What DCMTK takes as the least: a P-DATA-TF has to hold more than its own headers.
_SHORTEST = 128


class Association:
    """An association on a channel; one thread uses it."""

    def __init__(self, channel: Channel, layer: UpperLayer, limits: Limits) -> None:
        self.layer = layer
        self._channel = channel
        self._limits = limits
        self._buffer = memoryview(bytearray(BUFFER_LENGTH))
        self._inside_pdu = False
        channel.lose_after(limits.send_seconds)
        self.trouble: OSError | None = None
        """What broke the connection; None while it stands, and when the peer just closed it."""

    @property
    def fragment_length(self) -> int:
        """The most bytes of a message to send in one P-DATA-TF; even (PS3.8 annex E.1)."""
        maximum = min(self.layer.peer_maximum or _LONGEST_SENT, _LONGEST_SENT)
        return max(maximum, _SHORTEST) - 6 & ~1

    def wait(self) -> list[Indication]:
        """Send what is due and wait for the next bytes; views in the indications hold until the next call.

        A deadline that comes, and a connection that breaks, are indications as well.
        """
        layer = self.layer
        layer.touch(now())
        received = self._receive()
        indications: list[Indication] = []
        if received:
            indications = layer.received(self._buffer[:received], now())
        elif received is not None:
            indications = self._lost()
        if not indications:
            # Also after bytes: a peer that never stops sending must not put off what is due.
            indications = layer.expire(now())
        if layer.finished:
            self._channel.close()
        return indications

    def send_command(self, context_id: int, command: Command) -> None:
        """Send a command set; raises AssociationAborted or WrongState."""
        self.send(self.command_pdus(context_id, command))

    def command_pdus(self, context_id: int, command: Command) -> bytes:
        """Build the P-DATA-TFs of a command set: one, wherever the peer takes it whole; raises WrongState."""
        return self._pdus(context_id, build_command(command), command=True)

    def send_message(self, context_id: int, command: Command, dataset: bytes) -> None:
        """Send a command set and its dataset; raises AssociationAborted or WrongState."""
        self.send(self.command_pdus(context_id, command) + self._pdus(context_id, dataset, command=False))

    def send(self, data: bytes | memoryview) -> None:
        """Send whole PDUs that the layer allowed.

        Raises
        ------
        AssociationAborted
            The connection broke; it says why, when the peer said so before.
        """
        try:
            self._flush()
            self._put(data)
        except TimeoutError as error:
            self.abort(str(error))
            raise AssociationAborted(str(error)) from error
        except OSError as error:
            raise AssociationAborted(self._last_words(error)) from error
        self.layer.touch(now())

    def release(self) -> None:
        """Release the association and close the connection; a peer that has gone already is no error."""
        layer = self.layer
        try:
            layer.release(now())
        except WrongState:
            self.close()
            return
        self.finish()

    def finish(self) -> None:
        """Wait for the end of an association that is being released, and close the connection."""
        layer = self.layer
        while not layer.finished:
            for indication in self.wait():
                if isinstance(indication, ReleaseRequested):
                    # Both asked at once (PS3.8 7.2.2.3): each answers.
                    layer.release_response(now())
        self.close()

    def abort(self, why: str) -> None:
        """Abort the association and close the connection."""
        self.layer.abort(now(), why)
        self.close()

    def interrupt(self) -> None:
        """End every wait on the association, from another thread."""
        self._channel.interrupt()

    def close(self) -> None:
        """Close the connection, however the association stands; an A-ABORT that is due goes out if it can at once."""
        output = self.layer.take_output()
        # A peer that is not listening learns it from the end of the connection. So does one that half a PDU went to:
        # what came after it would be taken for the other half.
        if output and not self._inside_pdu:
            with contextlib.suppress(OSError):
                self._channel.send(output, 0)
        self.layer.closed(now())
        self._channel.close()

    def _receive(self) -> int | None:
        """Send what is due and receive bytes; 0 also when the connection breaks, and then `trouble` says how."""
        deadline = self.layer.deadline
        try:
            self._flush()
        except OSError as error:
            # What the peer said before it broke the connection may be there, such as why.
            self.trouble, deadline = error, now()
        try:
            received = self._channel.receive_into(self._buffer, deadline)
        except OSError as error:
            self.trouble, received = error, 0
        return 0 if received is None and self.trouble else received

    def _flush(self) -> None:
        output = self.layer.take_output()
        if output:
            self._put(output)

    def _put(self, data: bytes | memoryview) -> None:
        self._inside_pdu = True
        self._channel.send(data, self._limits.send_seconds)
        self._inside_pdu = False

    def _lost(self) -> list[Indication]:
        """Tell the layer that the connection is gone, and its user how."""
        before = self.layer.why
        indications = self.layer.closed(now())
        if self.trouble is None or before or not self.layer.why:
            return indications
        self.layer.why = _words(self.trouble)
        return [replace(one, why=self.layer.why) if isinstance(one, Aborted) else one for one in indications]

    def _pdus(self, context_id: int, data: bytes, command: bool) -> bytes:
        size = self.fragment_length
        parts: list[bytes] = []
        for at in range(0, max(len(data), 1), size):
            part = data[at : at + size]
            parts += [self.layer.data_header(context_id, len(part), command, at + size >= len(data)), part]
        return b"".join(parts)

    def _last_words(self, error: OSError) -> str:
        """Why the peer broke the connection: what it said before, or the error."""
        said: Sequence[Indication] = ()
        # A reset connection has no more to say.
        with contextlib.suppress(OSError):
            received = self._channel.receive_into(self._buffer, now())
            said = self.layer.received(self._buffer[:received], now()) if received else ()
        aborted = [indication.why for indication in said if isinstance(indication, Aborted)]
        self.close()
        return aborted[0] if aborted else _words(error)


def _words(error: OSError) -> str:
    match error:
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return "the connection was lost"
        case ssl.SSLError():
            return f"the connection was lost: TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
        case _:
            return f"the connection was lost: {error.strerror or error}"

"""Puts fragments together to messages: a command set, and the bytes of the dataset after it."""

from __future__ import annotations

from dataclasses import dataclass

from orthweb.dicom.command import Command, parse_command
from orthweb.dicom.errors import InvalidCommand
from orthweb.dicom.framing import Fragment
from orthweb.dicom.limits import Limits


@dataclass(frozen=True)
class CommandReceived:
    """A whole command set; when it `has_dataset`, DatasetBytes follow."""

    context_id: int
    command: Command


@dataclass(slots=True)
class DatasetBytes:
    """Some bytes of the dataset of the latest command; `data` holds as long as the fragment's."""

    data: memoryview
    last: bool


class Assembler:
    """What of a message is there so far."""

    def __init__(self, limits: Limits) -> None:
        self._limit = limits.command_length
        self._command = bytearray()
        self._command_context = 0
        self._dataset_context: int | None = None

    @property
    def between_messages(self) -> bool:
        """No message has begun and not ended."""
        return not self._command and self._dataset_context is None

    def take(self, fragment: Fragment) -> CommandReceived | DatasetBytes | None:
        """Take a fragment; returns what it completes.

        Raises
        ------
        InvalidCommand
            The fragments make no message: a dataset that no command announced, a command inside a dataset, one that is
            too long or cannot be read.
        """
        if not fragment.command:
            if fragment.context_id != self._dataset_context:
                raise InvalidCommand(f"a dataset on presentation context {fragment.context_id} without a command")
            if fragment.last:
                self._dataset_context = None
            return DatasetBytes(fragment.data, fragment.last)
        if self._dataset_context is not None or (self._command and fragment.context_id != self._command_context):
            raise InvalidCommand("a command inside another message")
        self._command_context = fragment.context_id
        self._command += fragment.data
        if len(self._command) > self._limit:
            raise InvalidCommand(f"a command set of more than {self._limit} bytes")
        if not fragment.last:
            return None
        command = parse_command(self._command)
        self._command.clear()
        if command.has_dataset:
            self._dataset_context = fragment.context_id
        return CommandReceived(fragment.context_id, command)

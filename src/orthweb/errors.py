"""The errors that a person is meant to read: one message, one remedy, one exit status."""

from __future__ import annotations


class OrthwebError(Exception):
    """Something went wrong that a person can do something about.

    Parameters
    ----------
    message:
        What is wrong and where, in one line: it names the field or file and the value.
    remedy:
        What to do about it, in one line; empty when the message says it already.
    """

    exit_status = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}: {self.remedy}" if self.remedy else self.message


class InputError(OrthwebError):
    """The command line, `orthweb.yaml` or a file given by a person is wrong: exit status 2."""

    exit_status = 2


class Failure(OrthwebError):
    """The thing asked for was understood and failed: exit status 1."""

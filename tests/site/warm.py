"""Runs Orthweb's commands in processes that need not load Python first, which takes longer than most commands do."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_SERVER = Path(__file__).parent / "warm_server.py"
# The kernel takes no longer message at once.
_LONGEST = 100_000
# All that a command may have of its own; other variables may have been read when Python or Rich was loaded.
_OWN_VARIABLES = ("PATH", "HOME", "AWS_", "ORTHWEB_", "TF_", "CHECKPOINT_", "XDG_")
_SEEN: set[str] = set()

Ended = tuple[int, bytes, bytes]
"""Exit status (a signal's is negative), what was printed, and the errors."""


def run(
    words: Sequence[str], usual: Mapping[str, str], environment: Mapping[str, str], folder: str | Path, timeout: float
) -> Ended | None:
    """Run a command in a warm process, or give None where it has to load Python itself.

    That is so for the first time that each command runs, so that every command is seen to start from nothing, and
    for one whose environment differs from the `usual` one in more than Orthweb looks at itself.
    """
    # -C FOLDER may go before the command's name.
    name = next(iter(words[2:] if words[:1] == ["-C"] else words), "")
    if name not in _SEEN or _common(environment) != _common(usual) or sum(map(len, words)) > _LONGEST:
        _SEEN.add(name)
        return None
    return _server(json.dumps(usual)).run(words, environment, folder, timeout)


@functools.cache
def _server(environment: str) -> Warm:
    server = Warm(json.loads(environment))
    atexit.register(server.close)
    return server


class Warm:
    """A server that runs commands, until `close`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._asking, asked = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with asked:
            command = [sys.executable, str(_SERVER), str(asked.fileno())]
            self._server = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, pass_fds=[asked.fileno()]
            )

    def run(self, words: Sequence[str], environment: Mapping[str, str], folder: str | Path, timeout: float) -> Ended:
        """Run a command to its end.

        Raises
        ------
        subprocess.TimeoutExpired
            It had not ended after `timeout` seconds, and was killed.
        """
        end = time.monotonic() + timeout
        told, tell = socket.socketpair(type=socket.SOCK_SEQPACKET)
        (out, print_to), (err, fail_to) = os.pipe(), os.pipe()
        with told, open(out, "rb") as printed, open(err, "rb") as errors:
            socket.send_fds(
                self._asking,
                [json.dumps([list(words), dict(environment), os.path.abspath(folder)]).encode()],
                [print_to, fail_to, tell.fileno()],
            )
            tell.close()
            os.close(print_to)
            os.close(fail_to)
            pid = int(told.recv(32) or 0)
            assert pid, "the server of commands ended, as a module of Orthweb's could not be loaded: see above"
            try:
                texts = _read([printed.fileno(), errors.fileno()], end)
                told.settimeout(max(end - time.monotonic(), 0.01))
                return int(told.recv(32)), *texts
            except BaseException as error:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                if isinstance(error, TimeoutError):
                    raise subprocess.TimeoutExpired(["orthweb", *words], timeout) from None
                raise

    def close(self) -> None:
        """End the server."""
        self._asking.close()
        self._server.wait()


def _common(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(_OWN_VARIABLES)}


def _read(descriptors: Sequence[int], end: float) -> tuple[bytes, bytes]:
    """Read both to their ends."""
    texts = {descriptor: b"" for descriptor in descriptors}
    with selectors.DefaultSelector() as selector:
        for descriptor in descriptors:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(end - time.monotonic(), 0))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                some = os.read(key.fd, 65536)
                texts[key.fd] += some
                if not some:
                    selector.unregister(key.fd)
    printed, errors = texts.values()
    return printed, errors

"""One command at a time changes a host."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from orthweb.errors import Failure, InputError

_PATIENCE_SECONDS = 900.0
_PAUSE_SECONDS = 0.2


@contextlib.contextmanager
def host_lock(path: Path, command: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the host's lock while the body runs, after another command; the kernel lets go of it when we end.

    Raises
    ------
    InputError
        The caller may not write there.
    Failure
        Another command held it for a quarter of an hour.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})", "run this as root") from None
    try:
        _take(handle, path, say)
        # On a full disk who waits is not told for whom.
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{command} (pid {os.getpid()})".encode(), 0)
        yield
    finally:
        os.close(handle)


def _take(handle: int, path: Path, say: Callable[[str], None]) -> None:
    end, told = time.monotonic() + _PATIENCE_SECONDS, False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 200, 0).decode(errors="replace") or "another command"
            if not told:
                say(f"waiting for {holder}")
                told = True
            if time.monotonic() > end:
                raise Failure(f"{path}: {holder} has held it for a quarter of an hour", "see to that first") from None
        else:
            return
        time.sleep(_PAUSE_SECONDS)

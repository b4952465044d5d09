"""One command at a time changes a site: a lock that names its owner and reason."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import time
from collections.abc import Iterator

from orthweb.errors import Failure
from orthweb.site.paths import SitePaths


@contextlib.contextmanager
def site_lock(paths: SitePaths, reason: str) -> Iterator[None]:
    """Hold the site's lock while the body runs.

    The kernel lets go of it when the process ends, however it ends.

    Raises
    ------
    Failure
        Another command holds it; the message says who, since when and for what.
    """
    paths.state.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(f"{paths.root}: {_holder(handle)}", "wait until it is done, then try again") from None
        _write(handle, {"reason": reason, "user": getpass.getuser(), "pid": os.getpid(), "since": _now()})
        try:
            yield
        finally:
            _write(handle, None)
    finally:
        os.close(handle)


def _write(handle: int, owner: dict[str, object] | None) -> None:
    os.ftruncate(handle, 0)
    if owner is not None:
        os.pwrite(handle, json.dumps(owner).encode(), 0)


def _holder(handle: int) -> str:
    try:
        owner = json.loads(os.pread(handle, 4096, 0))
        return (
            f"'orthweb {owner['reason']}' of {owner['user']} (pid {owner['pid']}) has been changing this site "
            f"since {owner['since']}"
        )
    except (ValueError, KeyError, TypeError):
        return "another command is changing this site"


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

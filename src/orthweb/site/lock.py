"""One command at a time changes a site: a lock that names its owner and reason."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import pwd
import stat
import time
from collections.abc import Iterator

from orthweb.errors import Failure, InputError
from orthweb.site.paths import SitePaths


@contextlib.contextmanager
def site_lock(paths: SitePaths, reason: str) -> Iterator[None]:
    """Hold the site's lock while the body runs.

    The kernel lets go of it when the process ends, however it ends.

    Raises
    ------
    InputError
        The site's `.orthweb` is somebody else's; nothing is written there.
    Failure
        Another command holds it; the message says who, since when and for what.
    """
    with contextlib.suppress(FileExistsError):
        paths.state.mkdir(mode=0o700)
    _check_ours(paths)
    handle = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
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


def _check_ours(paths: SitePaths) -> None:
    state, elsewhere = paths.state, "move it elsewhere, or choose another folder"
    info = state.lstat()
    if not stat.S_ISDIR(info.st_mode):
        raise InputError(f"{state}: is not a folder", elsewhere)
    if info.st_uid != os.getuid():
        raise InputError(f"{state}: belongs to {_user_name(info.st_uid)}", "run as that user, or choose another folder")
    # What a command leaves that ended before the first `up` did.
    content = {entry.name for entry in state.iterdir()} - {paths.lock.name, paths.history.name, paths.pki.name}
    # A site on AWS has no mark, which says of what kind the data here are.
    if content and not paths.mark.is_file() and not paths.terraform.is_dir():
        raise InputError(f"{state}: was not made by Orthweb", elsewhere)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user id {uid}"


def _write(handle: int, owner: dict[str, object] | None) -> None:
    # On a full disk nobody learns who holds the lock; it holds all the same, and the site can be stopped.
    with contextlib.suppress(OSError):
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

"""Who changed a site, when, with what result: `.orthweb/history.jsonl`."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import time
from collections.abc import Iterator

from orthweb.site.paths import SitePaths


@contextlib.contextmanager
def recorded(paths: SitePaths, command: str) -> Iterator[None]:
    """Record `command` with its result and duration, also when it fails or is interrupted."""
    started = time.time()
    result = "done"
    try:
        yield
    except KeyboardInterrupt:
        result = "interrupted"
        raise
    except BaseException as error:
        result = f"failed: {error}"
        raise
    finally:
        # `down --purge` takes the history with it.
        if paths.state.is_dir():
            _append(paths, command, started, result)


def _append(paths: SitePaths, command: str, started: float, result: str) -> None:
    entry = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "user": getpass.getuser(),
        "command": command,
        "seconds": round(time.time() - started, 1),
        "result": result,
    }
    # A full disk must not keep a person from stopping the site.
    with contextlib.suppress(OSError):
        handle = os.open(paths.history, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(handle, (json.dumps(entry) + "\n").encode())
        finally:
            os.close(handle)

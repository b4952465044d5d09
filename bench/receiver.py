"""A receiver of Orthweb's own upper layer, as a process by itself: `python bench/receiver.py FOLDER`.

It stores into FOLDER, or forgets what comes when FOLDER is `null`. It prints its port, and, once its standard input
ends, its processor time in seconds and the growth of its memory in MB as JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from orthweb.dicom.acceptor import StorageService
from orthweb.dicom.folder import into_folder
from orthweb.dicom.limits import Limits
from orthweb.dicom.server import Server
from orthweb.dicom.statuses import SUCCESS
from orthweb.dicom.tls import TlsFiles, server_context


class Forgetful:
    """A sink that keeps nothing."""

    def write(self, views: Sequence[memoryview]) -> None:
        """Forget them."""

    def finish(self) -> int:
        """Say that it is kept."""
        return SUCCESS

    def discard(self) -> None:
        """There is nothing to remove."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder")
    arguments.add_argument("--tls", type=Path, help="folder with server.crt, server.key and ca.crt")
    arguments.add_argument("--host", default="127.0.0.1", help="address to listen on")
    options = arguments.parse_args()
    sink = (lambda _: Forgetful()) if options.folder == "null" else into_folder(Path(options.folder))
    tls = None
    if options.tls:
        tls = server_context(TlsFiles(options.tls / "ca.crt", options.tls / "server.crt", options.tls / "server.key"))
    server = Server(
        options.host, 0, StorageService(sink), tls, Limits(associations=1024, associations_per_address=1024)
    )
    server.start()
    before = resource.getrusage(resource.RUSAGE_SELF)
    print(server.port, flush=True)
    sys.stdin.read()
    after = resource.getrusage(resource.RUSAGE_SELF)
    server.stop(5)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"cpu": round(cpu, 3), "memory_mb": round((after.ru_maxrss - before.ru_maxrss) / 1024, 1)}))


if __name__ == "__main__":
    main()

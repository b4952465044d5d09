"""What idle and stuck clients cost a sender beside them: `python bench/idle.py`.

A sender's rate through the TLS site, alone and beside sixteen idle associations, eight connections that say nothing
and eight that stop in the middle of an association request, all of a device with a good certificate. The target: the
sender keeps more than nine tenths of its rate.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import ssl
import statistics
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchsite import BenchSite
from ingest import send
from slices import make_slices

_VERIFICATION, _IMPLICIT = b"1.2.840.10008.1.1", b"1.2.840.10008.1.2"


def association_request(called: bytes = b"ORTHANC", calling: bytes = b"IDLE") -> bytes:
    """Make an A-ASSOCIATE-RQ PDU for the Verification SOP class (PS3.8 9.3.2)."""

    def item(kind: int, content: bytes) -> bytes:
        return struct.pack(">BBH", kind, 0, len(content)) + content

    context = item(0x20, b"\1\0\0\0" + item(0x30, _VERIFICATION) + item(0x40, _IMPLICIT))
    user = item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3.4"))
    body = struct.pack(">HH", 1, 0) + called.ljust(16) + calling.ljust(16) + bytes(32)
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + context + user
    return struct.pack(">BBI", 1, 0, len(body)) + body


@contextlib.contextmanager
def stuck_clients(site: BenchSite, idle: int, silent: int, half: int) -> Iterator[None]:
    """Hold idle associations, silent connections and half-spoken ones open while the body runs."""
    context = ssl.create_default_context(cafile=str(site.folder / "ca.crt"))
    context.load_cert_chain(site.folder / "bench.crt", site.folder / "bench.key")
    request = association_request()
    with contextlib.ExitStack() as stack:

        def connect() -> ssl.SSLSocket:
            plain = socket.create_connection(("localhost", site.dicom_port), 10)
            return stack.enter_context(context.wrap_socket(plain, server_hostname="localhost"))

        for _ in range(idle):
            connection = connect()
            connection.sendall(request)
            if connection.recv(1) != b"\2":
                raise SystemExit("an idle association was refused")
        for _ in range(silent):
            connect()
        for _ in range(half):
            connect().sendall(request[: len(request) // 2])
        yield


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=256)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="ow-bench-"))
    os.chmod(scratch, 0o711)
    alone, beside = [], []
    try:
        with BenchSite(scratch / "site") as site:
            for _ in range(options.rounds):
                alone.append(send(site.storescu, make_slices(scratch / "slices", options.count), 1))
                with stuck_clients(site, idle=16, silent=8, half=8):
                    beside.append(send(site.storescu, make_slices(scratch / "slices", options.count), 1))
                print(f"alone {alone[-1]:.0f}, beside stuck clients {beside[-1]:.0f} instances/s", flush=True)
    finally:
        shutil.rmtree(scratch)
    ratio = statistics.median(after / before for before, after in zip(alone, beside, strict=True))
    print(
        json.dumps(
            {
                "alone": round(statistics.median(alone)),
                "beside": round(statistics.median(beside)),
                "ratio": round(ratio, 2),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()

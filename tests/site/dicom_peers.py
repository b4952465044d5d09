"""Our two roles as a test runs them, and the independent peers: DCMTK's servers, an Orthanc, pynetdicom's entity."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness import eventually, free_port, serving

from orthweb.dicom.acceptor import StorageService
from orthweb.dicom.folder import PART
from orthweb.dicom.limits import Limits
from orthweb.dicom.reception import OpenSink
from orthweb.dicom.requestor import Peer
from orthweb.dicom.server import Server

LIMITS = Limits(
    handshake_seconds=10, request_seconds=10, closing_seconds=2, pdu_seconds=20, idle_seconds=30, send_seconds=20
)
"""No test waits for one of these, unless something is wrong."""
_ORTHANC_CALLS_US = "ours"


@contextlib.contextmanager
def receiving(
    open_sink: OpenSink,
    limits: Limits = LIMITS,
    tls: ssl.SSLContext | None = None,
    ae_title: str | None = None,
    port: int = 0,
    host: str = "127.0.0.1",
) -> Iterator[Server]:
    """Our server, on a port of its own unless told; no thread and no file descriptor of it is left afterwards."""
    before = descriptors()
    server = Server(host, port, StorageService(open_sink, ae_title), tls, limits)
    server.start()
    try:
        yield server
    finally:
        server.stop(5)
    assert not serving_threads()
    eventually(lambda: descriptors() <= before, 10, "all file descriptors to be closed")


def peer(port: int, limits: Limits = LIMITS, **more: Any) -> Peer:
    """Somebody on this machine, for our own requestor."""
    return Peer("127.0.0.1", port, more.pop("called_ae_title", "ANY-SCP"), limits=limits, **more)


def descriptors() -> int:
    """How many file descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


def serving_threads() -> list[str]:
    """The names of the threads that serve associations here."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("dicom-")]


def whole(folder: Path) -> set[str]:
    """SOP instance UIDs of the files in a folder that `into_folder` keeps instances in."""
    return {path.stem for path in folder.iterdir() if path.suffix == ".dcm"}


def parts(folder: Path) -> list[str]:
    """Names of files that are not whole."""
    return [path.name for path in folder.iterdir() if path.name.endswith(PART)]


@contextlib.contextmanager
def storescp(folder: Path, *options: str, takes: Sequence[str] = ("+xa", "-pm")) -> Iterator[int]:
    """DCMTK's storescp, which takes all that it knows and writes it as it comes; gives its port."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    command = ["storescp", *takes, "+B", "-uf", "-od", str(folder), *options, str(port)]
    with serving(command, port):
        yield port


@contextlib.contextmanager
def dcmqrscp(folder: Path, ae_title: str) -> Iterator[int]:
    """DCMTK's archive; gives its port."""
    folder.mkdir()
    port = free_port()
    (folder / "database").mkdir()
    lines = [
        "MaxPDUSize = 16384",
        "MaxAssociations = 16",
        "HostTable BEGIN",
        "HostTable END",
        "VendorTable BEGIN",
        "VendorTable END",
        "AETable BEGIN",
        f"{ae_title} {folder / 'database'} RW (500, 1024mb) ANY",
        "AETable END",
    ]
    (folder / "dcmqrscp.cfg").write_text("\n".join(lines) + "\n")
    # In one process it crashes at the end of an association (DCMTK 3.6.7).
    command = ["dcmqrscp", "--fork", "+xd", "+B", "-c", str(folder / "dcmqrscp.cfg"), str(port)]
    with serving(command, port):
        yield port


class PlainOrthanc:
    """One Orthanc with nothing around it, which knows our server as a modality."""

    ae_title = "ORTHANC"

    def __init__(self, port: int, dicom_port: int) -> None:
        self.port, self.dicom_port = port, dicom_port

    def ask(self, path: str, body: object = None, method: str | None = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            content: bytes = answer.read()
        return content

    def json(self, path: str, body: object = None, method: str | None = None) -> Any:
        return json.loads(self.ask(path, body, method))

    def held(self) -> dict[str, str]:
        """Orthanc's identifiers by SOP instance UID."""
        return {one["MainDicomTags"]["SOPInstanceUID"]: one["ID"] for one in self.json("/instances?expand")}

    def file(self, identifier: str) -> bytes:
        return self.ask(f"/instances/{identifier}/file")

    def empty(self) -> None:
        held = list(self.held().values())
        if held:
            self.ask("/tools/bulk-delete", {"Resources": held})

    def knows(self, port: int) -> str:
        """Tell it where our server is; returns the modality's name."""
        where = {"AET": "ORTHWEB", "Host": "127.0.0.1", "Port": port}
        self.ask(f"/modalities/{_ORTHANC_CALLS_US}", where, "PUT")
        return _ORTHANC_CALLS_US


@contextlib.contextmanager
def plain_orthanc(folder: Path, **more: Any) -> Iterator[PlainOrthanc]:
    """An Orthanc as its package has it; `more` are further settings."""
    folder.mkdir()
    port, dicom_port = free_port(), free_port()
    settings = {
        "Name": "peer",
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "HttpPort": port,
        "DicomPort": dicom_port,
        "DicomAet": PlainOrthanc.ae_title,
        "AuthenticationEnabled": False,
        "Plugins": [],
        "UnknownSopClassAccepted": True,
        "MaximumPduLength": 131072,
        **more,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with serving(["Orthanc", folder / "orthanc.json"], port):
        yield PlainOrthanc(port, dicom_port)


@contextlib.contextmanager
def pynetdicom_server(entity: Any, handlers: Sequence[Any], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server of pynetdicom's in this process; gives its port."""
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=list(handlers), ssl_context=tls)
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()

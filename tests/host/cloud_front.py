"""What machines of the tests see of the Internet, a program in the cloud's network: `python cloud_front.py SETTINGS`.

SETTINGS is JSON: `address` to serve on; `certificate` and `key` for the TLS front; `upstream`, the port of the emulator
of AWS on this machine's loopback; `names`, endings of the names that are here; `mirror` of the distribution and a
`cache` for it; `authorities`, served as Amazon's list of RDS's; `faults`, a file that is read at every request.

Names end here (53), the distribution's packages come through here (80), and AWS is behind the TLS front (443): all in
this program, which opens its ports in the network namespace that it is started in and then goes back to that of the
process that started it, from where the emulator and the distribution's mirror are reached.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import ssl
import struct
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

_NETWORK = 0x40000000  # CLONE_NEWNET of setns(2)
_A, _NAME_ERROR, _NO_ERROR = 1, 3, 0


def main(path: str) -> None:
    settings = json.loads(Path(path).read_text())
    address = settings["address"]
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind((address, 53))
    plain, secure = (socket.create_server((address, port), backlog=100) for port in (80, 443))
    home = os.open(f"/proc/{os.getppid()}/ns/net", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(home, _NETWORK) != 0:
        raise SystemExit(f"setns: {os.strerror(ctypes.get_errno())}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings["certificate"], settings["key"])
    for listener, serve in (
        (plain, lambda client: _packages(client, settings)),
        (secure, lambda client: _aws(context.wrap_socket(client, server_side=True), settings)),
    ):
        threading.Thread(target=_accept, args=(listener, serve), daemon=True).start()
    print("ready", flush=True)
    while True:
        question, asker = names.recvfrom(4096)
        with contextlib.suppress(OSError, IndexError, UnicodeDecodeError):
            names.sendto(_resolved(question, settings), asker)


def _accept(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    def one(client: socket.socket) -> None:
        try:
            with client:
                serve(client)
        except OSError as error:
            print(error, flush=True)

    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=one, args=(client,), daemon=True).start()


# Names ----------------------------------------------------------------------------------------------------------


def _resolved(question: bytes, settings: dict[str, Any]) -> bytes:
    """Answer a question (RFC 1035): a name that is here has this address, every other one does not exist."""
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode())
        at += 1 + question[at]
    kind = struct.unpack("!H", question[at + 1 : at + 3])[0]
    name = ".".join(labels).lower()
    here = any(f".{name}".endswith(f".{ending}") for ending in settings["names"])
    answers = here and kind == _A
    flags = 0x8180 | (_NO_ERROR if here else _NAME_ERROR)
    head = question[:2] + struct.pack("!5H", flags, 1, int(answers), 0, 0) + question[12 : at + 5]
    if not answers:
        return head
    return head + struct.pack("!3HIH", 0xC00C, _A, 1, 5, 4) + socket.inet_aton(settings["address"])


# The distribution ---------------------------------------------------------------------------------------------------


def _packages(client: socket.socket, settings: dict[str, Any]) -> None:
    """Pass requests on to the distribution's mirror, and keep what never changes; and all for when it is away."""
    with client.makefile("rwb") as stream:
        while head := _head(stream):
            words = head.split(b"\r\n")[0].decode().split()
            status, body = _fetched(words[1], settings)
            print(words[1], status, flush=True)
            stream.write(f"HTTP/1.1 {status} -\r\nContent-Length: {len(body)}\r\n\r\n".encode())
            stream.write(b"" if words[0] == "HEAD" else body)
            stream.flush()


def _fetched(path: str, settings: dict[str, Any]) -> tuple[int, bytes]:
    if ".." in path:
        return 403, b""
    kept = Path(settings["cache"], path.lstrip("/"))
    fixed = "/pool/" in path or "/by-hash/" in path
    if fixed and kept.is_file():
        return 200, kept.read_bytes()
    base = settings["mirror"].removesuffix("/debian")
    try:
        with urllib.request.urlopen(base + path, timeout=60) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""
    except OSError:
        return (200, kept.read_bytes()) if kept.is_file() else (503, b"")
    kept.parent.mkdir(parents=True, exist_ok=True)
    new = kept.with_name(f"{kept.name}.{threading.get_ident()}")
    new.write_bytes(body)
    new.rename(kept)
    return 200, body


def _head(stream: Any) -> bytes:
    head = b""
    while (line := stream.readline()) not in (b"\r\n", b""):
        head += line
    return head


# AWS ----------------------------------------------------------------------------------------------------------------


def _aws(client: ssl.SSLSocket, settings: dict[str, Any]) -> None:
    """Pass bytes on to the emulator, unless a fault is wanted; virtual-hosted buckets are known by the Host header."""
    first = client.recv(65536)
    while first and b"\r\n\r\n" not in first and len(first) < 65536:
        first += client.recv(65536)
    if b"Host: truststore.pki.rds.amazonaws.com" in first:
        body = Path(settings["authorities"]).read_bytes()
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        return
    with socket.create_connection(("127.0.0.1", settings["upstream"])) as upstream:
        upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=_pump, args=(upstream, client), daemon=True)
        back.start()
        while first:
            fault = _fault(first, settings)
            if fault is not None:
                client.sendall(fault.encode())
                break
            upstream.sendall(first)
            first = client.recv(65536)
        with contextlib.suppress(OSError):
            upstream.shutdown(socket.SHUT_WR)
        back.join(600 if not first else 1)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
        # The emulator has ended the connection, and so does this.
        target.shutdown(socket.SHUT_RDWR)


def _fault(content: bytes, settings: dict[str, Any]) -> str | None:
    """Find the answer to give instead of the emulator's; an empty one closes the connection."""
    path = Path(settings["faults"])
    if not path.exists():
        return None
    faults = json.loads(path.read_text())
    return next((each["answer"] for each in faults if all(word.encode() in content for word in each["when"])), None)


if __name__ == "__main__":
    main(sys.argv[1])

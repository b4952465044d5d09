"""A large index and storage for the measurements, made fast: by SQL, and without Orthanc."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import uuid
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import parse_qs, urlsplit

from orthweb.pki import ensure_authority, write_private
from orthweb.render.place import Database
from orthweb.running.database import connect

_PAGE = 1000
_BUCKET = "made-up"
# An object's UUID is the MD5 of its number, here and in Python.
_FILL: LiteralString = """
INSERT INTO resources (internalid, resourcetype, publicid)
SELECT 1000000 + n, 3, md5(n::text) FROM generate_series(1, %(count)s) AS n;
INSERT INTO attachedfiles (id, filetype, uuid, compressedsize, uncompressedsize, compressiontype, uncompressedhash,
    compressedhash, revision)
SELECT 1000000 + n, 1, md5(n::text)::uuid::text, %(size)s, %(size)s, 1, %(md5)s, %(md5)s, 0
FROM generate_series(1, %(count)s) AS n
"""


@dataclass(frozen=True)
class Storage:
    """So many objects, each of `size` zero bytes."""

    count: int
    size: int

    def uuids(self) -> list[str]:
        """Their UUIDs."""
        return [str(uuid.UUID(hashlib.md5(b"%d" % n).hexdigest())) for n in range(1, self.count + 1)]  # noqa: S324


@contextlib.contextmanager
def _index(folder: Path) -> Iterator[Any]:
    state = folder / ".orthweb"
    port = json.loads((state / "ports.json").read_text())["postgresql"]
    password = (state / "secrets/postgres-superuser").read_text().strip()
    ca = state / "pki/internal/ca.crt"
    with connect(Database("127.0.0.1", port), "postgres", "orthanc", password, ca) as connection:
        # Orthanc's triggers count each row in one that is changed a million times.
        connection.execute("SET session_replication_role = replica")
        yield connection


def fill(folder: Path, storage: Storage) -> None:
    """Write rows for a storage into the index of the site in `folder`."""
    import psycopg

    md5 = hashlib.md5(bytes(storage.size)).hexdigest()  # noqa: S324
    with _index(folder) as connection:
        values = {"count": storage.count, "size": storage.size, "md5": md5}
        # Client-side binding allows two statements at once.
        psycopg.ClientCursor(connection).execute(_FILL, values)
        connection.execute("ANALYZE")


def forget(folder: Path, objects: Path) -> None:
    """Empty index and storage."""
    with _index(folder) as connection:
        connection.execute("TRUNCATE resources, attachedfiles CASCADE")
    for path in objects.iterdir():
        shutil.rmtree(path)


def make_objects(objects: Path, storage: Storage) -> list[Path]:
    """Write a storage's objects as Orthanc lays them out; returns their paths."""
    content = bytes(storage.size)
    made: set[str] = set()
    paths = []
    for name in sorted(storage.uuids()):
        folder = f"{objects}/{name[:2]}/{name[2:4]}"
        if folder not in made:
            os.makedirs(folder, 0o700, exist_ok=True)
            made.add(folder)
        handle = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(handle, content)
        os.close(handle)
        paths.append(Path(folder, name))
    return paths


def evict(paths: Sequence[Path]) -> None:
    """See that files have to be read from the disk."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


@contextlib.contextmanager
def bucket_of_lists(site: Path, scratch: Path, count: int) -> Iterator[None]:
    """Say in the site's description, while the body runs, that its objects are in a bucket that is made up."""
    folder = scratch / "bucket"
    folder.mkdir()
    issued = ensure_authority(folder, "bench").issue_internal(["127.0.0.1"])
    write_private(folder / "server.crt", issued.certificate_pem)
    write_private(folder / "server.key", issued.key_pem)
    keys = folder / "keys.json"
    keys.write_text(json.dumps({"AccessKey": "none", "SecretKey": "none"}))
    keys.chmod(0o600)
    # In a process of its own, whose memory is not the command's.
    command = [sys.executable, __file__, str(folder), str(count)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    description = site / "orthweb.yaml"
    text = description.read_text()
    try:
        assert server.stdout is not None
        endpoint = server.stdout.readline().strip()
        storage = {"bucket": _BUCKET, "endpoint": endpoint, "credentials": str(keys), "ca": str(folder / "ca.crt")}
        kept = [line for line in text.splitlines() if not line.startswith("storage:")]
        description.write_text("\n".join([*kept, f"storage: {json.dumps(storage)}", ""]))
        yield
    finally:
        description.write_text(text)
        server.terminate()
        server.wait()


def _serve(folder: Path, count: int) -> None:
    keys = [f"{name}.dcm" for name in sorted(Storage(count, 0).uuids())]

    class Lists(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            start = bisect_right(keys, asked.get("continuation-token") or asked.get("start-after", ""))
            page = keys[start : start + _PAGE]
            more = start + _PAGE < len(keys)
            objects = "".join(f"<Contents><Key>{key}</Key><Size>0</Size><ETag>none</ETag></Contents>" for key in page)
            token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if more else ""
            answer = (
                f"<ListBucketResult><IsTruncated>{'true' if more else 'false'}</IsTruncated>"
                f"{objects}{token}</ListBucketResult>"
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Lists)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print(f"https://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))

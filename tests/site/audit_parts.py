"""What the tests of `orthweb audit` do to a site's index and storage, and how they hear what it says of them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from harness import CLIENT_ENVIRONMENT, ORTHWEB, TestSite

from orthweb.render.place import Database
from orthweb.running.database import connect

KINDS = ("missing", "size", "md5", "unreadable", "orphan", "young", "foreign")
TWO_HOURS = 7200


def audit(site: TestSite, *words: str | Path, status: int | None = None, **options: Any) -> dict[str, Any]:
    """Audit a site, and give what it says in JSON; its figures fit its findings and its exit status."""
    done = site.orthweb("audit", "--json", *words, **options)
    assert done.status in (0, 1) if status is None else done.status == status, done.all
    assert "Traceback" not in done.err, done.err
    return checked(done.out, done.status)


def checked(said: str, status: int) -> dict[str, Any]:
    """Read the JSON of an audit, and see that it is of one piece."""
    told: dict[str, Any] = json.loads(said)
    left = [finding for finding in told["findings"] if not finding["deleted"]]
    assert {kind: told[kind] for kind in KINDS} == {kind: sum(one["kind"] == kind for one in left) for kind in KINDS}
    assert told["deleted"] == len(told["findings"]) - len(left)
    assert told["good"] == (status == 0) == all(one["kind"] in ("young", "foreign") for one in left)
    return told


def found(told: dict[str, Any]) -> set[tuple[str, str]]:
    """The findings of an audit as pairs of kind and name."""
    return {(finding["kind"], finding["name"]) for finding in told["findings"] if not finding["deleted"]}


def begin(site: TestSite, *words: str | Path) -> subprocess.Popen[str]:
    """Start an audit and go on."""
    source = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    command = [*ORTHWEB, "-C", str(site.folder), "audit", "--json", *map(str, words)]
    environment = {**CLIENT_ENVIRONMENT, **source}
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@contextlib.contextmanager
def auditing(site: TestSite, *words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """An audit that runs beside the body, and is ended afterwards if it still does."""
    process = begin(site, *words)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], how: signal.Signals) -> str:
    """Send an audit a signal, wait for its end, and give what it said on its standard error."""
    process.send_signal(how)
    _, wrong = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in wrong, wrong
    return wrong


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for an audit, and give what it says."""
    said, wrong = process.communicate(timeout=120)
    assert process.returncode in (0, 1), wrong
    assert "Traceback" not in wrong, wrong
    return checked(said, process.returncode)


def is_reading(process: subprocess.Popen[str], folder: Path) -> set[str]:
    """Names of the objects that an audit has open at this moment."""
    names = set()
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            path = link.readlink()
            if path.is_relative_to(folder) and re.fullmatch("[0-9a-f]{8}-.*", path.name):
                names.add(path.name)
    return names


# The index ----------------------------------------------------------------------------------------------------------


def database(site: TestSite) -> psycopg.Connection[tuple[Any, ...]]:
    """Connect to the index as the superuser."""
    port = json.loads((site.state / "ports.json").read_text())["postgresql"]
    password = (site.state / "secrets/postgres-superuser").read_text().strip()
    ca = site.state / "pki/internal/ca.crt"
    return connect(Database("127.0.0.1", port), "postgres", "orthanc", password, ca)


def ask(site: TestSite, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
    """Have the index do something."""
    with database(site) as connection:
        cursor = connection.execute(query, values)
        return [] if cursor.description is None else cursor.fetchall()


def uuids(site: TestSite, filetype: int = 1) -> list[str]:
    """The UUIDs of the index, in their order."""
    return [row[0] for row in ask(site, "SELECT uuid FROM attachedfiles WHERE filetype = %s ORDER BY 1", filetype)]


_INSERT: LiteralString = """
INSERT INTO attachedfiles (id, filetype, uuid, compressedsize, uncompressedsize, compressiontype,
    uncompressedhash, compressedhash, revision)
SELECT instance, free + number, name, %(size)s, %(size)s, 1, %(md5)s, %(md5)s, 0
FROM unnest(%(names)s::text[]) WITH ORDINALITY AS given (name, number),
    (SELECT max(internalid) AS instance FROM resources WHERE resourcetype = 3) AS newest,
    (SELECT greatest(max(filetype), 1024) AS free FROM attachedfiles) AS used
"""


def insert_rows(site: TestSite, names: Sequence[str], size: int, md5: str = "") -> None:
    """Let the index know of objects, as further attachments of some instance."""
    with database(site) as connection:
        connection.execute(_INSERT, {"names": list(names), "size": size, "md5": md5})


@contextlib.contextmanager
def known(site: TestSite, names: Sequence[str], size: int, md5: str = "") -> Iterator[None]:
    """Let the index know of objects while the body runs."""
    try:
        insert_rows(site, names, size, md5)
        yield
    finally:
        ask(site, "DELETE FROM attachedfiles WHERE uuid = ANY(%s)", list(names))


# The storage --------------------------------------------------------------------------------------------------------


def objects(site: TestSite) -> Path:
    """The folder of the objects of a site that keeps them in one."""
    return site.state / "data/dicom"


def new_uuid(start: str = "") -> str:
    """A UUID that begins as told."""
    return start + str(uuid.uuid4())[len(start) :]


def path_of(root: Path, name: str) -> Path:
    """Where Orthanc keeps an object."""
    return root / name[:2] / name[2:4] / name


@contextlib.contextmanager
def added(path: Path, content: bytes | None = b"x", age: float = TWO_HOURS) -> Iterator[Path]:
    """A file of that age, in seconds, while the body runs; a folder if it has no content. Folders above stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
        os.utime(path, (0, time.time() - age))
    try:
        yield path
    finally:
        with contextlib.suppress(FileNotFoundError):
            path.rmdir() if content is None else path.unlink()


@contextlib.contextmanager
def changed(path: Path, change: Any) -> Iterator[None]:
    """An object that `change` was done to while the body runs, and as it was afterwards."""
    info, content = path.stat(), path.read_bytes()
    change(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        os.chmod(path, info.st_mode & 0o7777)
        os.chown(path, info.st_uid, info.st_gid)


def truncate(path: Path) -> None:
    """Leave out the last byte."""
    os.truncate(path, path.stat().st_size - 1)


def alter(path: Path) -> None:
    """Change one byte, somewhere in the middle."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))

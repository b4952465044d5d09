"""AWS as a machine of the tests sees it: the emulator behind AWS's names and certificates, and a database behind RDS's.

Every name below `amazonaws.com` is the cloud's address, in its network namespace. Port 443 there passes on to the
emulator (so that virtual-hosted buckets work), port 5432 is a real PostgreSQL 17 with TLS, and port 80 passes on to the
distribution's mirror and keeps its packages. All certificates are of the tests' own `authority`, which machines and
images trust. What differs from AWS: the emulator takes any key and asks no policy, and there is one database for all
names; `Cloud.fail` makes a service refuse.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from authority import authority, certificate
from debian import mirror
from emulator import REGION, Emulator
from ground import CACHE, Ground, ended, sh, started
from harness import eventually
from images import postgresql_system
from network import Network

_FRONT = Path(__file__).with_name("cloud_front.py")
_NUMBER = 999
_NAMES = ("amazonaws.com", "debian.org")
_DENIED = '<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'
_BIN = "/usr/lib/postgresql/17/bin"


@dataclass
class Database:
    """A real PostgreSQL with TLS, in the cloud's network, for the name that the emulator gives its RDS instance."""

    net: Network
    root: Path
    disk: Path
    log: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = ("listen_addresses=*", "ssl=on", "ssl_cert_file=server.crt", "ssl_key_file=server.key", "fsync=off")
        words = [word for each in settings for word in ("-c", each)]
        self._process = started(self._inside("postgres", "-D", "/var/lib/postgresql/data", *words), self.log)

        def answers() -> bool:
            assert self._process is not None and self._process.poll() is None, self.log.read_text()[-2000:]
            return self.log.read_text().rpartition("starting PostgreSQL")[2].find("ready to accept connections") > 0

        eventually(answers, 30, "the database to answer")

    def stop(self) -> None:
        """End it as a reboot of RDS does: sessions are cut."""
        if self._process is not None and self._process.poll() is None:
            first = Path(f"/proc/{self._process.pid}/root{self.disk}/data/postmaster.pid")
            first = first if first.exists() else self.disk / "data/postmaster.pid"
            subprocess.run(["kill", "-INT", first.read_text().split()[0]], check=False)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
            ended(self._process)

    def sql(self, query: str, database: str = "postgres") -> str:
        """Run SQL as its superuser, over its socket; gives the rows, with tabs between the values."""
        words = ["psql", "-h", "/var/lib/postgresql/data", "-U", "postgres", "-At", "-F", "\t", "-v", "ON_ERROR_STOP=1"]
        return sh(*self._inside(*words, "-d", database, "-c", query))

    def make(self, user: str, password: str, database: str) -> None:
        """Make what RDS makes for the instance: its master user, who isn't a superuser, and the database."""
        self.sql(f"CREATE ROLE {_name(user)} LOGIN CREATEROLE CREATEDB PASSWORD {_text(password)}")
        self.sql(f"CREATE DATABASE {_name(database)} OWNER {_name(user)}")

    def rotate(self, user: str, password: str) -> None:
        """Give the user another password, as RDS does with the one in Secrets Manager; sessions stay."""
        self.sql(f"ALTER ROLE {_name(user)} PASSWORD {_text(password)}")

    def _inside(self, *words: str) -> list[str]:
        """Put before a command what runs it in PostgreSQL's system, as its user, with this cluster's folder."""
        mounts = (
            f"mount --bind {self.disk}/data {self.root}/var/lib/postgresql/data && "
            f"mount -t tmpfs -o mode=1777 shm {self.root}/dev/shm"
        )
        run = (
            f'exec chroot --userspec={_NUMBER}:{_NUMBER} {self.root} env PATH={_BIN}:/usr/bin:/bin LC_ALL=C.UTF-8 "$@"'
        )
        script = f"{mounts} && {run}"
        return [*self.net.cloud.enter, "unshare", "--mount", "sh", "-c", script, "sh", *words]


@dataclass
class Cloud:
    """The stand-ins for AWS, as seen by the machines of one network."""

    net: Network
    emulator: Emulator
    folder: Path
    database: Database

    def fail(self, *when: str, answer: str = "") -> None:
        """Let every request that has these words in it be answered otherwise; see `denied` for an answer.

        Parameters
        ----------
        when:
            Words of the request or its head, such as "Host: secretsmanager." or "GET /host/bundle".
        answer:
            What to send; an empty one cuts the connection.
        """
        self._write([*self._faults(), {"when": list(when), "answer": answer}])

    def mend(self) -> None:
        """Let no request fail any more."""
        self._write([])

    @property
    def log(self) -> str:
        """What was asked of the distribution, and which connections failed."""
        return (self.folder / "front.log").read_text()

    def _faults(self) -> list[dict[str, object]]:
        path = self.folder / "faults.json"
        return list(json.loads(path.read_text())) if path.exists() else []

    def _write(self, faults: list[dict[str, object]]) -> None:
        new = self.folder / "faults.new"
        new.write_text(json.dumps(faults))
        new.rename(self.folder / "faults.json")


def denied(body: str = _DENIED) -> str:
    """The answer of S3 to a role that lacks a permission; services that speak JSON need a `body` of theirs."""
    kind = "application/xml" if body.startswith("<") else "application/x-amz-json-1.1"
    head = f"HTTP/1.1 {403 if kind.endswith('xml') else 400} -\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"


@contextlib.contextmanager
def cloud(ground: Ground, net: Network, emulator: Emulator, names: Sequence[str] = ()) -> Iterator[Cloud]:
    """Serve in the cloud's network namespace.

    Parameters
    ----------
    emulator:
        Of AWS, on this machine's loopback.
    names:
        Further names that are the cloud's address and in its certificates, besides those of AWS in the region.
    """
    folder, disk = ground.run / "cloud", ground.disk / "cloud"
    folder.mkdir()
    disk.mkdir()
    aws = [
        *(f"{left}{REGION}.amazonaws.com" for left in ("*.", "*.s3.", "*.s3.dualstack.", "*.aaaaaaaaaa.", "*.rds.")),
        f"*.aaaaaaaaaa.{REGION}.rds.amazonaws.com", "*.amazonaws.com", "*.s3.amazonaws.com", "*.pki.rds.amazonaws.com",
    ]  # fmt: skip
    issued, key = certificate(folder, *aws, *names)
    settings = {
        "address": net.cloud.address, "certificate": str(issued), "key": str(key),
        "upstream": urlsplit(emulator.address).port, "names": [*_NAMES, *names], "mirror": mirror(),
        "cache": str(CACHE / "mirror"), "authorities": str(authority()), "faults": str(folder / "faults.json"),
    }  # fmt: skip
    (folder / "front.json").write_text(json.dumps(settings))
    log = folder / "front.log"
    front = started([*net.cloud.enter, sys.executable, _FRONT, folder / "front.json"], log)

    def ready() -> bool:
        assert front.poll() is None, log.read_text()
        return "ready" in log.read_text()

    database = Database(net, postgresql_system(), disk, folder / "database.log")
    try:
        _cluster(database, issued, key)
        eventually(ready, 20, "the front of the cloud")
        database.start()
        yield Cloud(net, emulator, folder, database)
    finally:
        database.stop()
        ended(front)
        # Another site of this run has a cloud of its own.
        for each in (folder, disk):
            shutil.rmtree(each, ignore_errors=True)


def _cluster(database: Database, issued: Path, key: Path) -> None:
    """Make an empty cluster, which takes connections over TLS only."""
    data = database.disk / "data"
    data.mkdir()
    sh("chown", f"{_NUMBER}:{_NUMBER}", data)
    sh(*database._inside("initdb", "-D", "/var/lib/postgresql/data", "-U", "postgres", "--auth=trust", "--no-sync"))
    for source in (issued, key):
        (data / source.name).write_bytes(source.read_bytes())
        (data / source.name).chmod(0o600)
        sh("chown", f"{_NUMBER}:{_NUMBER}", data / source.name)
    (data / "pg_hba.conf").write_text("local all all trust\nhostssl all all 0.0.0.0/0 scram-sha-256\n")
    with (data / "postgresql.conf").open("a") as file:
        file.write("unix_socket_directories = '/var/lib/postgresql/data'\nmax_connections = 200\n")


def _name(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'


def _text(word: str) -> str:
    return "'" + word.replace("'", "''") + "'"

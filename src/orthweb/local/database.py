"""The site's own PostgreSQL cluster: made once, reached over TLS, with a role and a database for Orthanc."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from orthweb.errors import Failure, InputError
from orthweb.local.account import Account, unprivileged
from orthweb.local.packages import Parts
from orthweb.render.place import Database
from orthweb.running.database import connect
from orthweb.site.files import ensure_folder, write_file

_NEW = ".new"


def server_programs(parts: Parts, data: Path) -> Path:
    """The folder of PostgreSQL's programs that fit the cluster in `data`, or the newest when there is none yet.

    Raises
    ------
    InputError
        The cluster was made by a major version that isn't installed.
    """
    try:
        major = int((data / "PG_VERSION").read_text())
    except FileNotFoundError:
        return parts.postgresql[max(parts.postgresql)]
    except ValueError:
        raise InputError(f"{data / 'PG_VERSION'}: is damaged", "bring the folder back from a backup") from None
    if major not in parts.postgresql:
        installed = ", ".join(str(number) for number in sorted(parts.postgresql))
        raise InputError(
            f"{data}: holds data of PostgreSQL {major}, and {installed} is installed here",
            f"apt-get install postgresql-{major}, or move the data over with pg_upgrade",
        )
    return parts.postgresql[major]


def ensure_cluster(
    programs: Path, data: Path, password_file: Path, account: Account, say: Callable[[str], None]
) -> None:
    """Make the cluster when there is none. An interrupted attempt is thrown away: it never held data."""
    if (data / "PG_VERSION").exists():
        _remove_stale_pid(data)
        return
    if data.exists() and any(data.iterdir()):
        raise InputError(f"{data}: is not a PostgreSQL cluster, and not empty", "move what is in it elsewhere")
    for abandoned in data.parent.glob(f"{data.name}{_NEW}*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    # A name of its own: the initdb of an `up` that was killed may still run, and clears its folder when it fails.
    unfinished = Path(tempfile.mkdtemp(prefix=f"{data.name}{_NEW}-", dir=data.parent))
    ensure_folder(unfinished, 0o700, account.file_owner)
    say("making the database")
    # The superuser's password goes through a file that only this account reads, and only while initdb runs.
    hand_over = data.with_name("initdb-password")
    write_file(hand_over, password_file.read_text(), 0o600, account.file_owner)
    command = [
        str(programs / "initdb"),
        "--pgdata",
        str(unfinished),
        "--username",
        "postgres",
        "--pwfile",
        str(hand_over),
    ]
    command += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--data-checksums"]
    try:
        done = subprocess.run(
            unprivileged(account, command, low_ports=False),
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            cwd=data.parent,
        )
    finally:
        hand_over.unlink()
    if done.returncode != 0:
        # Its last words are about tidying up.
        said = (done.stderr or done.stdout or "it said nothing").strip().splitlines()
        cause = next((line for line in said if "error:" in line or "FATAL:" in line or "PANIC:" in line), said[-1])
        raise Failure(f"initdb failed: {cause}")
    if data.exists():
        data.rmdir()
    os.rename(unfinished, data)


def answers(database: Database, password: str, ca: Path) -> bool:
    """Whether the server takes the superuser's connection."""
    import psycopg

    try:
        connect(database, "postgres", "postgres", password, ca).close()
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            raise Failure(
                "PostgreSQL refuses the superuser's password",
                "bring .orthweb/secrets back from a backup of the same site",
            ) from None
        return False
    return True


def ensure_database(database: Database, superuser_password: str, password: str, ca: Path) -> None:
    """Make Orthanc's role and database, and give the role the password that its file says."""
    from psycopg import sql

    with connect(database, "postgres", "postgres", superuser_password, ca) as connection:
        # The verifier is made here, so that the password itself never reaches the server or its log.
        secret, user = password.encode(), database.user.encode()
        verifier = connection.pgconn.encrypt_password(secret, user, b"scram-sha-256").decode()
        role = sql.Identifier(database.user)
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (database.user,)).fetchone()
        verb = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}") if known else sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        connection.execute(verb.format(role, sql.Literal(verifier)))
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database.name,)).fetchone():
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database.name), role))


def _remove_stale_pid(data: Path) -> None:
    """Remove a postmaster.pid from before a power cut whose number is another process's by now."""
    pidfile = data / "postmaster.pid"
    try:
        pid = int(pidfile.read_text().split()[0])
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except FileNotFoundError:
        return
    except (ValueError, IndexError):
        pidfile.unlink()
        return
    if os.fsencode(data) not in arguments:
        pidfile.unlink()

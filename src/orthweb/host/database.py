"""Waits for the database of a host, and holds off the other hosts while its schema may change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orthweb.errors import Failure
from orthweb.host.cloud import NotYet
from orthweb.render.place import Database
from orthweb.running.database import connect

if TYPE_CHECKING:
    import psycopg

# Any number that is the same on every host of Orthweb's, and nobody else's in a database of the site's own.
_SCHEMA_LOCK = 0x4F727468
_PAUSE_SECONDS = 1.0


class PasswordRefused(NotYet):
    """The database takes another password by now: RDS may have rotated it."""


def check_database(database: Database, password: str, ca: Path) -> None:
    """See that the database takes our connection; raises NotYet, PasswordRefused or Failure."""
    _connect(database, password, ca).close()


@contextmanager
def schema_lock(database: Database, password: str, ca: Path, wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock on the database's schema while the body runs; it ends with this process, however that ends.

    Parameters
    ----------
    wait:
        Is told once when another host has it.
    """
    with _connect(database, password, ca) as connection:
        told = False
        while not _locked(connection):
            if not told:
                wait("another host is preparing the database")
                told = True
            time.sleep(_PAUSE_SECONDS)
        yield


def _locked(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_SCHEMA_LOCK,)).fetchone()
    return bool(row and row[0])


def _connect(database: Database, password: str, ca: Path) -> psycopg.Connection[tuple[object, ...]]:
    import psycopg

    where = f"database {database.name} at {database.host}:{database.port}"
    try:
        return connect(database, database.user, database.name, password, ca)
    except psycopg.OperationalError as error:
        said = str(error).strip().splitlines()[-1]
        if "password authentication failed" in said or "no pg_hba.conf entry" in said:
            raise PasswordRefused(f"{where}: refuses the password of {database.user}: {said}") from None
        if "certificate verify failed" in said or "does not match host name" in said:
            raise Failure(f"{where}: shows a certificate that is not trusted: {said}", f"see {ca}") from None
        if "does not exist" in said:
            raise Failure(f"{where}: {said}", "'orthweb apply' makes it") from None
        raise NotYet(f"{where}: does not answer yet: {said}") from None

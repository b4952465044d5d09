"""Connects to the database of a site."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orthweb.render.place import Database

if TYPE_CHECKING:
    import psycopg


def connect(
    database: Database, user: str, name: str, password: str, ca: Path
) -> psycopg.Connection[tuple[object, ...]]:
    """Connect over TLS with a verified server; raises psycopg.OperationalError."""
    import psycopg

    # What a caller's PGHOSTADDR, PGSERVICE and the like say is meant for another server.
    for variable in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[variable]
    return psycopg.connect(
        host=database.host,
        port=database.port,
        user=user,
        dbname=name,
        password=password,
        sslmode="verify-full",
        sslrootcert=str(ca),
        connect_timeout=5,
        autocommit=True,
    )

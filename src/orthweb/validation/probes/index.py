"""Reads the index in PostgreSQL: a connection that nobody's environment can redirect, and what it says of an object."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString, TypeAlias

from orthweb.validation.look import Look
from orthweb.validation.target import DatabaseAddress

if TYPE_CHECKING:
    import psycopg

    Connection: TypeAlias = psycopg.Connection[tuple[object, ...]]

APPLICATION = "orthweb-validate"
"""How the server tells sessions of a validation from others."""
# A path below a file is never there: libpq goes on without, where it would look into the caller's home.
_NOWHERE = "/dev/null/none"
# libpq takes these from the environment, and no parameter says that they are off.
_INTRUDING = ("PGSERVICE", "PGREQUIREAUTH", "PGSSLCERTMODE", "PGSSLMAXPROTOCOLVERSION", "PGMINPROTOCOLVERSION")
# FileContentType_Dicom of Orthanc's plugin SDK, and ResourceType_Instance of its index.
_DICOM, _INSTANCE = 1, 3
_UNCOMPRESSED = 1


@dataclass(frozen=True)
class Attachment:
    """A row of `attachedfiles`: an object in the storage.

    Parameters
    ----------
    size, md5:
        Of the object as it is stored; the MD5 in hexadecimal, empty where Orthanc keeps none.
    file_size, file_md5:
        Of the DICOM file that is in it.
    compressed:
        The object is the file compressed by Orthanc (`StorageCompression`).
    """

    uuid: str
    size: int
    md5: str
    file_size: int
    file_md5: str
    compressed: bool


def connect(
    address: DatabaseAddress,
    timeout: float,
    *,
    sslmode: str = "verify-full",
    password: str | None = None,
    application: str = APPLICATION,
    limited: bool = True,
) -> Connection:
    """Connect as the Orthanc servers do, and only to read.

    Parameters
    ----------
    timeout:
        Seconds, for the connection and, where it is `limited`, for each statement.
    password:
        Another one than the role's.
    application:
        How the server tells the session from others.

    Raises
    ------
    psycopg.OperationalError
        The server does not answer, is not who it should be, or refuses.
    """
    import psycopg

    # What an environment says (PGHOSTADDR, PGSSLMODE, …) is meant for another server: each has its own default here.
    options: dict[str, Any] = {
        option.keyword.decode(): option.compiled.decode()
        for option in psycopg.pq.Conninfo.get_defaults()
        if option.envvar and option.compiled
    }
    options |= {
        "host": address.host,
        "hostaddr": _resolved(address),
        "port": str(address.port),
        "dbname": address.name,
        "user": address.user,
        "password": address.password if password is None else password,
        "sslmode": sslmode,
        "sslrootcert": str(address.ca),
        "sslcert": _NOWHERE,
        "sslkey": _NOWHERE,
        "sslcrl": _NOWHERE,
        "client_encoding": "UTF8",
        "application_name": application,
        "options": f"-c statement_timeout={int(timeout * 1000) if limited else 0} -c default_transaction_read_only=on",
        # Hours may pass between two questions, in which a firewall forgets a silent connection.
        "keepalives_idle": "30",
        # Whole seconds, and libpq takes 1 for 2.
        "connect_timeout": str(max(2, int(timeout))),
    }
    return psycopg.connect("", autocommit=True, **options)


@contextlib.contextmanager
def connected(look: Look) -> Iterator[Connection]:
    """A verified connection while the body runs; what goes wrong with it is told the check, which ends."""
    import psycopg

    address = look.inside.database
    try:
        with connect(address, look.remaining(10)) as connection:
            yield connection
    except psycopg.Error as error:
        look.fail(f"PostgreSQL at {address.host} port {address.port}: {words(error)}", remedy(error))
    except socket.gaierror as error:
        look.fail(f"PostgreSQL's name {address.host} does not resolve: {error.strerror}", "see the name servers")


def words(error: psycopg.Error) -> str:
    """The cause in one line, as the server or libpq names it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = next((line for line in lines if "FATAL:" in line or "ERROR:" in line), lines[0] if lines else "no answer")
    for before in ("FATAL:", " failed: ", "connection is bad:"):
        line = line.rpartition(before)[2].strip()
    return line


def remedy(error: psycopg.Error) -> str:
    """What to do about a connection or a query that failed."""
    said = str(error)
    intruding = [name for name in _INTRUDING if os.environ.get(name)]
    if intruding:
        return f"run it without {' and '.join(intruding)} in the environment"
    if "server does not support SSL" in said:
        return "set ssl = on in postgresql.conf; 'orthweb restart' writes it anew"
    if "certificate" in said:
        return "give PostgreSQL a certificate of the site's own authority for this name, such as 'orthweb up' makes"
    if "too many" in said or "remaining connection slots" in said:
        return "raise max_connections, or lower PostgreSQL.IndexConnectionsCount of the Orthanc servers"
    if "password authentication failed" in said:
        return "bring .orthweb/secrets back from a backup of the same site, or run 'orthweb up' to set the password"
    return "see 'orthweb logs postgresql'"


def value(connection: Connection, query: LiteralString) -> str:
    """The one value that a query gives, as text."""
    row = connection.execute(query).fetchone()
    return "" if row is None or row[0] is None else str(row[0])


def attachment(look: Look, connection: Connection) -> Attachment | None:
    """What the index says of the test image's DICOM file; None when it knows none."""
    use_schema(look, connection)
    row = connection.execute(
        "SELECT uuid, compressedsize, coalesce(compressedhash, ''), uncompressedsize, coalesce(uncompressedhash, ''),"
        " compressiontype FROM attachedfiles JOIN resources ON id = internalid"
        " WHERE publicid = %s AND resourcetype = %s AND filetype = %s",
        (look.data.orthanc_instance(look.data.ct), _INSTANCE, _DICOM),
    ).fetchone()
    if row is None:
        return None
    uuid, size, md5, file_size, file_md5, compression = (str(field) for field in row)
    return Attachment(uuid, int(size), md5, int(file_size), file_md5, int(compression) != _UNCOMPRESSED)


def use_schema(look: Look, connection: Connection) -> None:
    """Look for tables where the Orthanc servers do (`PostgreSQL.Schema`, since plugin 10.0)."""
    for replica in look.inside.replicas:
        schema = replica.configuration.get("PostgreSQL", {}).get("Schema")
        if schema:
            connection.execute("SELECT set_config('search_path', %s, false)", (str(schema).lower(),))


def _resolved(address: DatabaseAddress) -> str:
    """The address behind the name, for libpq not to take another one from PGHOSTADDR; raises OSError."""
    if address.address is not None:
        return address.address
    return str(socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][4][0])

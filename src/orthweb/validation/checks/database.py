"""Checks of the index: reached over TLS only, complete, and holding what was stored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from orthweb.validation.check import check
from orthweb.validation.checks import dicom
from orthweb.validation.look import Look
from orthweb.validation.probes import index
from orthweb.validation.probes.schema import tables_of
from orthweb.validation.probes.web_client import WebClient

_GUIDE = "Database Validation: psql"
_UP = "'orthweb up' writes it anew"
_TAKE_UP = "'orthweb up' writes it anew, and 'orthweb restart postgresql' takes it up"
# GlobalProperty_DatabasePatchLevel: the revision of the schema.
_REVISION = "SELECT value FROM globalproperties WHERE property = 4"
_FEW_CONNECTIONS = 5


@check(
    "database.connection",
    "The index in PostgreSQL takes the Orthanc servers' role over TLS, with a certificate that holds.",
    inside=True,
    guide=_GUIDE,
)
def CONNECTION(look: Look) -> str:
    address = look.inside.database
    with index.connected(look) as connection:
        tls = connection.execute(
            "SELECT version, cipher, bits FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl"
        ).fetchone()
        version = index.value(connection, "SHOW server_version")
        checksums = index.value(connection, "SHOW data_checksums")
    look.exhibits.add_version("PostgreSQL", version.split()[0])
    look.saw(
        "connected", f"{address.user} to {address.name} at {address.host} port {address.port}, sslmode=verify-full"
    )
    look.saw("certificate", f"of an authority in {address.ca.name}, for {address.host}")
    look.saw("server", f"PostgreSQL {version}, data checksums {checksums}")
    if tls is None:
        look.fail("the server says that this connection is not encrypted", f"see pg_hba.conf: {_UP}")
    look.saw("TLS", "{}, {}, {} bits".format(*tls))
    return f"PostgreSQL {version.split()[0]} over {tls[0]}, its certificate verified"


@check(
    "database.sessions",
    "Every session of the Orthanc servers with the index is encrypted, and they verify whom they talk to.",
    needs=(CONNECTION,),
    inside=True,
)
def SESSIONS(look: Look) -> str:
    with index.connected(look) as connection:
        rows = connection.execute(
            "SELECT a.pid, coalesce(host(a.client_addr), 'a socket'), coalesce(s.version, '') FROM pg_stat_activity a"
            " LEFT JOIN pg_stat_ssl s ON s.pid = a.pid AND s.ssl"
            " WHERE a.usename = current_user AND NOT starts_with(a.application_name, 'orthweb-') ORDER BY a.pid"
        ).fetchall()
    plain = [row for row in rows if not row[2]]
    look.saw("sessions", "\n".join(f"pid {pid} from {source}: {tls or 'no TLS'}" for pid, source, tls in rows))
    if plain:
        look.wrong(
            f"{len(plain)} of {len(rows)} sessions of the Orthanc servers are not encrypted",
            f"let pg_hba.conf say hostssl only, and ConnectionUri sslmode=verify-full: {_TAKE_UP}",
        )
    for replica in look.inside.replicas:
        mode = _sslmode(replica.configuration.get("PostgreSQL", {}))
        look.saw(replica.name, f"sslmode={mode}")
        _judge_mode(look, replica.name, mode)
    if len(rows) < len(look.inside.replicas):
        look.warn(
            f"{len(look.inside.replicas)} Orthanc servers have {len(rows)} sessions with the index",
            "see that each of them runs and loads OrthancPostgreSQLIndex: 'orthweb status', 'orthweb logs'",
        )
    return f"{len(rows)} sessions, all encrypted and with a verified server"


@check(
    "database.plaintext",
    "The index refuses a connection without TLS.",
    needs=(CONNECTION,),
    inside=True,
)
def PLAINTEXT(look: Look) -> str:
    said = _refusal(look, "sslmode=disable", sslmode="disable")
    if said is None:
        look.fail(
            "the server takes connections without TLS",
            f"let pg_hba.conf say hostssl where it says host (RDS: rds.force_ssl = 1): {_TAKE_UP}",
        )
    if not any(word in said for word in ("pg_hba.conf", "encryption", "SSL")):
        look.skip(f"the server refused for another reason: {said}")
    return "refused"


@check(
    "database.password",
    "The index refuses a wrong password.",
    needs=(CONNECTION,),
    inside=True,
)
def PASSWORD(look: Look) -> str:
    said = _refusal(look, "a wrong password over TLS", password=f"{look.data.patient_id} is not it")
    if said is None:
        look.fail(
            f"the server lets {look.inside.database.user} in with any password",
            f"let pg_hba.conf say scram-sha-256 where it says trust: {_TAKE_UP}",
        )
    if not any(word in said for word in ("password", "authentication")):
        look.skip(f"the server refused for another reason: {said}")
    return "refused"


@check(
    "database.tables",
    "All tables that Orthanc needs are in the index.",
    needs=(CONNECTION,),
    inside=True,
    guide="Database Validation: \\dt",
)
def TABLES(look: Look) -> str:
    with index.connected(look) as connection:
        index.use_schema(look, connection)
        there = {
            str(row[0])
            for row in connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = ANY (current_schemas(false))"
            ).fetchall()
        }
        revision = int(index.value(connection, _REVISION) or 1) if "globalproperties" in there else 1
    needed = tables_of(revision)
    look.saw("tables", "\n".join(sorted(there)))
    look.saw("schema", f"revision {revision}: {len(needed)} tables are needed")
    missing = sorted(needed - there)
    if missing:
        look.fail(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing from the index",
            "bring the database back from a backup: Orthanc does not make a single table anew",
        )
    return f"{len(needed)} of {len(needed)} tables, schema revision {revision}"


@check(
    "database.row",
    "The index knows the test image with the size and MD5 of what was sent.",
    needs=(CONNECTION, dicom.STORE),
    inside=True,
    guide="Database Validation: select from attachedfiles",
)
def ROW(look: Look) -> str:
    with index.connected(look) as connection:
        row = index.attachment(look, connection)
    if row is None:
        look.fail(
            "no row of attachedfiles belongs to the image that was just stored",
            "see 'orthweb logs orthanc-1', and that every Orthanc server uses this database",
        )
    look.saw("row", _described(row))
    path = f"/instances/{look.data.orthanc_instance(look.data.ct)}/file"
    answer = WebClient.of_door(look.target.web).get(path, timeout=look.remaining(10))
    if answer.status != 200:
        look.fail(
            f"the site does not give the image back: {look.target.web.address}{path} answers {answer.status}",
            "see storage.object, and 'orthweb logs orthanc-1'",
        )
    md5 = hashlib.md5(answer.body, usedforsecurity=False).hexdigest()
    _compare_dataset(look, answer.body)
    look.saw("file from the web port", f"{len(answer.body)} bytes, MD5 {md5}")
    damaged = "run 'orthweb audit': others may be concerned; bring database and objects back from the same backup"
    if row.file_size != len(answer.body):
        look.wrong(f"the row says {row.file_size} bytes, and the file has {len(answer.body)}", damaged)
    if row.file_md5 and row.file_md5 != md5:
        look.wrong(f"the row says MD5 {row.file_md5}, and the file has {md5}", damaged)
    if not row.file_md5 or not row.md5:
        look.warn(
            "the index keeps no MD5, so that a damaged object goes unnoticed",
            "set StoreMD5ForAttachments to true; images that are stored already stay without",
        )
    return f"{row.file_size} bytes, MD5 {row.file_md5 or 'not kept'}"


@check(
    "database.capacity",
    "The database has connections for all that the Orthanc servers may open, and some to spare.",
    needs=(CONNECTION,),
    inside=True,
)
def CAPACITY(look: Look) -> str:
    with index.connected(look) as connection:
        # A limit of -1 is none; the parameter reserved_connections came with PostgreSQL 16.
        limits = connection.execute(
            "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
            " - coalesce(current_setting('reserved_connections', true), '0')::int,"
            " (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user),"
            " (SELECT datconnlimit FROM pg_database WHERE datname = current_database()),"
            " (SELECT coalesce(sum(numbackends), 0) FROM pg_stat_database)"
            " - (SELECT count(*) FROM pg_stat_activity WHERE usename = current_user)"
        ).fetchone()
    server, role, database, others = (int(str(number)) for number in limits or ())
    replicas, each = len(look.inside.replicas), look.inside.database.connections
    wanted = replicas * each
    # Sessions of other roles take from the server's connections, not from the role's own.
    usable = min([server - max(0, others), *(limit for limit in (role, database) if limit >= 0)])
    look.saw("connections for all", f"{server}, of which others use {max(0, others)}")
    for name, limit in (("limit of the role", role), ("limit of the database", database)):
        look.saw(name, limit if limit >= 0 else "none")
    look.saw("the Orthanc servers may open", f"{replicas} x {each} = {wanted}")
    remedy = "raise max_connections and restart PostgreSQL, or lower PostgreSQL.IndexConnectionsCount of Orthanc"
    if wanted > usable:
        look.fail(f"the Orthanc servers may open {wanted} connections, and there are {usable} for them", remedy)
    if usable - wanted < _FEW_CONNECTIONS:
        look.warn(f"the Orthanc servers may open {wanted} connections and leave {usable - wanted} to others", remedy)
    return f"{wanted} of {usable} connections are for the Orthanc servers"


def _refusal(look: Look, how: str, sslmode: str = "verify-full", password: str | None = None) -> str | None:
    """The server's words when it refuses a connection; None when it takes it."""
    import psycopg

    try:
        index.connect(look.inside.database, look.remaining(), sslmode=sslmode, password=password).close()
    except psycopg.errors.ConnectionTimeout:
        look.fail(f"no answer to a connection with {how}", "see 'orthweb logs postgresql'")
    except psycopg.OperationalError as error:
        said = index.words(error)
        look.saw(f"answer to {how}", said)
        return said
    look.saw(f"answer to {how}", "welcome")
    return None


def _sslmode(section: Mapping[str, Any]) -> str:
    """How libpq is told to see to TLS, as Orthanc's plugin makes it of its section."""
    import psycopg.conninfo

    if not section.get("ConnectionUri"):
        return "require" if section.get("EnableSsl") else "disable"
    try:
        return str(psycopg.conninfo.conninfo_to_dict(str(section["ConnectionUri"])).get("sslmode", "prefer"))
    except psycopg.ProgrammingError:
        return "unknown"


def _judge_mode(look: Look, name: str, mode: str) -> None:
    remedy = f"let PostgreSQL.ConnectionUri of {name} say sslmode=verify-full with sslrootcert: {_UP}"
    if mode == "verify-ca":
        look.warn(f"{name} does not look at the name in the server's certificate (sslmode=verify-ca)", remedy)
    elif mode == "require":
        look.wrong(f"{name} encrypts and does not verify the server (sslmode=require)", remedy)
    elif mode != "verify-full":
        look.wrong(f"{name} would also talk without TLS (sslmode={mode})", remedy)


def _compare_dataset(look: Look, file: bytes) -> None:
    """Orthanc puts file meta information of its own before a dataset, which stays as it was sent."""
    sent = look.data.ct.dataset
    look.saw("sent", f"a dataset of {len(sent)} bytes, MD5 {hashlib.md5(sent, usedforsecurity=False).hexdigest()}")
    if file.endswith(sent):
        look.saw(
            "compared",
            f"the file ends with the dataset as it was sent; the {len(file) - len(sent)} bytes before it are Orthanc's"
            " own file meta information, so size and MD5 of the row are compared with those of the whole file",
        )
        return
    transcoded = [replica.name for replica in look.inside.replicas if replica.configuration.get("IngestTranscoding")]
    if transcoded:
        look.saw("compared", f"{', '.join(transcoded)} transcodes what comes in: the dataset is another one on purpose")
        return
    look.wrong(
        "the image comes back with another dataset than was sent",
        "see that no script of Orthanc changes what comes in, and run 'orthweb audit'",
    )


def _described(row: index.Attachment) -> str:
    stored = f"{row.size} bytes, MD5 {row.md5 or 'not kept'}{', compressed' if row.compressed else ''}"
    return f"{row.uuid}\nfile: {row.file_size} bytes, MD5 {row.file_md5 or 'not kept'}\nobject: {stored}"


CHECKS = (CONNECTION, SESSIONS, PLAINTEXT, PASSWORD, TABLES, ROW, CAPACITY)

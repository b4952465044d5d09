"""The configuration of the site's own PostgreSQL server."""

from __future__ import annotations

from orthweb.render.orthanc import index_connections
from orthweb.render.place import Place, Rendered, Secrets

# Beside the Orthanc servers: administration, validation and backups.
_SPARE_CONNECTIONS = 20
_MOST_REPLICAS = 16


def postgres_files(place: Place, secrets: Secrets) -> dict[str, Rendered]:
    """Make the Orthancs' password file, and `postgresql.conf` and `pg_hba.conf` for a server of the site's own.

    The server asks TLS and a password of all.
    """
    database = place.database
    entry = ":".join(_escaped(part) for part in (database.host, str(database.port), database.name, database.user))
    files = {"postgresql/pgpass": Rendered(f"{entry}:{_escaped(secrets.database)}\n", secret=True)}
    if database.listen is None:
        return files
    return {
        **files,
        "postgresql/postgresql.conf": Rendered(_settings(place, database.listen)),
        "postgresql/pg_hba.conf": Rendered(_access(place)),
    }


def _escaped(part: str) -> str:
    # RDS chooses its passwords itself: PostgreSQL's manual, "The Password File".
    return part.replace("\\", "\\\\").replace(":", "\\:")


def _settings(place: Place, listen: str) -> str:
    internal = place.files.pki / "internal"
    settings: dict[str, str | int] = {
        "listen_addresses": listen,
        "port": place.database.port,
        # TLS and a password on loopback serve; a socket would only be limited to 107 bytes of path.
        "unix_socket_directories": str(place.database.sockets or ""),
        "hba_file": str(place.files.config / "postgresql/pg_hba.conf"),
        # For as many replicas as a site may have: one more of them must not restart the database.
        "max_connections": _MOST_REPLICAS * index_connections(place) + _SPARE_CONNECTIONS,
        "password_encryption": "scram-sha-256",
        "ssl": "on",
        "ssl_min_protocol_version": "TLSv1.2",
        "ssl_cert_file": str(internal / "postgresql.crt"),
        "ssl_key_file": str(internal / "postgresql.key"),
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "shared_buffers": "128MB",
        "max_wal_size": "2GB",
        "log_destination": "stderr",
        "logging_collector": "off",
        "log_line_prefix": "%m [%p] %q%u@%d ",
        "log_timezone": "UTC",
        "timezone": "UTC",
        # A hung Orthanc may hold locks that every other writer waits for.
        "idle_in_transaction_session_timeout": "5s",
        "tcp_keepalives_idle": 60,
        "cluster_name": "orthweb",
    }
    return "".join(f"{name} = {_quoted(value)}\n" for name, value in settings.items())


def _access(place: Place) -> str:
    rules: list[tuple[str, ...]] = [
        ("hostssl", "all", "postgres", place.database.clients, "scram-sha-256"),
        ("hostssl", place.database.name, place.database.user, place.database.clients, "scram-sha-256"),
    ]
    if place.database.sockets is not None:
        rules.append(("local", "all", "postgres", "scram-sha-256"))
    return "".join("\t".join(rule) + "\n" for rule in rules)


def _quoted(value: str | int) -> str:
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"

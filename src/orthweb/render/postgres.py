"""The configuration of the site's own PostgreSQL server."""

from __future__ import annotations

from orthweb.render.orthanc import index_connections
from orthweb.render.place import Place, Rendered, Secrets

# Beside the Orthanc servers: administration, validation and backups.
_SPARE_CONNECTIONS = 20
_MOST_REPLICAS = 16


def postgres_files(place: Place, secrets: Secrets) -> dict[str, Rendered]:
    """Make `postgresql.conf`, `pg_hba.conf` which asks TLS and a password of all, and the Orthancs' password file."""
    database = place.database
    entry = f"{database.host}:{database.port}:{database.name}:{database.user}:{secrets.database}\n"
    return {
        "postgresql/pgpass": Rendered(entry, secret=True),
        "postgresql/postgresql.conf": Rendered(_settings(place)),
        "postgresql/pg_hba.conf": Rendered(_access(place)),
    }


def _settings(place: Place) -> str:
    internal = place.files.pki / "internal"
    settings: dict[str, str | int] = {
        "listen_addresses": place.database.host,
        "port": place.database.port,
        # TLS and a password on loopback serve; a socket would only be limited to 107 bytes of path.
        "unix_socket_directories": "",
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
    rules = [
        ("hostssl", "all", "postgres", "127.0.0.1/32", "scram-sha-256"),
        ("hostssl", place.database.name, place.database.user, "127.0.0.1/32", "scram-sha-256"),
    ]
    return "".join("\t".join(rule) + "\n" for rule in rules)


def _quoted(value: str | int) -> str:
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"

"""`orthweb validate` on the index: a good one passes, and each way of breaking it is found, with a remedy."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from breaking import (
    assert_found,
    broken_during,
    edited,
    postgresql_edited,
    reload_postgresql,
    replica_edited,
    restart,
    sql,
)
from doors import keep
from harness import TestSite, own_site
from validating import assert_fails, assert_passes, validate

from orthweb.pki import ensure_authority
from orthweb.validation import Status
from orthweb.validation.probes.schema import tables_of

CHECKS = (
    "database.connection",
    "database.sessions",
    "database.plaintext",
    "database.password",
    "database.tables",
    "database.row",
    "database.capacity",
)
_NEWEST = "(SELECT max(id) FROM attachedfiles WHERE filetype = 1) AND filetype = 1"


def test_a_good_database_passes_and_says_what_it_saw(site: TestSite) -> None:
    results = assert_passes(site, *CHECKS)
    seen = {name: {entry["name"]: entry["text"] for entry in results[name]["evidence"]} for name in CHECKS}
    assert "data checksums on" in seen["database.connection"]["server"]
    assert seen["database.sessions"]["orthanc-3"] == "sslmode=verify-full"
    assert "no encryption" in seen["database.plaintext"]["answer to sslmode=disable"]
    assert "Orthanc's own file meta information" in seen["database.row"]["compared"]
    row, file = seen["database.row"]["row"], seen["database.row"]["file from the web port"]
    assert f"file: {file}" in row


def test_no_variable_of_libpq_leads_to_another_server(site: TestSite) -> None:
    source = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    plain = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", **source}
    strange = {
        "PGHOSTADDR": "127.0.0.9",
        "PGPORT": "1",
        "PGUSER": "nobody",
        "PGSSLMODE": "disable",
        "PGSSLROOTCERT": "/nonexistent",
        "PGSSLCERT": "/etc/passwd",
        "PGSSLNEGOTIATION": "direct",
        "PGOPTIONS": "--nonsense",
        "PGTARGETSESSIONATTRS": "standby",
    }
    results = validate(site, "--only", "database.connection", env={**plain, **strange})
    assert results["database.connection"]["status"] == "passed", results
    results = validate(site, "--only", "database.connection", env={**plain, "PGSERVICE": "elsewhere"})
    assert results["database.connection"]["remedy"] == "run it without PGSERVICE in the environment"


@pytest.mark.twin("database.connection")
def test_a_database_without_tls_fails(breakable: TestSite) -> None:
    with postgresql_edited(breakable, "postgresql.conf", "^ssl = 'on'", "ssl = 'off'"):
        result = assert_fails(breakable, "database.connection", "does not support SSL", "set ssl = on")
    assert_passes(breakable, "database.connection")
    assert "FATAL" not in result["message"]


@pytest.mark.twin("database.connection")
def test_a_database_with_a_certificate_of_a_stranger_or_for_another_name_fails(breakable: TestSite) -> None:
    internal = breakable.state / "pki/internal"
    certificate, key = internal / "postgresql.crt", internal / "postgresql.key"
    before = certificate.read_bytes(), key.read_bytes()
    with tempfile.TemporaryDirectory(prefix="ow-") as folder:
        strange = ensure_authority(Path(folder) / "strange", "a stranger").issue_server(["127.0.0.1"])
        known = ensure_authority(internal, "never made here")
        elsewhere = known.issue_server(["elsewhere.example"])
        made = [keep(strange, Path(folder), "a"), keep(elsewhere, Path(folder), "b")]
        try:
            for (new_key, new_certificate), words in zip(made, ("certificate verify failed", "127.0.0.1"), strict=True):
                certificate.write_bytes(new_certificate.read_bytes())
                key.write_bytes(new_key.read_bytes())
                reload_postgresql(breakable)
                assert_fails(breakable, "database.connection", words, "a certificate of the site's own authority")
        finally:
            certificate.write_bytes(before[0])
            key.write_bytes(before[1])
            reload_postgresql(breakable)
    assert_passes(breakable, "database.connection")


@pytest.mark.twin("database.plaintext", "database.sessions")
def test_a_database_that_talks_without_tls_and_a_replica_that_does_fail(breakable: TestSite) -> None:
    with (
        postgresql_edited(breakable, "pg_hba.conf", "^hostssl", "host"),
        replica_edited(breakable, "orthanc-2", lambda settings: _sslmode(settings, "disable"), runs=True),
    ):
        assert_fails(breakable, "database.plaintext", "takes connections without TLS", "hostssl")
        assert_fails(breakable, "database.sessions", "1 of 3 sessions .* not encrypted", "hostssl")
        assert_fails(breakable, "database.sessions", r"orthanc-2 would also talk without TLS", "verify-full")
    assert_passes(breakable, "database.plaintext", "database.sessions")


def _sslmode(settings: dict[str, Any], mode: str) -> None:
    section = settings["PostgreSQL"]
    section["ConnectionUri"] = section["ConnectionUri"].replace("sslmode=verify-full", f"sslmode={mode}")


@pytest.mark.twin("database.sessions")
def test_a_replica_that_does_not_verify_the_database_fails(breakable: TestSite) -> None:
    password = (breakable.state / "secrets/postgres-orthanc").read_text().strip()
    port = sql(breakable, "SHOW port")[0][0]
    enable_ssl = {"Host": "127.0.0.1", "Port": int(port), "Database": "orthanc", "Username": "orthanc"}

    def without_uri(settings: dict[str, Any]) -> None:
        del settings["PostgreSQL"]["ConnectionUri"]
        settings["PostgreSQL"] |= {**enable_ssl, "Password": password, "EnableSsl": True}

    words = r"orthanc-2 encrypts and does not verify the server \(sslmode=require\)"
    with replica_edited(breakable, "orthanc-2", lambda settings: _sslmode(settings, "require")):
        assert_fails(breakable, "database.sessions", words, "orthanc-2 say sslmode=verify-full")
    with replica_edited(breakable, "orthanc-2", without_uri, runs=True):
        result = assert_fails(breakable, "database.sessions", words, "orthanc-2 say sslmode=verify-full")
    assert password not in str(result)


def test_a_replica_that_does_not_look_at_the_name_draws_a_warning(breakable: TestSite) -> None:
    with replica_edited(breakable, "orthanc-2", lambda settings: _sslmode(settings, "verify-ca")):
        assert_fails(breakable, "database.sessions", "verify-ca", "verify-full", status="warning")


@pytest.mark.twin("database.password")
def test_a_database_that_takes_any_password_fails_and_the_remedy_mends_it(breakable: TestSite) -> None:
    with edited(breakable.state / "config/postgresql/pg_hba.conf", "scram-sha-256", "trust"):
        reload_postgresql(breakable)
        assert_fails(breakable, "database.password", "lets orthanc in with any password", "scram-sha-256")
        breakable.up()
        restart(breakable, "postgresql")
        assert_passes(breakable, "database.password")


@pytest.mark.twin("database.tables")
def test_a_missing_table_fails(breakable: TestSite) -> None:
    sql(breakable, "ALTER TABLE exportedresources RENAME TO gone")
    try:
        assert_fails(breakable, "database.tables", "^exportedresources is missing", "backup")
    finally:
        sql(breakable, "ALTER TABLE gone RENAME TO exportedresources")
    assert_passes(breakable, "database.tables")


def test_the_tables_of_newer_plugins_are_known_by_their_schema_revision() -> None:
    # PrepareIndex.sql of orthanc-databases: 14 tables in plugin 4.0, and 16 permanent ones in plugin 10.3.
    assert len(tables_of(1)) == 14
    assert len(tables_of(10)) == 16
    assert "deletedfiles" in tables_of(1) and "deletedfiles" not in tables_of(2)
    assert "patientrecyclingorder" in tables_of(5) and "patientrecyclingorder" not in tables_of(6)


@pytest.mark.twin("database.row")
@pytest.mark.parametrize(
    ("change", "words", "remedy"),
    [
        ("SET uncompressedhash = repeat('0', 32)", "the row says MD5 0{32}, and the file has", "audit"),
        ("SET uncompressedsize = uncompressedsize + 2", r"the row says \d+ bytes, and the file has", "audit"),
    ],
)
def test_a_row_that_says_something_else_than_was_sent_fails(
    breakable: TestSite, change: str, words: str, remedy: str
) -> None:
    def change_row() -> None:
        sql(breakable, f"UPDATE attachedfiles {change} WHERE id = {_NEWEST}")

    results = broken_during(breakable, "database.row", change_row)
    assert_found(results["database.row"], Status.FAILED, words, remedy)


@pytest.mark.twin("database.row")
def test_a_row_that_is_not_there_fails(breakable: TestSite) -> None:
    def hide() -> None:
        sql(breakable, f"UPDATE attachedfiles SET filetype = 4242 WHERE id = {_NEWEST}")  # noqa: S608 - the test's own

    results = broken_during(breakable, "database.row", hide)
    assert_found(results["database.row"], Status.FAILED, "no row of attachedfiles", "uses this database")


@pytest.mark.twin("database.row")
def test_an_image_that_was_replaced_by_another_one_fails(breakable: TestSite, folder: Path) -> None:
    def replace() -> None:
        newest = "SELECT publicid FROM resources JOIN attachedfiles ON id = internalid WHERE filetype = 1"
        public = sql(breakable, f"{newest} ORDER BY id DESC LIMIT 1")[0][0]
        path = folder / "changed.dcm"
        assert breakable.curl(f"/instances/{public}/file", "--output", str(path)).status == 0
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert breakable.status_code(f"/instances/{public}", "--request", "DELETE") == 200
        assert breakable.status_code("/instances", "--data-binary", f"@{path}") == 200

    results = broken_during(breakable, "database.row", replace)
    assert_found(results["database.row"], Status.FAILED, "comes back with another dataset", "audit")


@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        ("StorageCompression: true", "passed", ", compressed"),
        ("StoreMD5ForAttachments: false", "warning", "MD5 not kept"),
        ("IngestTranscoding: 1.2.840.10008.1.2.4.70", "passed", "the dataset is another one on purpose"),
    ],
)
def test_what_a_site_was_told_to_do_with_images_is_taken_into_account(settings: str, status: str, words: str) -> None:
    with own_site("odd", f"orthanc: {{replicas: 1, settings: {{{settings}}}}}") as odd:
        results = validate(odd, "--only", "database.row", "--only", "storage.object")
        for name in ("database.row", "storage.object"):
            assert results[name]["status"] == status, results[name]
        assert words in str(results["database.row"]["evidence"])


@pytest.mark.twin("database.capacity")
def test_a_database_with_too_few_connections_fails_and_with_few_to_spare_draws_a_warning(breakable: TestSite) -> None:
    file = breakable.state / "config/postgresql/postgresql.conf"
    try:
        # Three are reserved for superusers.
        with edited(file, r"^max_connections = \d+", "max_connections = 16"):
            restart(breakable, "postgresql")
            with _each_may_open(breakable, 5):
                words = "may open 15 connections, and there are 13"
                assert_fails(breakable, "database.capacity", words, "raise max_connections")
            with _each_may_open(breakable, 4):
                words = "may open 12 connections and leave 1 to others"
                assert_fails(breakable, "database.capacity", words, "raise max_connections", status="warning")
    finally:
        restart(breakable, "postgresql")
    assert_passes(breakable, "database.capacity")


@contextlib.contextmanager
def _each_may_open(site: TestSite, count: int) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for number in (1, 2, 3):
            file = site.state / f"config/orthanc-{number}/orthanc.json"
            new = f'"IndexConnectionsCount": {count}'
            stack.enter_context(edited(file, r'"IndexConnectionsCount": \d+', new))
        yield

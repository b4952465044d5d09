"""Breaks the insides of a site for the tests of `orthweb validate`: its database, its configuration, its objects."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import TestSite, eventually
from validating import PROVED

from orthweb.local.target import local_target
from orthweb.site.paths import SitePaths
from orthweb.validation import Result, Status, select, validate
from orthweb.validation.target import Inside, Target


def sql(site: TestSite, statement: str, name: str = "orthanc") -> list[tuple[Any, ...]]:
    """Ask the site's PostgreSQL as its superuser, in Orthanc's database unless another is named."""
    import psycopg

    with psycopg.connect(
        host="127.0.0.1",
        port=json.loads((site.state / "ports.json").read_text())["postgresql"],
        user="postgres",
        dbname=name,
        password=(site.state / "secrets/postgres-superuser").read_text().strip(),
        sslmode="require",
        autocommit=True,
    ) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@contextlib.contextmanager
def edited(path: Path, old: str, new: str) -> Iterator[None]:
    """A file in which everything that the pattern `old` matches is `new` while the body runs."""
    before = path.read_text()
    after = re.sub(old, new, before, flags=re.MULTILINE)
    assert after != before, f"{old!r} is not in {path}"
    # In place: its owner and mode stay.
    path.write_text(after)
    try:
        yield
    finally:
        path.write_text(before)


@contextlib.contextmanager
def postgresql_edited(site: TestSite, name: str, old: str, new: str) -> Iterator[None]:
    """PostgreSQL with another line in one of its files of configuration, which it reads again."""
    try:
        with edited(site.state / "config/postgresql" / name, old, new):
            reload_postgresql(site)
            yield
    finally:
        reload_postgresql(site)


def reload_postgresql(site: TestSite) -> None:
    """Let PostgreSQL read its configuration and certificate again; new sessions are under them from then on."""
    log = site.state / "logs/postgresql.log"
    read = "received SIGHUP, reloading configuration files"
    before = log.read_text().count(read)
    site.kill("postgresql", signal.SIGHUP)
    eventually(lambda: log.read_text().count(read) > before, 20, "PostgreSQL to read its configuration")


@contextlib.contextmanager
def replica_edited(
    site: TestSite, name: str, change: Callable[[dict[str, Any]], None], runs: bool = False
) -> Iterator[None]:
    """An Orthanc server with another configuration than Orthweb's, and that also `runs` with it."""
    path = site.state / f"config/{name}/orthanc.json"
    before = path.read_text()
    settings = json.loads(before)
    change(settings)
    try:
        path.write_text(json.dumps(settings))
        if runs:
            restart(site, name)
        yield
    finally:
        path.write_text(before)
        if runs:
            restart(site, name)


def restart(site: TestSite, service: str) -> None:
    done = site.orthweb("restart", service, "--drain", "0")
    assert done.status == 0, done.all


def as_it_is(inside: Inside) -> Inside:
    """The inside view that the site itself gives."""
    return inside


def broken_during(
    site: TestSite,
    check: str,
    breaks: Callable[[], None] = lambda: None,
    after: str = "dicom.store",
    view: Callable[[Inside], Inside] = as_it_is,
    also: Mapping[str, Callable[[], None]] | None = None,
) -> dict[str, Result]:
    """Validate in this process, and break the site as soon as `after` has passed; returns the results by check.

    Parameters
    ----------
    view:
        Gives validation another inside view than the site's own.
    also:
        What is to be done when other checks have been made, whatever came of them.
    """

    def heard(result: Result) -> None:
        if result.check.id == after:
            assert result.status is Status.PASSED, result
            breaks()
        (also or {}).get(result.check.id, lambda: None)()

    with tempfile.TemporaryDirectory(prefix="ow-") as scratch:
        target: Target = local_target(site.description, SitePaths(site.folder), Path(scratch))
        assert target.inside is not None
        target = dataclasses.replace(target, inside=view(target.inside))
        report = validate(target, select([check]), heard)
    results = {result.check.id: result for result in report.results}
    removed = results.get("data.removed")
    assert removed is None or removed.status is Status.PASSED, removed
    return results


def assert_found(result: Result, status: Status, message: str, remedy: str) -> None:
    """Check that a check came to this, with a finding that the patterns match."""
    assert result.status is status, result
    matching = [
        finding
        for finding in result.findings
        if re.search(message, finding.message) and re.search(remedy, finding.remedy)
    ]
    assert matching, result
    assert not any("broke off" in finding.message for finding in result.findings), result
    PROVED.add(result.check.id)


def newest_object(site: TestSite) -> str:
    """The UUID of the object that was stored last."""
    found = sql(site, "SELECT uuid FROM attachedfiles WHERE filetype = 1 ORDER BY id DESC LIMIT 1")
    return str(found[0][0])

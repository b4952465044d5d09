"""What a browser sees when the database or a replica fails: an honest health check, and a session that goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from doors import assert_secure, http_answer, replicas_of
from harness import TestSite, eventually, running


@pytest.fixture(scope="module")
def own() -> Iterator[TestSite]:
    """A site that these tests hurt."""
    folder = Path(tempfile.mkdtemp(prefix="ow-"))
    try:
        with running(folder / "own") as up:
            yield up
    finally:
        shutil.rmtree(folder)


def test_healthz_is_503_while_no_replica_reaches_its_database(own: TestSite) -> None:
    def health() -> int:
        return own.status_code("/healthz", user=None)

    assert health() == 200
    server = own.pid("postgresql")
    children = Path(f"/proc/{server}/task/{server}/children")
    processes = [server, *(int(word) for word in children.read_text().split())]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        eventually(lambda: health() == 503, 20, "/healthz to say that the site is not well")
        assert_secure(http_answer(own.curl("/healthz", "--include", user=None))[1])
        assert own.status_code("/system") == 503
        assert own.echo().status != 0
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)
    eventually(lambda: health() == 200, 20, "/healthz to say that the site is well again")
    assert own.status_code("/system") == 200
    # The proxy asks for the health of both ports apart.
    eventually(lambda: own.echo().status == 0, 20, "the DICOM port to answer again")


def test_a_session_goes_on_when_its_replica_is_killed(own: TestSite, tmp_path: Path) -> None:
    _all_replicas_serve(own)
    jar = str(tmp_path / "cookies")

    def ask(agent: str) -> int:
        words = ["--cookie", jar, "--cookie-jar", jar, "--user-agent", agent]
        return own.status_code("/system", *words)

    assert ask("before") == 200
    (served,) = replicas_of(own, "before", 1)
    ports = json.loads((own.state / "ports.json").read_text())
    name = next(name for name, port in ports.items() if served == f"127.0.0.1:{port}").partition("/")[0]
    own.kill(name)
    # From the moment of its death on, long before a health check has seen it.
    assert [ask("after") for _ in range(10)] == [200] * 10
    assert replicas_of(own, "after", 10) - {served}
    _all_replicas_serve(own)


def _all_replicas_serve(site: TestSite) -> None:
    def serve() -> bool:
        return all(replica["healthy"] and replica["web"] for replica in site.status()["replicas"])

    eventually(serve, 30, "all replicas to serve")

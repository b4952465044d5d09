"""A command in a warm process is the command that a person runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from harness import ORTHWEB, TestSite, run
from warm import Warm


@pytest.fixture
def environment() -> dict[str, str]:
    source = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", **source}


def test_it_says_the_same_with_the_same_status_and_ends_when_it_takes_too_long(
    folder: Path, environment: dict[str, str]
) -> None:
    site = TestSite(folder / "site").init()
    server = Warm(environment)
    try:
        for words in (["status"], ["status", "--json"], ["nothing"], ["init"], ["render", "-C", "/nonexistent"]):
            cold = run([*ORTHWEB, *words], env=environment, cwd=site.folder)
            warm = server.run(words, environment, site.folder, 60)
            assert warm == (cold.status, cold.out.encode(), cold.err.encode())
        elsewhere = {**environment, "ORTHWEB_SITE": str(folder)}
        assert b"no such file" in server.run(["status"], elsewhere, site.folder, 60)[2]
        with pytest.raises(subprocess.TimeoutExpired):
            server.run(["status"], environment, site.folder, 0.01)
    finally:
        server.close()

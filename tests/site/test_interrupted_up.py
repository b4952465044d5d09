"""A first `up` that is interrupted, at any moment: the next one completes it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import CLIENT_ENVIRONMENT, ORTHWEB, TestSite, eventually

Moment = Callable[[TestSite, str], bool]


def _there(name: str) -> Moment:
    """The moment when a file or folder of that pattern has come into being."""
    return lambda site, _: any(site.state.glob(name))


def _said(line: str) -> Moment:
    """The moment when `up` has said something."""
    return lambda _, said: line in said


# Ctrl-C reaches every process of the terminal, initdb included; a service manager's TERM only `up` itself.
@pytest.mark.parametrize(
    ("moment", "how", "group"),
    [
        pytest.param(_there("pki/ca.crt"), signal.SIGINT, True, id="Ctrl-C while certificates are made"),
        pytest.param(_there("data/postgresql.new*"), signal.SIGINT, True, id="Ctrl-C in initdb"),
        pytest.param(_there("data/postgresql.new*"), signal.SIGKILL, False, id="KILL in initdb"),
        pytest.param(_said("started postgresql"), signal.SIGTERM, False, id="TERM while PostgreSQL starts"),
        pytest.param(_said("started orthanc-1"), signal.SIGINT, True, id="Ctrl-C while Orthanc starts"),
        pytest.param(_said("started envoy"), signal.SIGTERM, False, id="TERM while Envoy starts"),
    ],
)
def test_up_after_an_interrupted_up_completes_it(
    folder: Path, moment: Moment, how: signal.Signals, group: bool
) -> None:
    folder.chmod(0o755)
    site = TestSite(folder / "cut").init("cut", "orthanc: {replicas: 1}")
    try:
        status, said = _interrupt(site, moment, how, group)
        assert status in (130, -how), said
        assert "Traceback" not in said
        if how is not signal.SIGKILL:
            assert said.splitlines()[-1] == "orthweb: interrupted: the same command goes on from here"
            last = json.loads((site.state / "history.jsonl").read_text().splitlines()[-1])
            assert (last["command"], last["result"]) == ("up", "interrupted")
        site.up()
        assert site.status()["healthy"]
        assert site.echo().status == 0
    finally:
        site.down()


def _interrupt(site: TestSite, moment: Moment, how: signal.Signals, group: bool) -> tuple[int, str]:
    """Start a first `up` and interrupt it; returns its exit status and what it said."""
    said = site.folder / "said"
    with open(said, "wb") as file:
        process = subprocess.Popen(
            [*ORTHWEB, "-C", str(site.folder), "up"],
            env=CLIENT_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        eventually(lambda: moment(site, said.read_text()) or process.poll() is not None, 60, "the moment")
        assert process.poll() is None, said.read_text()
        (os.killpg if group else os.kill)(process.pid, how)
        return process.wait(30), said.read_text()
    finally:
        process.kill()
        process.wait()

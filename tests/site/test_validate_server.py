"""`orthweb validate` on the machine: processes, room, clocks and logs of a good site pass, and of a broken one fail."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from breaking import assert_found, broken_during, edited, restart
from harness import Done, TestSite, eventually, own_site, run
from people import need_root
from refusals import start
from validating import assert_fails, assert_passes, validate

from orthweb.local.host import LocalHost
from orthweb.local.housekeeping import rotate
from orthweb.local.processes import Supervisor
from orthweb.site.paths import SitePaths
from orthweb.validation import Status
from orthweb.validation.target import Inside, Space

CHECKS = ("server.services", "server.memory", "server.clock", "server.started", "server.finished")
_MB = 2**20


@pytest.fixture(scope="module")
def served() -> Iterator[TestSite]:
    """A site whose processes the tests of this file stop, kill and start again."""
    with own_site("served", "orthanc: {replicas: 2}") as site:
        yield site


def test_a_good_server_passes_and_says_what_it_saw(served: TestSite) -> None:
    results = assert_passes(served, *CHECKS)
    seen = {name: {entry["name"]: entry["text"] for entry in results[name]["evidence"]} for name in CHECKS}
    assert set(seen["server.services"]) == {"postgresql", "orthanc-1", "orthanc-2", "envoy", "housekeeping"}
    assert all("never restarted" in text for text in seen["server.services"].values())
    assert set(seen["server.clock"]) == {"the web server", "Orthanc", "PostgreSQL"}
    assert "Orthanc has started" in seen["server.started"]["orthanc-2"]
    assert "MB free" in results["server.memory"]["message"] or "GB free" in results["server.memory"]["message"]


def test_refused_requests_do_not_make_a_server_that_is_well_look_ill(served: TestSite) -> None:
    # Orthanc logs them as errors.
    assert served.status_code("/tools/find", "--data-binary", "{no JSON") == 400
    result = assert_passes(served, "server.started")["server.started"]
    assert any("2 errors logged" in entry["text"] for entry in result["evidence"]), result


# Processes -----------------------------------------------------------------------------------------------------------


def _supervisor(site: TestSite) -> Supervisor:
    paths = SitePaths(site.folder)
    return Supervisor(paths.run, paths.config / "supervisord.conf", paths.logs / "supervisor.log")


@contextlib.contextmanager
def _stopped(site: TestSite, *names: str) -> Iterator[None]:
    supervisor = _supervisor(site)
    supervisor.stop(names)
    try:
        yield
    finally:
        for name in names:
            supervisor.start_process(name)
        site.healthy()


@pytest.mark.twin("server.services")
def test_a_stopped_process_fails(served: TestSite) -> None:
    with _stopped(served, "orthanc-2"):
        result = assert_fails(served, "server.services", "orthanc-2 does not run: it is stopped", "logs orthanc-2")
    assert len(result["findings"]) == 1
    assert_passes(served, "server.services")


@pytest.mark.twin("server.services")
def test_a_process_that_died_and_was_started_again_draws_a_warning_that_counts(served: TestSite) -> None:
    for _ in range(2):
        _kill_and_see_restarted(served, "orthanc-2")
    words = "orthanc-2 ended by itself twice since the site came up"
    assert_fails(served, "server.services", words, "logs orthanc-2", status="warning")
    # As the remedy says.
    done = served.orthweb("down", "--drain", "0")
    assert done.status == 0, done.all
    served.up()
    assert_passes(served, "server.services")


def _kill_and_see_restarted(site: TestSite, name: str) -> None:
    victim = site.kill(name)
    eventually(lambda: _supervisor(site).states()[name].pid not in (0, victim), 30, f"{name} to be there again")


@pytest.mark.twin("server.started")
def test_an_orthanc_that_does_not_come_to_its_start_fails_with_the_reason_that_it_logs(served: TestSite) -> None:
    log = served.state / "logs/orthanc-2.log"
    taken = json.loads((served.state / "ports.json").read_text())["orthanc-1/http"]
    with edited(served.state / "config/orthanc-2/orthanc.json", r'"HttpPort": \d+', f'"HttpPort": {taken}'):
        served.kill("orthanc-2")
        said = "The TCP port of the HTTP server is privileged or already in use"
        eventually(lambda: said in log.read_text(), 30, "Orthanc to find its port taken")
        words = f"orthanc-2 has not come to its start: .*{said}"
        assert_fails(served, "server.started", words, "logs orthanc-2")
    served.healthy()
    assert_passes(served, "server.started")


@pytest.mark.twin("server.started")
def test_an_orthanc_that_was_stopped_has_not_started(served: TestSite) -> None:
    with _stopped(served, "orthanc-2"):
        assert_fails(served, "server.started", "orthanc-2 has stopped", "logs orthanc-2")


def test_a_start_that_is_in_the_older_part_of_a_log_counts_and_one_that_is_gone_is_skipped(served: TestSite) -> None:
    log = served.state / "logs/orthanc-2.log"
    for status in ("passed", "skipped"):
        # As the site's own housekeeping does when a log has grown; everything is in the older part by then.
        assert rotate(log, most_bytes=-1)
        result = validate(served, "--only", "server.started")["server.started"]
        assert result["status"] == status, result
    assert result["message"].startswith("the log of orthanc-2 no longer goes back to its start")
    restart(served, "orthanc-2")
    assert_passes(served, "server.started")


@pytest.mark.twin("server.finished")
def test_an_interrupted_up_fails_and_the_remedy_mends_it(served: TestSite) -> None:
    # `up` waits for a replica that hangs.
    hung = served.kill("orthanc-2", signal.SIGSTOP)
    try:
        starting = start(served)
        lock = served.state / "lock"
        eventually(lambda: f'"pid": {starting.pid}' in lock.read_text(), 30, "up to hold the site's lock")
        starting.send_signal(signal.SIGINT)
        assert starting.wait(60) == 130
    finally:
        os.kill(hung, signal.SIGCONT)
    assert_fails(served, "server.finished", "'orthweb up' of .* was not finished: interrupted", "run 'orthweb up'")
    served.healthy()
    served.up()
    assert_passes(served, "server.finished")


@pytest.mark.twin("server.finished")
def test_a_proxy_that_is_not_ready_fails(served: TestSite) -> None:
    with _stopped(served, "envoy"):
        assert_fails(served, "server.finished", "Envoy does not say that it is ready", "run 'orthweb up'")


# Room ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(folder: Path) -> Iterator[Path]:
    """A disk of 4 GB that takes no room of this machine until it is written to."""
    need_root("mounting a disk")
    image, point = folder / "image", folder / "disk"
    folder.chmod(0o755)
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(4096 * _MB)
    for command in (["mkfs.ext4", "-q", "-m", "0"], ["mount", "-o", "loop"]):
        done = run([*command, image, *([point] if command[0] == "mount" else [])])
        assert done.status == 0, done.all
    try:
        yield point
    finally:
        done = run(["umount", point])
        assert done.status == 0, done.all


@pytest.mark.slow
@pytest.mark.twin("server.disk")
def test_a_disk_that_is_nearly_full_fails_and_one_that_fills_up_draws_a_warning(disk: Path) -> None:
    site = TestSite(disk / "site").init(more="orthanc: {replicas: 1}")
    filling = disk / "filling"
    try:
        site.up()
        assert_passes(site, "server.disk")
        _fill(filling, 300)
        words = r"filling up: \d+ MB of \d\.\d GB free \([5-9] %\)"
        assert_fails(site, "server.disk", words, "make room", status="warning")
        _fill(filling, 150)
        assert_fails(site, "server.disk", r"nearly full: \d+ MB of \d\.\d GB free \([34] %\)", "make room")
        filling.unlink()
        assert_passes(site, "server.disk")
    finally:
        filling.unlink(missing_ok=True)
        site.down()


def _fill(filling: Path, keep: int) -> None:
    """Take what is free on a disk but for `keep` MB, without writing it."""
    filling.unlink(missing_ok=True)
    free = shutil.disk_usage(filling.parent).free
    with filling.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - keep * _MB)


class HostWithLittleRoom(LocalHost):
    """A stand-in for a machine that is short of memory: to use all of this one's would harm others."""

    free_percent = 0

    def memory(self) -> Space:
        total = super().memory().total
        return Space("the memory", total * self.free_percent // 100, total)

    def disks(self) -> Sequence[Space]:
        return [Space("the disk of /srv", 4000 * _MB, 400_000 * _MB)]


@pytest.mark.twin("server.memory", "server.disk")
def test_a_machine_without_memory_fails_and_one_that_is_short_of_it_draws_a_warning(served: TestSite) -> None:
    host = HostWithLittleRoom(served.description, SitePaths(served.folder))

    def short(inside: Inside) -> Inside:
        return dataclasses.replace(inside, host=host)

    for percent, status, words in ((2, Status.FAILED, "nearly used up"), (8, Status.WARNING, "getting short")):
        host.free_percent = percent
        result = broken_during(served, "server.memory", view=short)["server.memory"]
        assert_found(result, status, rf"the memory is {words}: .* \({percent} %\)", "fewer replicas, or more memory")
    # A large disk has more than 200 MB left long before Orthanc can't go on: 2 % count as well.
    result = broken_during(served, "server.disk", view=short)["server.disk"]
    assert_found(result, Status.FAILED, r"the disk of /srv is nearly full: 3\.9 GB .*\(1 %\)", "make room")


# Clocks --------------------------------------------------------------------------------------------------------------


class Elsewhen(TestSite):
    """A site that is looked at by commands whose clock is wrong; faketime sees to that."""

    def __init__(self, site: TestSite, shift: str) -> None:
        super().__init__(site.folder)
        self._shift = shift

    def orthweb(self, *words: str | Path, **options: Any) -> Done:
        shown = run(["faketime", "-m", "-f", self._shift, "env"]).out
        faked = dict(line.split("=", 1) for line in shown.splitlines() if line.startswith(("FAKETIME=", "LD_PRELOAD=")))
        assert len(faked) == 2, shown
        source = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
        plain = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", **source}
        environment = {**plain, **faked, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        return super().orthweb(*words, env=environment, **options)


@pytest.mark.twin("server.clock")
@pytest.mark.parametrize(
    ("shift", "status", "words"),
    [
        ("+90s", "failed", r"PostgreSQL is (89|90|91) s behind this machine's clock"),
        ("-90s", "failed", r"Orthanc is (8[789]|90) s ahead of this machine's clock"),
        ("+20s", "warning", r"the web server is (1[789]|20) s behind this machine's clock"),
    ],
)
def test_clocks_fail_when_a_minute_apart_and_draw_a_warning_when_some_seconds_are(
    served: TestSite, shift: str, status: str, words: str
) -> None:
    assert_fails(Elsewhen(served, shift), "server.clock", words, "NTP", status=status)

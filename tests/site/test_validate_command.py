"""The command `orthweb validate`: what a person sees of it, what scripts get, and how it is watched and interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import IO

import pytest
from harness import ORTHWEB, TestSite, eventually
from terminal import on_a_terminal
from validating import validate

QUICK = ["--quick", "--skip", "server"]
"""What is well on any machine that tests run on."""


def test_all_is_well_on_a_good_site_and_every_check_is_told_in_order(site: TestSite) -> None:
    done, listed = site.orthweb("validate"), site.orthweb("validate", "--list", "--json")
    assert done.status == 0, done.all
    told = [line.split()[1] for line in done.out.splitlines() if line.split()[0] in ("passed", "warning", "skipped")]
    assert told == [*(check["id"] for check in json.loads(listed.out)), "data.removed"]
    # Other tests may have killed a process of this site before: that is a warning.
    assert done.out.splitlines()[-2].startswith("test: the site "), done.out
    assert "\x1b" not in done.out


def test_a_person_at_a_terminal_sees_subjects_marks_and_times(site: TestSite) -> None:
    status, shown = on_a_terminal(site, "validate", *QUICK, columns=110)
    assert status == 0, shown
    for words in ("\nnetwork", "✓ network.web", "\ndicom", "✓ dicom.echo", " ms", "test: the site is well"):
        assert words in shown.replace("\r", ""), words


def test_only_brings_what_it_needs_and_skip_says_what_that_means(site: TestSite) -> None:
    results = validate(site, "--only", "dicom.find", "--skip", "dicom.store")
    assert results["dicom.echo"]["status"] == "passed"
    assert results["dicom.find"]["message"] == "it needs dicom.store, which was left out"
    assert "web.login" not in results and "data.removed" not in results


def test_a_site_that_is_down_fails_and_says_how_to_bring_it_up(breakable: TestSite) -> None:
    try:
        assert breakable.orthweb("down", "--drain", "0").status == 0
        done = breakable.orthweb("validate", *QUICK)
    finally:
        breakable.up()
    assert done.status == 1
    assert "bring the site up with 'orthweb up'" in done.out
    assert "it needs network.web, which failed" in done.out
    assert not done.err


def test_a_site_that_never_was_up_is_told_in_a_line(folder: Path) -> None:
    done = TestSite(folder / "new").init("new").orthweb("validate")
    assert (done.status, done.out) == (1, "")
    assert "has never been up: bring it up with 'orthweb up'" in done.err


def test_kept_test_data_stay_and_can_be_found(breakable: TestSite) -> None:
    before = set(breakable.instances())
    results = validate(breakable, "--only", "dicom.store", "--keep")
    assert results["dicom.store"]["status"] == "passed" and "data.removed" not in results
    kept = set(breakable.instances()) - before
    assert len(kept) == 1
    study = breakable.json(f"/instances/{kept.pop()}/study")
    assert study["PatientMainDicomTags"]["PatientName"] == "ORTHWEB^VALIDATION"
    assert breakable.curl(f"/studies/{study['ID']}", "--request", "DELETE").status == 0


@pytest.fixture
def watching(breakable: TestSite) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """`orthweb validate --watch` on the site, and what it prints."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    command = [*ORTHWEB, "-C", str(breakable.folder), "validate", "--only", "web.login", "--watch", "1"]
    # A shell that runs tests in the background has its children ignore SIGINT.
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    return process, process.stdout


def test_a_watched_site_tells_changes_only(
    breakable: TestSite, watching: tuple[subprocess.Popen[bytes], IO[bytes]]
) -> None:
    process, printed = watching
    try:
        assert _line_with(printed, b"the site is well")
        breakable.kill("envoy", signal.SIGSTOP)
        assert b"failed" in _line_with(printed, b"web.login")
        breakable.kill("envoy", signal.SIGCONT)
        assert b"passed" in _line_with(printed, b"web.login", b"passed")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        breakable.kill("envoy", signal.SIGCONT)
        breakable.healthy()


def _hear_interrupts() -> None:
    # A shell that runs tests in the background has its children ignore SIGINT.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _line_with(printed: IO[bytes], *words: bytes) -> bytes:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        line = printed.readline()
        assert line, "it has ended"
        if all(word in line for word in words):
            return line
    raise AssertionError(f"waited for {words!r}")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_validation_leaves_nothing_behind(breakable: TestSite, how: signal.Signals) -> None:
    before = breakable.instances()
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    process = subprocess.Popen(
        [*ORTHWEB, "-C", str(breakable.folder), "validate"], env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, preexec_fn=_hear_interrupts,
    )  # fmt: skip
    try:
        eventually(lambda: len(breakable.instances()) > len(before), 20, "test data to arrive")
        process.send_signal(how)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode in (1, 130), err
    assert b"interrupted" in err and b"Traceback" not in err
    assert breakable.instances() == before

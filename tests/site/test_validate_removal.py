"""The test data of `orthweb validate` go again, however it ends, and nothing else in the site goes with them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import ORTHWEB, TestSite, eventually
from pydicom import dcmread
from pydicom.uid import generate_uid
from validating import PROVED, validate

from orthweb.validation.samples.test_data import TestData

# All that store. Of what is refused, Orthanc keeps the association for minutes when its client is killed.
_WHAT_STORES = ("--only", "dicom", "--skip", "dicom.unlisted-ae-title")
_LEVELS = ("patients", "studies", "series", "instances")
# Seconds after a run has noted what it is about to store: before, in the middle of and after its stores, and its end.
_MOMENTS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)


def census(site: TestSite) -> dict[str, set[str]]:
    """Everything that the site has."""
    return {level: set(site.json(f"/{level}")) for level in _LEVELS}


def notes(site: TestSite) -> list[str]:
    """What runs have noted to be removed."""
    return sorted(path.name for path in (site.state / "validation").glob("study-*"))


@contextlib.contextmanager
def validating(site: TestSite, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """`orthweb validate` under way; it is ended when the body leaves it running."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
    command = [*ORTHWEB, "-C", str(site.folder), "validate", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until_noted(site: TestSite, process: subprocess.Popen[bytes], before: list[str]) -> None:
    """Wait until a run is about to store something."""
    end = time.monotonic() + 60
    while notes(site) == before:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing was noted"
        time.sleep(0.001)


def until_quiet(site: TestSite) -> None:
    """Wait until what was on its way to the site is there: for a second nothing has come."""
    seen, since = census(site), time.monotonic()

    def quiet() -> bool:
        nonlocal seen, since
        now = census(site)
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > 1

    eventually(quiet, 60, "the last store to arrive", 0.2)


@pytest.fixture(scope="module")
def patient(site: TestSite, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A study that looks like test data in all but its identifiers; returns Orthanc's identifier of its image."""
    return store_patient(site, tmp_path_factory.mktemp("patient"))


def store_patient(site: TestSite, folder: Path) -> str:
    image = dcmread(TestData(folder).ct.path)
    image.PatientID = "ORTHWEB-VALIDATION-0"
    image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID = (generate_uid() for _ in range(3))
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.save_as(folder / "patient.dcm")
    before = set(site.instances())
    done = site.store(folder / "patient.dcm")
    assert done.status == 0, done.all
    (made,) = set(site.instances()) - before
    return made


def test_a_validation_leaves_the_site_as_it_was(site: TestSite, patient: str) -> None:
    before, noted, digest = census(site), notes(site), site.curl(f"/instances/{patient}/attachments/dicom/md5").out
    assert len(digest) == 32
    last = site.json("/changes?last")["Last"]
    results = validate(site, "--only", "dicom")
    assert results["data.removed"]["status"] == "passed"
    assert census(site) == before
    assert site.curl(f"/instances/{patient}/attachments/dicom/md5").out == digest
    assert notes(site) == noted
    # What changed in between was the test study's, and went with it; a study becomes stable by itself.
    theirs = set.union(*before.values())
    changes = site.json(f"/changes?since={last}&limit=1000")["Changes"]
    assert not [each for each in changes if each["ID"] in theirs and not each["ChangeType"].startswith("Stable")]


def test_with_keep_the_test_data_stay_also_after_the_next_validation(site: TestSite) -> None:
    before, noted = census(site), notes(site)
    results = validate(site, "--keep", "--only", "dicom.transfer-syntaxes")
    assert "data.removed" not in results and notes(site) == noted
    kept = census(site)
    (study,) = kept["studies"] - before["studies"]
    try:
        described = site.json(f"/studies/{study}")
        assert described["PatientMainDicomTags"]["PatientName"] == "ORTHWEB^VALIDATION"
        assert len(described["Series"]) == 2
        assert len(kept["instances"] - before["instances"]) > 20
        assert validate(site, "--only", "dicom.store")["data.removed"]["status"] == "passed"
        assert census(site) == kept
    finally:
        assert site.status_code(f"/studies/{study}", "--request", "DELETE") == 200
    assert census(site) == before


@pytest.mark.slow
@pytest.mark.parametrize(("how", "first"), [(signal.SIGINT, 0), (signal.SIGTERM, 1)])
def test_an_interrupted_validation_leaves_nothing(
    site: TestSite, patient: str, how: signal.Signals, first: int
) -> None:
    before, noted = census(site), notes(site)
    # Both signals are one to the command, so each gets every other moment.
    for moment in _MOMENTS[first::2]:
        with validating(site, *_WHAT_STORES) as process:
            until_noted(site, process, noted)
            time.sleep(moment)
            process.send_signal(how)
            out, err = process.communicate(timeout=60)
        assert b"Traceback" not in err + out, (moment, err)
        # The last of them may come when Python itself is ending.
        assert process.returncode in (0, 130, -how), (moment, process.returncode, err)
        assert census(site) == before, f"interrupted {moment} s after the note"
        assert notes(site) == noted, moment


def test_a_validation_that_is_interrupted_before_it_stores_leaves_nothing(site: TestSite) -> None:
    before, noted = census(site), notes(site)
    with validating(site, *_WHAT_STORES) as process:
        # Python is up once the signal has its handler; what the command does then takes longer than a millisecond.
        eventually(lambda: _catches(process.pid, signal.SIGTERM), 60, "the command to begin")
        process.terminate()
        process.communicate(timeout=60)
    assert census(site) == before and notes(site) == noted


def _catches(pid: int, wanted: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    mask = int(next(line for line in status.splitlines() if line.startswith("SigCgt:")).split()[1], 16)
    return bool(mask >> (wanted - 1) & 1)


@pytest.mark.slow
def test_what_a_killed_validation_leaves_is_removed_by_the_next(site: TestSite, patient: str) -> None:
    before, left = census(site), 0
    # The last of them in the middle of its stores.
    for moment in (*_MOMENTS[1:5], 0.1):
        noted = notes(site)
        with validating(site, *_WHAT_STORES) as process:
            until_noted(site, process, noted)
            time.sleep(moment)
            process.kill()
            process.communicate(timeout=60)
        until_quiet(site)
        left += census(site) != before
    assert left > 1 and census(site) != before, "nothing was left: they were killed too early or too late"
    # The next removes it, also one that stores nothing itself.
    results = validate(site, "--only", "network.web")
    assert results["data.removed"]["status"] == "passed"
    assert census(site) == before


def test_a_validation_that_is_interrupted_twice_is_cleaned_up_after_by_the_next(site: TestSite) -> None:
    before = census(site)
    with validating(site, *_WHAT_STORES) as process:
        until_noted(site, process, notes(site))
        process.send_signal(signal.SIGINT)
        # While it removes its test data.
        time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert b"Traceback" not in out + err, err
    until_quiet(site)
    validate(site, "--only", "network.web")
    assert census(site) == before


def test_validations_side_by_side_leave_each_others_test_data_alone(site: TestSite, patient: str) -> None:
    before = census(site)
    with contextlib.ExitStack() as running:
        processes = []
        noted: list[str] = []
        for number in range(3):
            process = running.enter_context(validating(site, *_WHAT_STORES, "--json"))
            until_noted(site, process, noted)
            noted = notes(site)
            # The second is killed while the others go on; the next ones remove what it has left.
            if number == 1:
                process.kill()
            else:
                processes.append(process)
        for process in processes:
            out, err = process.communicate(timeout=120)
            assert process.returncode == 0, (out, err)
            assert json.loads(out)["summary"]["failed"] == 0
    validate(site, "--only", "network.web")
    assert census(site) == before


@pytest.mark.twin("data.removed")
def test_what_cannot_be_removed_while_the_site_is_down_is_told_and_removed_later(breakable: TestSite) -> None:
    before = census(breakable)
    with validating(breakable, *_WHAT_STORES) as process:
        until_noted(breakable, process, notes(breakable))
        eventually(lambda: census(breakable) != before, 30, "something to be stored")
        process.kill()
    until_quiet(breakable)
    noted = notes(breakable)
    assert breakable.orthweb("down", "--drain", "0").status == 0
    try:
        removed = validate(breakable, "--only", "network.web")["data.removed"]
        assert removed["status"] == "failed" and "Connection refused" in removed["message"]
        assert "next validation tries again" in removed["remedy"]
        assert notes(breakable) == noted
        PROVED.add("data.removed")
    finally:
        breakable.up()
    assert census(breakable) != before
    assert validate(breakable, "--only", "network.web")["data.removed"]["status"] == "passed"
    assert census(breakable) == before


@pytest.mark.slow
def test_a_store_that_arrives_after_the_removal_is_removed_by_the_next(breakable: TestSite) -> None:
    before, noted, pids = census(breakable), notes(breakable), _orthancs(breakable)
    stopped = False
    try:
        with validating(breakable, *_WHAT_STORES) as process:
            until_noted(breakable, process, noted)
            # In the middle of the first store: what was sent waits in the servers' sockets.
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            stopped = True
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=120)
            assert b"data.removed" in out, "it was not told that something may be left"
    finally:
        if stopped:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
    breakable.healthy(60)
    until_quiet(breakable)
    assert len(notes(breakable)) == len(noted) + 1
    validate(breakable, "--only", "network.web")
    assert census(breakable) == before


def _orthancs(site: TestSite) -> list[int]:
    services: list[dict[str, Any]] = site.status()["services"]
    return [int(each["pid"]) for each in services if each["name"].startswith("orthanc-")]

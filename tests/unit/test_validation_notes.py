"""The notes by which `orthweb validate` removes its test data, with a web server that answers as Orthanc does."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orthweb.errors import Failure
from orthweb.validation.removal import Ledger, Leftovers, NotRemoved, remove_leftovers, remove_study
from orthweb.validation.samples.test_data import TestData, orthanc_id
from orthweb.validation.target import Credentials, DicomDoor, Target, WebDoor

_LONG = 30.0


@pytest.fixture
def data(tmp_path: Path) -> TestData:
    return TestData(tmp_path)


class _Web:
    """Studies that can be asked for and deleted; `answers` are given first, one a request."""

    def __init__(self) -> None:
        self.port = 0
        self.studies: set[str] = set()
        self.answers: list[int] = []
        self.asked: list[str] = []

    def status(self, method: str, path: str) -> int:
        self.asked.append(f"{method} {path}")
        if self.answers:
            return self.answers.pop(0)
        study = path.removeprefix("/studies/")
        if study not in self.studies:
            return 404
        if method == "DELETE":
            self.studies.remove(study)
        return 200


@pytest.fixture
def web() -> Iterator[_Web]:
    known = _Web()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(known.status(self.command, self.path))
            self.end_headers()

        do_DELETE = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        known.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield known
        server.shutdown()
        thread.join(_LONG)


@pytest.fixture
def target(web: _Web, tmp_path: Path) -> Target:
    return _target(web.port, tmp_path / "state")


def _target(port: int, state: Path, credentials: bool = True) -> Target:
    door = WebDoor("127.0.0.1", port, plain=True, credentials=Credentials("someone", "secret") if credentials else None)
    return Target("test", ("127.0.0.1",), door, DicomDoor("127.0.0.1", 1, "ORTHANC"), state)


def _noted(target: Target, data: TestData, web: _Web) -> Ledger:
    ledger = Ledger(target)
    ledger.note(data)
    web.studies.add(data.orthanc_study)
    return ledger


def _notes(target: Target) -> list[str]:
    return sorted(path.name for path in target.state.rglob("study-*"))


def test_a_study_is_removed_and_seen_to_be_gone(target: Target, web: _Web) -> None:
    study = orthanc_id("abc")
    web.studies |= {study, orthanc_id("another")}
    remove_study(target.web, study)
    assert web.studies == {orthanc_id("another")}
    assert web.asked == [f"DELETE /studies/{study}", f"GET /studies/{study}"]


def test_a_server_that_is_busy_is_asked_again(target: Target, web: _Web) -> None:
    study = orthanc_id("abc")
    web.studies.add(study)
    web.answers = [503, 500]
    remove_study(target.web, study)
    assert not web.studies


def test_a_server_that_does_not_know_the_user_is_not_asked_twice(target: Target, web: _Web) -> None:
    web.answers = [401]
    with pytest.raises(NotRemoved, match="answers 401"):
        remove_study(target.web, orthanc_id("abc"))
    assert len(web.asked) == 1


def test_what_a_run_left_is_removed_by_the_next(target: Target, web: _Web, data: TestData) -> None:
    ledger = _noted(target, data, web)
    ledger.answered()
    ledger.close()
    web.studies.add(orthanc_id("a patient's"))
    assert remove_leftovers(target) == Leftovers(removed=1)
    assert web.studies == {orthanc_id("a patient's")}
    assert not _notes(target)


def test_what_a_run_beside_this_one_uses_is_left_alone(target: Target, web: _Web, data: TestData) -> None:
    ledger = _noted(target, data, web)
    assert not remove_leftovers(target).troubles
    assert web.studies == {data.orthanc_study} and not web.asked
    ledger.answered()
    assert not remove_leftovers(target).troubles
    assert web.studies == {data.orthanc_study}
    ledger.forget()
    ledger.close()
    assert not _notes(target)


def test_what_was_not_answered_is_looked_for_again_for_a_day(target: Target, web: _Web, data: TestData) -> None:
    _noted(target, data, web).close()
    assert remove_leftovers(target) == Leftovers(removed=1)
    assert remove_leftovers(target) == Leftovers(removed=0)
    # It arrives after all.
    web.studies.add(data.orthanc_study)
    assert not remove_leftovers(target).troubles
    assert not web.studies
    (note,) = target.state.rglob("study-*")
    # Nothing is missed when it cannot be looked for: it was removed.
    web.answers = [403]
    assert remove_leftovers(target) == Leftovers()
    old = time.time() - 90_000
    os.utime(note, (old, old))
    assert not remove_leftovers(target).troubles
    assert not _notes(target)


def test_what_cannot_be_removed_stays_noted(target: Target, web: _Web, data: TestData) -> None:
    ledger = _noted(target, data, web)
    ledger.answered()
    ledger.close()
    web.answers = [403]
    (trouble,) = remove_leftovers(target).troubles
    assert "answers 403" in trouble
    assert len(_notes(target)) == 1
    assert not remove_leftovers(target).troubles
    assert not web.studies and not _notes(target)


def test_without_a_user_it_is_said_that_something_is_left(target: Target, web: _Web, data: TestData) -> None:
    _noted(target, data, web).close()
    unknown = _target(target.web.port, target.state, credentials=False)
    (trouble,) = remove_leftovers(unknown).troubles
    assert "no user of the web page was given" in trouble and not web.asked


def test_a_site_that_is_down_is_told_whatever_else_is_looked_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        down = _target(closed.getsockname()[1], tmp_path / "state")
    for number in range(6):
        (folder := tmp_path / str(number)).mkdir()
        ledger = Ledger(down)
        ledger.note(TestData(folder))
        if number % 3:
            ledger.watch()
        ledger.close()
    (trouble,) = remove_leftovers(down).troubles
    assert "Connection refused" in trouble


def test_notes_of_another_site_are_left_alone(target: Target, web: _Web, data: TestData) -> None:
    ledger = _noted(target, data, web)
    ledger.answered()
    ledger.close()
    other = _target(1, target.state)
    assert not remove_leftovers(other).troubles
    assert len(_notes(target)) == 1


def test_files_that_are_no_notes_are_left_alone(target: Target, web: _Web, data: TestData) -> None:
    _noted(target, data, web).forget()
    folder = next(path.parent for path in target.state.rglob("lock"))
    for name in ("study-.open", "study-../../x.open", "notes.txt", "study-" + "a" * 44):
        with contextlib.suppress(OSError):
            (folder / name).write_text("not a note")
    assert not remove_leftovers(target).troubles
    assert not web.asked


def test_a_folder_that_cannot_be_written_to_is_named(target: Target, data: TestData) -> None:
    target.state.write_text("in the way")
    with pytest.raises(Failure, match="nothing was stored") as raised:
        Ledger(target).note(data)
    assert str(target.state) in raised.value.message and raised.value.remedy


def test_notes_that_cannot_be_looked_at_are_told(target: Target, web: _Web, data: TestData) -> None:
    _noted(target, data, web).close()
    lock = next(target.state.rglob("lock"))
    lock.unlink()
    lock.mkdir()
    (trouble,) = remove_leftovers(target).troubles
    assert "cannot be looked for" in trouble and str(lock) in trouble


def test_runs_that_begin_at_the_same_time_never_take_each_others_notes(
    target: Target, web: _Web, tmp_path: Path
) -> None:
    """Each notes, stores, looks for leftovers and removes its own, again and again; nobody's study goes before that."""
    meeting = threading.Barrier(6)
    lost: list[str] = []

    def run() -> None:
        meeting.wait(_LONG)
        for _ in range(15):
            data = TestData(tmp_path)
            ledger = _noted(target, data, web)
            if remove_leftovers(target) != Leftovers():
                lost.append("trouble")
            if data.orthanc_study not in web.studies:
                lost.append("removed by another")
            ledger.answered()
            remove_study(target.web, data.orthanc_study)
            ledger.forget()
            ledger.close()

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(run) for _ in range(6)]:
            done.result(_LONG)
    assert not lost and not web.studies and not _notes(target)

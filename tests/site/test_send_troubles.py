"""`orthweb send` when the destination, a file or a person gets in the way: what is told, and how it goes on."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from dicom_peers import LIMITS, receiving
from harness import eventually, free_port
from scripted_archive import CT, Archive, command, environment, send, uid_of

from orthweb.dicom.errors import AssociationAborted
from orthweb.dicom.limits import Limits
from orthweb.dicom.statuses import CANNOT_UNDERSTAND, OUT_OF_RESOURCES, SUCCESS


def test_the_destinations_trouble_is_waited_out(folder: Path, images: list[Path]) -> None:
    archive = Archive(lambda asked, uid: OUT_OF_RESOURCES if asked.total() <= 6 else SUCCESS)
    with receiving(archive.open_sink) as server:
        done = send(folder, server.port, folder / "images")
    assert done.status == 0, done.all
    assert set(archive.stored) == {uid_of(path) for path in images}
    assert set(archive.stored.values()) == {1}
    assert "out of resources (A700H); trying again" in done.err


def test_an_objects_own_fault_is_told_and_only_what_is_missing_is_sent_the_next_time(
    folder: Path, images: list[Path]
) -> None:
    bad = uid_of(images[7])
    archive = Archive(lambda asked, uid: CANNOT_UNDERSTAND if uid == bad else SUCCESS)
    with receiving(archive.open_sink) as server:
        done = send(folder, server.port, folder / "images")
        assert done.status == 1
        assert "39 accepted" in done.out
        assert "1 refused: cannot understand or process (C000H)" in done.out
        assert str(images[7]) in done.out
        assert archive.asked[bad] == 1, "an object's own fault was tried again"
        archive.decide = lambda asked, uid: SUCCESS
        done = send(folder, server.port, folder / "images")
        assert done.status == 0, done.all
        assert "39 accepted by an earlier run" in done.out
        assert set(archive.stored.values()) == {1}
        # All is there: the next time is a new send.
        assert "40 accepted\n" in send(folder, server.port, folder / "images").out


def test_an_object_that_is_never_taken_for_now_does_not_hold_up_the_end(folder: Path, images: list[Path]) -> None:
    # As Orthanc answers an instance without a Study Instance UID.
    bad = uid_of(images[3])
    archive = Archive(lambda asked, uid: OUT_OF_RESOURCES if uid == bad else SUCCESS)
    with receiving(archive.open_sink) as server:
        done = send(folder, server.port, folder / "images")
    assert done.status == 1
    assert "39 accepted" in done.out
    assert "1 refused: out of resources (A700H)" in done.out


def test_an_object_that_always_ends_the_association_is_given_up(folder: Path, images: list[Path]) -> None:
    bad = uid_of(images[3])

    def decide(asked: Counter[str], uid: str) -> int:
        if uid == bad:
            raise AssociationAborted("hung up on")
        return SUCCESS

    archive = Archive(decide)
    with receiving(archive.open_sink) as server:
        done = send(folder, server.port, folder / "images")
    assert done.status == 1
    assert "39 accepted" in done.out
    assert "1 refused: the association ended with it each time" in done.out
    assert archive.asked[bad] == 3


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_send_goes_on_and_sends_nothing_twice(
    folder: Path, images: list[Path], end: signal.Signals
) -> None:
    archive = Archive()
    archive.hold_after = 5
    with receiving(archive.open_sink) as server:
        words = [str(folder / "images"), "--associations", "2"]
        with subprocess.Popen(
            command(server.port, *words),
            env=environment(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as sending:
            try:
                eventually(lambda: archive.asked.total() > archive.stored.total() >= 5, 30, "an instance on its way")
                sending.send_signal(end)
                archive.go_on.set()
                out, err = sending.communicate(timeout=30)
            finally:
                sending.kill()
        if end != signal.SIGKILL:
            assert sending.returncode == 130
            assert b"interrupted" in err
            assert b"not sent: interrupted" in out
        done = send(folder, server.port, *words, "--json")
    assert done.status == 0, done.all
    assert set(archive.stored) == {uid_of(path) for path in images}
    # Whether those on their way arrived the sender could not know.
    assert len([uid for uid, times in archive.stored.items() if times > 1]) <= 2
    counts = json.loads(done.out)["instances"]
    assert counts["before"] >= 5 - 2
    assert counts["before"] + counts["accepted"] == 40


def test_a_sender_waits_for_a_destination_that_is_not_up_yet(folder: Path, images: list[Path]) -> None:
    port = free_port()
    with subprocess.Popen(
        command(port, str(images[0])), env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as sending:
        try:
            assert sending.stderr is not None
            assert b"trying again" in sending.stderr.readline()
            archive = Archive()
            with receiving(archive.open_sink, port=port):
                out, err = sending.communicate(timeout=60)
        finally:
            sending.kill()
    assert sending.returncode == 0, out + err


def test_a_destination_that_stays_away_is_given_up(folder: Path, images: list[Path]) -> None:
    port = free_port()
    done = send(folder, port, folder / "images", "--retry-for", "1")
    assert done.status == 1
    assert "nobody listens there: connection refused" in done.err
    assert "40 not sent" in done.out


def test_a_refusal_for_good_is_not_tried_again(folder: Path) -> None:
    archive = Archive()
    with receiving(archive.open_sink, ae_title="ARCHIVE") as server:
        done = send(folder, server.port, CT)
    assert done.status == 1
    assert "AE title" in done.err
    assert "trying again" not in done.err


def test_a_destination_with_few_associations_gets_all_the_same(folder: Path, images: list[Path]) -> None:
    archive = Archive()
    few = Limits(**{**LIMITS.__dict__, "associations": 2})
    with receiving(archive.open_sink, few) as server:
        done = send(folder, server.port, folder / "images", "--associations", "8")
    assert done.status == 0, done.all
    assert set(archive.stored) == {uid_of(path) for path in images}


def test_the_same_send_cannot_run_twice_at_once(folder: Path, images: list[Path]) -> None:
    archive = Archive()
    archive.hold_after = 0
    with (
        receiving(archive.open_sink) as server,
        subprocess.Popen(
            command(server.port, str(folder / "images")), env=environment(folder), stdout=subprocess.DEVNULL
        ) as first,
    ):
        try:
            eventually(lambda: archive.asked, 30, "the first to send")
            second = send(folder, server.port, folder / "images")
            assert second.status == 1
            assert "already being sent" in second.err
            archive.go_on.set()
            assert first.wait(30) == 0
        finally:
            first.kill()


def test_a_file_that_is_gone_by_its_turn_is_told(folder: Path, images: list[Path]) -> None:
    archive = Archive()

    def decide(asked: Counter[str], uid: str) -> int:
        images[-1].unlink(missing_ok=True)
        return SUCCESS

    archive.decide = decide
    with receiving(archive.open_sink) as server:
        done = send(folder, server.port, folder / "images", "--associations", "1")
    assert done.status == 1
    assert "39 accepted" in done.out
    assert "1 not sent: No such file or directory" in done.out

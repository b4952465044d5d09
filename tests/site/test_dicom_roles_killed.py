"""A sender and a receiver that are killed at work: what was acknowledged is there, and nothing half has a name."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from dicom_peers import parts, peer, receiving, serving_threads, whole
from dicom_samples import Sample, dataset_digest, elements, make
from dicom_victims import receiver, sender
from harness import eventually

from orthweb.dicom.errors import AssociationAborted
from orthweb.dicom.folder import into_folder
from orthweb.dicom.store import Storer
from orthweb.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN

COUNT = 200
SYNTAX = EXPLICIT_VR_LITTLE_ENDIAN


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    files = tmp_path / "files"
    files.mkdir()
    return [
        make(files, f"victim-{number}", elements(f"victim-{number}", number.to_bytes(2, "big") * 150_000), SYNTAX)
        for number in range(COUNT)
    ]


def assert_whole(folder: Path, samples: Sequence[Sample]) -> None:
    """Every file that has its name is all of an instance."""
    expected = {one.head.sop_instance: one.digest for one in samples}
    for uid in whole(folder):
        assert dataset_digest(folder / f"{uid}.dcm") == expected[uid]


class Senders:
    """Two associations of ours that send all they are given, until it is done or they break."""

    def __init__(self, port: int, samples: Sequence[Sample]) -> None:
        self.acknowledged: set[str] = set()
        self.broken = 0
        shares = [samples[start::2] for start in range(2)]
        self._threads = [threading.Thread(target=self._send, args=(port, share)) for share in shares]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _send(self, port: int, samples: Sequence[Sample]) -> None:
        try:
            with Storer(peer(port), {one.key for one in samples}) as storer:
                for one in samples:
                    assert storer.store(one.path) == 0
                    self.acknowledged.add(one.head.sop_instance)
        except AssociationAborted:
            self.broken += 1


@pytest.fixture
def kept(folder: Path) -> Path:
    path = folder / "kept"
    path.mkdir()
    return path


def test_a_receiver_that_is_killed_has_kept_all_that_it_acknowledged(kept: Path, samples: list[Sample]) -> None:
    with receiver(kept) as (victim, port):
        senders = Senders(port, samples)
        eventually(lambda: len(senders.acknowledged) > 20, 30, "some instances to be acknowledged")
        victim.kill()
        senders.join()
    assert senders.broken == 2
    assert 20 < len(senders.acknowledged) < COUNT
    assert senders.acknowledged <= whole(kept)
    assert_whole(kept, samples)
    # Another one goes on in the same folder, with what the first left there.
    left = [one for one in samples if one.head.sop_instance not in senders.acknowledged]
    with receiver(kept) as (_, port):
        again = Senders(port, left)
        again.join()
    assert again.acknowledged | senders.acknowledged == whole(kept) == {one.head.sop_instance for one in samples}
    assert_whole(kept, samples)


def test_of_a_sender_that_is_killed_every_instance_is_whole_or_not_there(kept: Path, samples: list[Sample]) -> None:
    with receiving(into_folder(kept, durable=False)) as server:
        with sender(server.port, samples[0].path.parent) as victim:
            first = [victim.line() for _ in range(20)]
            said = [*first, *victim.kill()]
        eventually(lambda: len(serving_threads()) == 1, 10, "the associations to end")
        assert parts(kept) == []
    assert {line.split()[1] for line in said} == {"0"}
    assert len(said) < COUNT
    assert {line.split()[0] for line in said} <= whole(kept)
    assert_whole(kept, samples)

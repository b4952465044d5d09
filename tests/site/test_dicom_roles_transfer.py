"""From our own sender to our own receiver every dataset arrives byte for byte, whatever it is."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from dicom_peers import LIMITS, peer, receiving, whole
from dicom_samples import (
    CT_STORAGE,
    MPEG,
    Sample,
    dataset_digest,
    elements,
    made_up,
    make,
    packaged,
    sample,
    uid_of,
)
from doors import HAS_IPV6

from orthweb.dicom.folder import into_folder
from orthweb.dicom.part10 import file_meta
from orthweb.dicom.reception import StoreRequest
from orthweb.dicom.store import Storer, grouped
from orthweb.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
)

MB = 1 << 20


def assert_arrived(folder: Path, sent: Sample) -> None:
    """Compare the dataset by its bytes, and what the file meta information says of it."""
    kept = sample(folder / f"{sent.head.sop_instance}.dcm")
    assert kept.key == sent.key
    assert kept.head.sop_instance == sent.head.sop_instance
    assert dataset_digest(kept.path) == sent.digest, sent.path


def send_all(port: int, samples: Sequence[Sample], folder: Path) -> int:
    """Send them, and compare each as soon as it is acknowledged; returns how many associations it took."""
    groups = grouped(one.key for one in samples)
    for keys in groups:
        with Storer(peer(port), keys) as storer:
            for one in samples:
                if one.key in keys:
                    assert storer.store(one.path) == 0, one.path
                    assert_arrived(folder, one)
    return len(groups)


def test_every_file_that_ships_with_pydicom_arrives_byte_for_byte(folder: Path) -> None:
    samples = packaged()
    assert len(samples) > 150
    syntaxes = {syntax for _, syntax in (one.key for one in samples)}
    assert len(syntaxes) >= 12
    assert {EXPLICIT_VR_BIG_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN} <= syntaxes
    with receiving(into_folder(folder, durable=False)) as server:
        send_all(server.port, samples, folder)


def test_kinds_that_nobody_ships_arrive_byte_for_byte(folder: Path, tmp_path: Path) -> None:
    samples = made_up(tmp_path)
    assert {one.head.transfer_syntax for one in samples} >= set(MPEG)
    assert any(one.head.dataset_length % 2 for one in samples)
    with receiving(into_folder(folder)) as server:
        send_all(server.port, samples, folder)


def test_more_kinds_than_an_association_has_contexts_for_go_over_two(folder: Path, tmp_path: Path) -> None:
    data = elements("any", b"1234")
    samples = [make(tmp_path, f"kind-{number}", data, f"{uid_of('syntax')}.{number}") for number in range(130)]
    with receiving(into_folder(folder, durable=False)) as server:
        assert send_all(server.port, samples, folder) == 2
    assert len(whole(folder)) == 130


@pytest.mark.parametrize("length", [128, 4097, 16_382, 262_144])
def test_the_length_of_pdus_that_the_receiver_names_changes_no_byte(folder: Path, tmp_path: Path, length: int) -> None:
    data = elements("lengths", bytes(range(256)) * 1021)
    sent = [
        make(tmp_path, f"shorter-by-{less}", data[: len(data) - less], EXPLICIT_VR_LITTLE_ENDIAN) for less in range(5)
    ]
    limits = replace(LIMITS, maximum_length=length)
    with receiving(into_folder(folder, durable=False), limits) as server:
        send_all(server.port, sent, folder)


def test_many_associations_at_once_mix_nothing_up(folder: Path, tmp_path: Path) -> None:
    numbers = range(8 * 12)
    samples = [
        make(tmp_path, f"mix-{number}", elements(f"mix-{number}", number.to_bytes(2, "big") * 100_000), "1.2.3.4")
        for number in numbers
    ]
    troubles: list[str] = []

    def send(mine: Sequence[Sample]) -> None:
        with Storer(peer(server.port), {one.key for one in mine}) as storer:
            troubles.extend(str(one.path) for one in mine if storer.store(one.path) != 0)

    with receiving(into_folder(folder, durable=False)) as server:
        threads = [threading.Thread(target=send, args=(samples[start::8],)) for start in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not troubles
    for one in samples:
        assert dataset_digest(folder / f"{one.head.sop_instance}.dcm") == one.digest


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
def test_a_server_on_an_ipv6_address_takes_what_comes(folder: Path, tmp_path: Path) -> None:
    sent = make(tmp_path, "six", elements("six", b"1234"), EXPLICIT_VR_LITTLE_ENDIAN)
    with receiving(into_folder(folder), host="::1") as server:
        with Storer(replace(peer(server.port), host="::1"), [sent.key]) as storer:
            assert storer.store(sent.path) == 0
        assert_arrived(folder, sent)


@dataclass
class Checksums:
    """Takes datasets and keeps their lengths and checksums only."""

    length: int = 0
    checksum: int = 0

    def write(self, views: Sequence[memoryview]) -> None:
        for view in views:
            self.checksum = zlib.crc32(view, self.checksum)
            self.length += len(view)

    def finish(self) -> int:
        return 0

    def discard(self) -> None:
        self.length = 0


def test_an_object_of_more_than_2_gb_arrives_byte_for_byte(tmp_path: Path) -> None:
    meta = file_meta(CT_STORAGE, uid_of("large"), EXPLICIT_VR_LITTLE_ENDIAN)
    length, path = 2048 * MB + 4097, tmp_path / "large.dcm"
    expected, empty = 0, bytes(8 * MB - 8)
    with path.open("wb") as file:
        file.write(meta)
        # Only the marks take room on the disk: between them nothing is written.
        for start in range(0, length, 8 * MB):
            mark = start.to_bytes(8, "big")
            file.seek(len(meta) + start)
            file.write(mark)
            expected = zlib.crc32(empty[: length - start - 8], zlib.crc32(mark, expected))
        file.truncate(len(meta) + length)
    arrived: list[Checksums] = []

    def open_sink(_: StoreRequest) -> Checksums:
        arrived.append(Checksums())
        return arrived[-1]

    counted = 0

    def progress(count: int) -> None:
        nonlocal counted
        counted += count

    with receiving(open_sink) as server, Storer(peer(server.port), [(CT_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN)]) as storer:
        assert storer.store(path, progress=progress) == 0
    assert arrived == [Checksums(length, expected)]
    assert counted == length

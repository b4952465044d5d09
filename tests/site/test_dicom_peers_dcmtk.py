"""Our two roles against DCMTK: storescu and echoscu call us, storescp and dcmqrscp are called by us."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from dicom_peers import dcmqrscp, peer, receiving, storescp
from dicom_samples import (
    HTJ2K,
    JPEG_XL,
    PRIVATE_CLASS,
    Sample,
    dataset_digest,
    made_up,
    packaged,
    rounds,
    sample,
    storescu_profile,
)
from harness import Done, run

from orthweb.dicom.errors import AssociationAborted, AssociationRejected, NotAccepted
from orthweb.dicom.folder import into_folder
from orthweb.dicom.requestor import Requestor
from orthweb.dicom.store import ContextKey, Storer, grouped
from orthweb.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

ECHO = [(VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,))]
# DCMTK 3.6.7 was made before these transfer syntaxes, and storescp takes no colour palettes, which are of no patient.
UNKNOWN_TO_DCMTK = {*HTJ2K, *JPEG_XL}
COLOR_PALETTE_STORAGE = "1.2.840.10008.5.1.4.39.1"


def storescu(port: int, profile: Path, files: Iterable[Path]) -> Done:
    """Send files, each proposed in its own transfer syntax."""
    options: list[str | Path] = ["-v", "--no-halt", "-xf", profile, "All", "-aec", "ORTHWEB"]
    command: list[str | Path] = ["storescu", *options, "127.0.0.1", str(port), *files]
    return run(command)


def digests(folder: Path) -> dict[str, tuple[str, str]]:
    """Transfer syntax and digest of the dataset of each file of a folder, by SOP instance UID."""
    found = [sample(path) for path in folder.iterdir()]
    return {one.head.sop_instance: (one.head.transfer_syntax, dataset_digest(one.path)) for one in found}


def batches(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    """So that no instance comes twice and one association has contexts for all."""
    for distinct in rounds(samples):
        for keys in grouped(one.key for one in distinct):
            yield [one for one in distinct if one.key in keys]


def test_what_storescu_sends_is_kept_as_dcmtks_own_receiver_keeps_it(folder: Path) -> None:
    count = 0
    for number, batch in enumerate(batches(packaged())):
        profile, ours, theirs = (folder / f"{number}-{name}" for name in ("profile", "ours", "theirs"))
        profile.write_text(storescu_profile(one.key for one in batch))
        ours.mkdir()
        with storescp(theirs) as port:
            expected = storescu(port, profile, (one.path for one in batch))
        with receiving(into_folder(ours, durable=False), ae_title="ORTHWEB") as server:
            done = storescu(server.port, profile, (one.path for one in batch))
        said = [re.findall(r"Received Store Response.*", each.all) for each in (done, expected)]
        assert set(said[0]) <= {"Received Store Response (Success)"}
        more = {one.head.sop_instance for one in batch if one.head.sop_class == COLOR_PALETTE_STORAGE}
        assert len(said[0]) == len(said[1]) + len(more)
        assert {uid: kept for uid, kept in digests(ours).items() if uid not in more} == digests(theirs)
        assert more <= set(digests(ours))
        count += len(digests(ours))
    assert count > 150


def test_what_storescp_takes_of_us_arrives_byte_for_byte(folder: Path, tmp_path: Path) -> None:
    samples = [*packaged(), *made_up(tmp_path)]
    refused: set[ContextKey] = set()
    for number, batch in enumerate(batches(samples)):
        with storescp(folder / str(number)) as port, Storer(peer(port), [one.key for one in batch]) as storer:
            refused |= {one.key for one in batch if not storer.takes(one.key)}
            taken = [one for one in batch if storer.takes(one.key) and not one.odd]
            for one in taken:
                assert storer.store(one.path) == 0, one.path
        expected = {one.head.sop_instance: (one.head.transfer_syntax, one.digest) for one in taken}
        assert digests(folder / str(number)) == expected
    strange = {one.key for one in samples if one.head.sop_class == COLOR_PALETTE_STORAGE}
    assert refused == strange | {one.key for one in samples if one.head.transfer_syntax in UNKNOWN_TO_DCMTK}


@pytest.mark.parametrize("pdu", ["4096", "131072"])
def test_storescp_gets_pdus_of_the_length_that_it_names(folder: Path, tmp_path: Path, pdu: str) -> None:
    sent = next(one for one in made_up(tmp_path) if one.path.stem == "many-fragments")
    with storescp(folder / "in", "-pdu", pdu) as port, Storer(peer(port), [sent.key]) as storer:
        assert storer.requestor.association.layer.peer_maximum == int(pdu)
        assert storer.store(sent.path) == 0
    assert digests(folder / "in")[sent.head.sop_instance][1] == sent.digest


def test_dcmtks_archive_takes_what_we_send_and_answers_our_echo(folder: Path) -> None:
    samples = [one for one in packaged() if not one.odd]
    with dcmqrscp(folder / "archive", "ARCHIVE") as port:
        archive = peer(port, called_ae_title="ARCHIVE")
        with Requestor(archive, ECHO) as requestor:
            assert requestor.echo() == 0
        batch = next(batches(samples))
        with Storer(archive, [one.key for one in batch]) as storer:
            taken = [one for one in batch if storer.takes(one.key) and storer.store(one.path) == 0]
    assert len(taken) > 50
    # What the archive itself cannot keep, for want of a study or a series, it has refused.
    assert {one.digest for one in taken} == {dataset_digest(path) for path in (folder / "archive").glob("*/*.dcm")}


def test_echoscu_is_answered() -> None:
    with receiving(lambda _: 0) as server:
        done = run(["echoscu", "-v", "--repeat", "3", "127.0.0.1", str(server.port)])
    assert done.status == 0
    assert done.all.count("Received Echo Response (Success)") == 3


def test_echoscu_is_told_that_the_called_ae_title_is_another() -> None:
    with receiving(lambda _: 0, ae_title="ARCHIVE") as server:
        done = run(["echoscu", "-aec", "SOMEBODY", "127.0.0.1", str(server.port)])
        assert run(["echoscu", "-aec", "ARCHIVE", "127.0.0.1", str(server.port)]).status == 0
    assert done.status != 0
    assert "Called AE Title Not Recognized" in done.all


def test_the_status_of_a_refused_instance_reaches_storescu(tmp_path: Path) -> None:
    one = packaged()[0]
    (tmp_path / "profile").write_text(storescu_profile([one.key]))
    with receiving(lambda _: 0xA700) as server:
        done = storescu(server.port, tmp_path / "profile", [one.path])
    assert "Refused: OutOfResources" in done.all


def test_a_private_sop_class_is_not_accepted_by_a_strict_storescp(folder: Path, tmp_path: Path) -> None:
    private, big = (
        next(one for one in made_up(tmp_path) if one.path.stem == name) for name in ("private", "big-endian")
    )
    with storescp(folder / "in", takes=["+xa"]) as port, Storer(peer(port), [private.key, big.key]) as storer:
        with pytest.raises(NotAccepted, match=PRIVATE_CLASS):
            storer.store(private.path)
        assert storer.store(big.path) == 0


def test_storescp_that_refuses_says_why(folder: Path) -> None:
    with (
        storescp(folder / "in", "--refuse") as port,
        pytest.raises(AssociationRejected, match="no reason given"),
    ):
        Requestor(peer(port), ECHO)


@pytest.mark.parametrize("when", ["--abort-during", "--abort-after"])
def test_storescp_that_aborts_a_store_is_told_from_a_lost_connection(folder: Path, tmp_path: Path, when: str) -> None:
    one = next(one for one in made_up(tmp_path) if one.path.stem == "many-fragments")
    with (
        storescp(folder / "in", when) as port,
        pytest.raises(AssociationAborted, match="aborted by the peer"),
        Storer(peer(port), [one.key]) as storer,
    ):
        storer.store(one.path)

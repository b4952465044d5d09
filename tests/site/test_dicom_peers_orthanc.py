"""Our two roles against a plain Orthanc: what we send it is all there, and what it sends us too."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from dicom_peers import PlainOrthanc, peer, plain_orthanc, receiving, whole
from dicom_samples import HTJ2K, JPEG_XL, Sample, assert_same, made_up, packaged, rounds

from orthweb.dicom.folder import into_folder
from orthweb.dicom.requestor import Requestor
from orthweb.dicom.statuses import OUT_OF_RESOURCES
from orthweb.dicom.store import Storer, grouped
from orthweb.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

# Several of these files are there because they are odd.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def orthanc() -> Iterator[PlainOrthanc]:
    folder = Path(tempfile.mkdtemp(prefix="ow-"))
    try:
        with plain_orthanc(folder / "orthanc") as running:
            yield running
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def empty(orthanc: PlainOrthanc) -> Iterator[PlainOrthanc]:
    yield orthanc
    orthanc.empty()


def send(orthanc: PlainOrthanc, samples: list[Sample]) -> list[Sample]:
    """Send what Orthanc has a presentation context for; returns what it accepted."""
    accepted = []
    for keys in grouped(one.key for one in samples):
        with Storer(peer(orthanc.dicom_port, called_ae_title=orthanc.ae_title), keys) as storer:
            mine = [one for one in samples if one.key in keys and storer.takes(one.key)]
            accepted += [one for one in mine if storer.store(one.path) == 0]
    return accepted


def test_what_we_send_to_orthanc_is_there_and_comes_back_to_us(
    empty: PlainOrthanc, folder: Path, tmp_path: Path
) -> None:
    samples = [one for one in [*packaged(), *made_up(tmp_path)] if not one.odd and not one.malformed]
    syntaxes: set[str] = set()
    count = 0
    for batch in rounds(samples):
        accepted = send(empty, batch)
        held = empty.held()
        # Some files are of one instance, and some have identifiers in their datasets that are not those of their meta
        # information.
        assert len(held) == len(accepted)
        with receiving(into_folder(folder, durable=False)) as server:
            everything = {"Resources": list(held.values()), "Synchronous": True}
            empty.json(f"/modalities/{empty.knows(server.port)}/store", everything)
        assert whole(folder) == set(held)
        for one in accepted:
            sent = pydicom.dcmread(one.path)
            uid = str(sent.SOPInstanceUID)
            assert_same(one.path.name, sent, pydicom.dcmread(io.BytesIO(empty.file(held[uid]))))
            assert_same(one.path.name, sent, pydicom.dcmread(folder / f"{uid}.dcm"))
            (folder / f"{uid}.dcm").unlink()
        syntaxes |= {one.head.transfer_syntax for one in accepted}
        count += len(accepted)
        empty.empty()
    assert count > 130
    # Orthanc 1.10.1 is older than some, and JPEG-LS with loss is packaged in files that name no study only.
    assert {one.head.transfer_syntax for one in samples} - syntaxes == {*HTJ2K, *JPEG_XL, "1.2.840.10008.1.2.4.81"}


def test_echo_goes_both_ways(orthanc: PlainOrthanc) -> None:
    called = peer(orthanc.dicom_port, called_ae_title=orthanc.ae_title)
    with Requestor(called, [(VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,))]) as requestor:
        assert [requestor.echo() for _ in range(3)] == [0, 0, 0]
    with receiving(lambda _: 0, ae_title="ORTHWEB") as server:
        assert orthanc.json(f"/modalities/{orthanc.knows(server.port)}/echo", {}) == {}


def test_orthanc_is_told_what_we_refused(empty: PlainOrthanc) -> None:
    send(empty, [one for one in packaged() if one.path.name == "CT_small.dcm"])
    everything = {"Resources": list(empty.held().values()), "Synchronous": True}
    with receiving(lambda _: OUT_OF_RESOURCES) as server:
        with pytest.raises(urllib.error.HTTPError) as raised:
            empty.json(f"/modalities/{empty.knows(server.port)}/store", everything)
        with raised.value as answer:
            assert "failed with DIMSE status 0xA700" in json.load(answer)["Details"]

"""Real files of many kinds go in over DICOM TLS and come back in the same transfer syntax with the same pixel bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pydicom
import pydicom.data
import pytest
from dicom_samples import MALFORMED, assert_same, storescu_profile
from doors import device_context
from harness import TestSite
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID
from pynetdicom import AE

# Several of these files are there because they are odd.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
PACKAGED = Path(pydicom.data.__file__).parent
IDENTIFIERS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# Standard attributes with the VR UN, identifiers among them: DCMTK's storescu finds no SOP class to propose.
NOT_FOR_STORESCU = ("test_files/rtdose_rle.dcm", "test_files/rtdose_rle_1frame.dcm")


def survey() -> tuple[dict[str, FileDataset], dict[str, str]]:
    """The files that ship with pydicom and are storage instances, and those that are none with the reason."""
    instances: dict[str, FileDataset] = {}
    others: dict[str, str] = {}
    for path in sorted(path for path in PACKAGED.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        name = str(path.relative_to(PACKAGED))
        try:
            dataset = pydicom.dcmread(path)
        except InvalidDicomError:
            others[name] = "no DICOM file (PS3.10 7.1)"
            continue
        missing = [keyword for keyword in IDENTIFIERS if not dataset.get(keyword)]
        if name in MALFORMED:
            others[name] = MALFORMED[name]
        elif "TransferSyntaxUID" not in dataset.file_meta:
            others[name] = "names no transfer syntax"
        elif "DirectoryRecordSequence" in dataset:
            others[name] = "a directory of a medium (DICOMDIR)"
        elif missing:
            others[name] = f"without {', '.join(missing)}"
        elif not UID(dataset.SOPClassUID).name.endswith("Storage"):
            others[name] = f"not of a storage class: {dataset.SOPClassUID}"
        else:
            instances[name] = dataset
    return instances, others


def rounds(instances: Mapping[str, FileDataset]) -> Iterator[dict[str, str]]:
    """Names by SOP instance UID, in as many rounds as it takes: some files are one instance in several encodings."""
    left = dict(instances)
    while left:
        one = {str(left[name].SOPInstanceUID): name for name in reversed(left)}
        yield one
        left = {name: dataset for name, dataset in left.items() if name not in one.values()}


def held(site: TestSite, uids: Iterable[str]) -> list[str]:
    """Orthanc's identifiers of the instances with these SOP instance UIDs."""
    query = {"Level": "Instance", "Query": {"SOPInstanceUID": "\\".join(uids)}}
    return list(site.json("/tools/find", "--data-binary", json.dumps(query)))


def delete(site: TestSite, uids: Iterable[str]) -> None:
    body = json.dumps({"Resources": held(site, uids)})
    assert site.status_code("/tools/bulk-delete", "--data-binary", body) == 200


def fetch(site: TestSite, uids: Iterable[str], folder: Path) -> dict[str, FileDataset]:
    """Download the files of these instances, with one curl; returns them by SOP instance UID."""
    folder.mkdir()
    names = held(site, uids)
    words = [word for name in names for word in ("--output", str(folder / name))]
    urls = [f"https://localhost:{site.web_port}/instances/{name}/file" for name in names[1:]]
    done = site.curl(f"/instances/{names[0]}/file", "--fail", *words, *urls)
    assert done.status == 0, done.all
    return {str(dataset.SOPInstanceUID): dataset for dataset in map(pydicom.dcmread, folder.iterdir())}


def test_every_instance_that_ships_with_pydicom_comes_back_as_it_was_sent(site: TestSite, tmp_path: Path) -> None:
    instances, others = survey()
    sendable = {name: dataset for name, dataset in instances.items() if name not in NOT_FOR_STORESCU}
    assert len(sendable) > 150, others
    assert len({dataset.file_meta.TransferSyntaxUID for dataset in sendable.values()}) > 10
    keys = ((ds.SOPClassUID, ds.file_meta.TransferSyntaxUID) for ds in sendable.values())
    (tmp_path / "storescu.cfg").write_text(storescu_profile(keys))
    options = ["-v", "--no-halt", "-xf", str(tmp_path / "storescu.cfg"), "All"]
    arrived = set()
    for number, one in enumerate(rounds(sendable)):
        delete(site, one)
        done = site.store(*(PACKAGED / name for name in one.values()), options=options)
        assert done.all.count("Received Store Response (Success)") == len(one), done.all
        found = fetch(site, one, tmp_path / str(number))
        assert set(found) == set(one)
        for uid, name in one.items():
            assert_same(name, sendable[name], found[uid])
            arrived.add(name)
        delete(site, one)
    assert arrived == set(sendable)


@pytest.mark.parametrize("name", NOT_FOR_STORESCU)
def test_what_storescu_cannot_send_comes_back_as_another_client_sent_it(
    site: TestSite, tmp_path: Path, name: str
) -> None:
    sent = pydicom.dcmread(PACKAGED / name)
    uid = str(sent.SOPInstanceUID)
    delete(site, [uid])
    entity = AE(ae_title="PYNETDICOM")
    entity.add_requested_context(sent.SOPClassUID, sent.file_meta.TransferSyntaxUID)
    tls = (device_context(site), "localhost")
    association = entity.associate("127.0.0.1", site.dicom_port, ae_title="ORTHANC", tls_args=tls)
    assert association.is_established
    try:
        assert association.send_c_store(PACKAGED / name).Status == 0
    finally:
        association.release()
    assert_same(name, sent, fetch(site, [uid], tmp_path / "back")[uid])
    delete(site, [uid])


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_is_refused_whole(site: TestSite, name: str) -> None:
    uid = str(pydicom.dcmread(PACKAGED / name, defer_size=0).SOPInstanceUID)
    delete(site, [uid])
    assert site.status_code("/instances", "--data-binary", f"@{PACKAGED / name}") == 400
    assert held(site, [uid]) == []

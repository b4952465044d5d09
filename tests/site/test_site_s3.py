"""A whole site that keeps its objects in a bucket, on the embedded S3-compatible server."""

from __future__ import annotations

import io
import json
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from harness import TestSite, eventually, running
from pydicom.data import get_testdata_file
from pydicom.uid import UID


@pytest.fixture(scope="module")
def bucket_site() -> Iterator[TestSite]:
    with tempfile.TemporaryDirectory(prefix="ow-") as folder, running(Path(folder) / "s", "s3", "storage: s3") as up:
        yield up


def _sample(folder: Path, number: int) -> Path:
    dataset = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.826.0.1.3680043.8.498.{number}")
    path = folder / f"{number}.dcm"
    dataset.save_as(path)
    return path


def _pixels(site: TestSite, path: Path) -> bytes:
    uid = pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID
    found = site.json("/tools/lookup", "--data", str(uid))
    instance = next(entry["ID"] for entry in found if entry["Type"] == "Instance")
    done = site.curl(f"/instances/{instance}/file", "--output", str(path.with_suffix(".back")))
    assert done.status == 0, done.all
    return bytes(pydicom.dcmread(io.BytesIO(path.with_suffix(".back").read_bytes())).PixelData)


def test_an_image_goes_into_the_bucket_and_comes_back_the_same(bucket_site: TestSite, tmp_path: Path) -> None:
    sample = _sample(tmp_path, 1)
    assert bucket_site.store(sample).status == 0
    assert _pixels(bucket_site, sample) == pydicom.dcmread(sample).PixelData
    objects = sorted(path.suffixes[0] for path in (bucket_site.state / "data/s3").rglob("*.dcm*"))
    assert objects[:1] == [".dcm"]
    assert not list((bucket_site.state / "data/dicom").rglob("*-*"))


def test_while_the_bucket_is_away_nothing_is_acknowledged_and_the_site_recovers_by_itself(
    bucket_site: TestSite, tmp_path: Path
) -> None:
    first, second = _sample(tmp_path, 2), _sample(tmp_path, 3)
    assert bucket_site.store(first).status == 0
    bucket_site.kill("s3", signal.SIGSTOP)
    try:
        refused = bucket_site.store("-v", second, timeout=120)
    finally:
        bucket_site.kill("s3", signal.SIGCONT)
    assert "Success" not in refused.all.split("Sending file")[-1]
    bucket_site.kill("s3")
    bucket_site.healthy()
    eventually(lambda: bucket_site.store(second).status == 0, 60, "the bucket to take an image again")
    for sample in (first, second):
        assert _pixels(bucket_site, sample) == pydicom.dcmread(sample).PixelData


def test_the_keys_of_the_bucket_are_in_no_command_line_and_no_environment(bucket_site: TestSite) -> None:
    keys = json.loads((bucket_site.state / "secrets/s3.json").read_text())
    bucket_site.healthy()
    for service in bucket_site.status()["services"]:
        for source in ("cmdline", "environ"):
            seen = Path(f"/proc/{service['pid']}/{source}").read_bytes().decode(errors="replace")
            assert keys["SecretKey"] not in seen
            assert keys["AccessKey"] not in seen


def test_a_site_with_images_does_not_change_its_storage(bucket_site: TestSite) -> None:
    described = (bucket_site.folder / "orthweb.yaml").read_text()
    bucket_site.describe("storage: filesystem")
    try:
        done = bucket_site.orthweb("up")
    finally:
        (bucket_site.folder / "orthweb.yaml").write_text(described)
    assert done.status == 2
    assert "storage" in done.err
    assert "Traceback" not in done.err

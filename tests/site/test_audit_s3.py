"""`orthweb audit` of a site that keeps its objects in a bucket: of its own server, and of somebody else's."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from audit_parts import added, alter, audit, changed, found, known, new_uuid, truncate, uuids
from harness import TestSite, free_port, own_site, serving
from refusals import refused
from s3_parts import ACCESS_KEY, SECRET_KEY, make_certificates
from traffic import Image, make_images

from orthweb.plugins.s3_bucket import Bucket
from orthweb.plugins.s3_settings import Settings

ROOT = "pacs/objects"


@dataclass
class Stored:
    """A site with images in a bucket, and the folder in which the bucket's server keeps them."""

    site: TestSite
    objects: Path
    bucket: Bucket
    prefix: str


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Image]:
    return make_images(tmp_path_factory.mktemp("images"), 6, 64)


@pytest.fixture(scope="module")
def embedded(images: list[Image]) -> Iterator[Stored]:
    with own_site("embedded", "{orthanc: {replicas: 1}, storage: s3}") as site:
        store(site, images)
        keys = json.loads((site.state / "secrets/s3.json").read_text())
        port = json.loads((site.state / "ports.json").read_text())["s3"]
        settings = Settings(
            "orthanc", "us-east-1", keys["AccessKey"], keys["SecretKey"], f"https://127.0.0.1:{port}",
            virtual_addressing=False, ca_bundle=str(site.state / "pki/internal/ca.crt"),
        )  # fmt: skip
        yield Stored(site, site.state / "data/s3/orthanc", Bucket(settings), "")


@pytest.fixture(scope="module")
def elsewhere(images: list[Image]) -> Iterator[Stored]:
    """A site whose bucket is on a server of somebody else: rclone, which looks at its disk for every list."""
    with tempfile.TemporaryDirectory(prefix="ow-") as folder:
        os.chmod(folder, 0o755)
        yield from _elsewhere(Path(folder), free_port(), images)


def _elsewhere(folder: Path, port: int, images: list[Image]) -> Iterator[Stored]:
    make_certificates(folder)
    held = folder / "held"
    held.mkdir()
    command = [
        str(Path(sysconfig.get_path("scripts")) / "rclone"), "serve", "s3", "--config=", f"--addr=127.0.0.1:{port}",
        f"--auth-key={ACCESS_KEY},{SECRET_KEY}", f"--cert={folder / 'server.crt'}", f"--key={folder / 'server.key'}",
        "--dir-cache-time=10ms", str(held),
    ]  # fmt: skip
    endpoint = f"https://127.0.0.1:{port}"
    settings = Settings(
        "images", "us-east-1", ACCESS_KEY, SECRET_KEY, endpoint, root=ROOT, virtual_addressing=False,
        ca_bundle=str(folder / "ca.crt"),
    )  # fmt: skip
    keys = folder / "keys.json"
    keys.write_text(json.dumps({"AccessKey": ACCESS_KEY, "SecretKey": SECRET_KEY}))
    keys.chmod(0o600)
    (folder / "ca.crt").chmod(0o644)
    storage = (
        f"{{bucket: images, endpoint: '{endpoint}', credentials: {keys}, ca: {folder / 'ca.crt'}, root_path: {ROOT}}}"
    )
    with serving(command, port):
        Bucket(settings).ensure()
        with own_site("elsewhere", f"{{orthanc: {{replicas: 1}}, storage: {storage}}}") as site:
            store(site, images)
            yield Stored(site, held / "images" / ROOT, Bucket(settings), f"{ROOT}/")


def store(site: TestSite, images: list[Image]) -> None:
    done = site.store(*(image.path for image in images))
    assert done.status == 0, (done, (site.state / "logs/orthanc-1.log").read_text()[-3000:])


@pytest.fixture(params=["embedded", "elsewhere"])
def stored(request: pytest.FixtureRequest) -> Stored:
    made: Stored = request.getfixturevalue(request.param)
    return made


def test_a_site_whose_index_and_bucket_agree_is_well(stored: Stored, images: list[Image]) -> None:
    for words in ([], ["--md5"]):
        told = audit(stored.site, *words, status=0)
        # Orthanc may keep the header of an image as an object of its own.
        assert told["rows"] == told["objects"] == len(list(stored.objects.iterdir())) >= len(images)
        assert not told["findings"]


def test_missing_truncated_and_altered_objects_are_told_apart(stored: Stored) -> None:
    gone, short, other = [f"{uuid}.dcm" for uuid in uuids(stored.site)[:3]]
    with (
        changed(stored.objects / gone, Path.unlink),
        changed(stored.objects / short, truncate),
        changed(stored.objects / other, alter),
    ):
        sizes, md5s = audit(stored.site, status=1), audit(stored.site, "--md5", status=1)
    assert found(sizes) == {("missing", gone), ("size", short)}
    assert found(md5s) == {("missing", gone), ("size", short), ("md5", other)}
    assert all(finding["PatientID"] == "TRAFFIC" for finding in md5s["findings"])


def test_an_orphan_is_deleted_when_it_is_old_and_only_when_asked(stored: Stored) -> None:
    old, young, header = (f"{new_uuid()}.dcm{end}" for end in ("", "", ".head"))
    with (
        added(stored.objects / old) as path,
        added(stored.objects / young, age=60) as kept,
        added(stored.objects / header) as head,
    ):
        for words in ([], ["--md5"]):
            told = audit(stored.site, *words, status=1)
            assert found(told) == {("orphan", old), ("young", young), ("orphan", header)}
        assert path.exists()
        told = audit(stored.site, "--delete-orphans", status=0)
        assert told["deleted"] == 2 and found(told) == {("young", young)}
        assert not path.exists() and not head.exists() and kept.exists()


def test_an_orphan_that_the_server_took_is_deleted_on_the_server(stored: Stored) -> None:
    name = f"{new_uuid()}.dcm"
    stored.bucket.put(stored.prefix + name, b"of a store that was interrupted")
    path = stored.objects / name
    assert found(audit(stored.site, status=0)) == {("young", name)}
    os.utime(path, (0, time.time() - 7200))
    assert audit(stored.site, "--delete-orphans", status=0)["deleted"] == 1
    assert not path.exists()
    assert name not in {entry.key.removeprefix(stored.prefix) for entry in stored.bucket.page(stored.prefix).entries}


def test_what_orthanc_names_otherwise_is_foreign_and_stays(stored: Stored) -> None:
    uuid = new_uuid()
    strange = ["readme.txt", f"{uuid}.jpg", uuid, f"{uuid.upper()}.dcm", f"{uuid}.dcm.part", "a name +%20é.dcm"]
    with contextlib.ExitStack() as stack:
        for name in strange:
            stack.enter_context(added(stored.objects / name))
        told = audit(stored.site, "--delete-orphans", status=0)
        assert all((stored.objects / name).exists() for name in strange)
    assert found(told) == {("foreign", name) for name in strange}


def test_objects_of_another_site_in_the_same_bucket_are_one_foreign_name(stored: Stored) -> None:
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(added(stored.objects / "other" / f"{new_uuid()}.dcm")) for _ in range(3)]
        told = audit(stored.site, "--delete-orphans", status=0)
        assert all(path.exists() for path in others)
    (stored.objects / "other").rmdir()
    assert [(kind, name.rstrip("/")) for kind, name in found(told)] == [("foreign", "other")]


def test_an_object_under_the_name_of_another_kind_is_no_object_of_its_row(stored: Stored) -> None:
    uuid = uuids(stored.site)[0]
    right, wrong = stored.objects / f"{uuid}.dcm", stored.objects / f"{uuid}.unk"
    right.rename(wrong)
    os.utime(wrong, (0, time.time() - 7200))
    try:
        told = audit(stored.site, status=1)
    finally:
        wrong.rename(right)
    assert found(told) == {("missing", right.name), ("orphan", wrong.name)}


def test_the_embedded_servers_bucket_is_not_followed_out_of(embedded: Stored, folder: Path) -> None:
    name = f"{new_uuid()}.dcm"
    with added(folder / "somebody's") as somebodys, added(embedded.objects / name) as link:
        link.unlink()
        link.symlink_to(somebodys)
        told = audit(embedded.site, "--delete-orphans", status=0)
        assert somebodys.exists() and link.is_symlink()
    assert found(told) == {("foreign", name)}


def test_a_list_of_several_pages_is_gone_through_and_on_with(elsewhere: Stored) -> None:
    content = b"one of many"
    names = sorted(new_uuid() for _ in range(2500))
    paths = [elsewhere.objects / f"{name}.unk" for name in names]
    try:
        for path in paths:
            path.write_bytes(content)
        with known(elsewhere.site, names, len(content), hashlib.md5(content).hexdigest()):
            told = audit(elsewhere.site, status=0)
            assert told["rows"] == told["objects"] > len(names)
            with changed(paths[700], Path.unlink), changed(paths[1900], truncate):
                told = audit(elsewhere.site, "--md5", status=1)
    finally:
        for path in paths:
            path.unlink()
    assert found(told) == {("missing", paths[700].name), ("size", paths[1900].name)}
    # The server states MD5s, so nothing has to be fetched to compare them.
    assert told["bytes_read"] == 0


def test_an_object_whose_md5_the_server_does_not_state_is_fetched(elsewhere: Stored) -> None:
    path = elsewhere.objects / f"{uuids(elsewhere.site)[0]}.dcm"
    size = path.stat().st_size
    with changed(path, alter):
        [finding] = audit(elsewhere.site, "--md5", status=1)["findings"]
        told = audit(elsewhere.site, "--md5", status=1)
    assert finding["kind"] == "md5" and re.fullmatch("[0-9a-f]{32}", finding["md5"])
    # At both looks.
    assert told["bytes_read"] in (size, 2 * size)


def test_a_bucket_that_is_away_is_told_in_one_line(elsewhere: Stored, embedded: Stored) -> None:
    description = elsewhere.site.folder / "orthweb.yaml"
    text = description.read_text()
    try:
        description.write_text(re.sub(r"https://127.0.0.1:\d+", f"https://127.0.0.1:{free_port()}", text))
        refused(elsewhere.site.orthweb("audit"), "list of images: https://127.0.0.1:", "check the endpoint", status=1)
    finally:
        description.write_text(text)
    away = embedded.objects.with_name("away")
    embedded.objects.rename(away)
    try:
        refused(embedded.site.orthweb("audit"), f"{embedded.objects}: No such file or directory: mount", status=1)
    finally:
        away.rename(embedded.objects)

"""`orthweb validate` on the objects, in a folder and in a bucket: good ones pass, broken ones are found."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from breaking import assert_found, broken_during, newest_object, sql
from doors import keep
from harness import TestSite, free_port, own_site, serving
from s3_faults import FaultInjectingProxy, Passing
from validating import assert_fails, assert_passes, validate

from orthweb.pki import ensure_authority
from orthweb.plugins.s3_bucket import Bucket
from orthweb.plugins.s3_settings import Settings
from orthweb.running.machine import encrypted_device
from orthweb.validation import Status
from orthweb.validation.target import BucketStorage, Inside

Change = Callable[[bytes], bytes | None]


def _deleted(content: bytes) -> None:
    return None


def _one_byte_changed(content: bytes) -> bytes:
    return content[:-1000] + bytes([content[-1000] ^ 1]) + content[-999:]


def _cut_off(content: bytes) -> bytes:
    return content[:-1000]


_BREAKS = pytest.mark.parametrize(
    ("change", "words"),
    [
        (_deleted, "the object of the image that was just stored is missing"),
        (_one_byte_changed, r"the index says MD5 \w{32}, and the object has \w{32}"),
        (_cut_off, r"the index says (\d+) bytes, and the object has (?!\1)\d+"),
    ],
)
_RESTORE = "bring the objects back from a backup"


# A folder ------------------------------------------------------------------------------------------------------------


def test_a_good_folder_passes_and_says_what_it_saw(site: TestSite) -> None:
    results = assert_passes(site, "storage.object", "storage.private")
    seen = {entry["name"]: entry["text"] for entry in results["storage.object"]["evidence"]}
    assert seen["object"].splitlines()[1] == seen["row"]


def test_what_cannot_be_looked_at_in_a_folder_is_skipped_and_says_why(site: TestSite) -> None:
    results = validate(site, "--only", "storage")
    assert (results["storage.tls"]["status"], results["storage.tls"]["message"]) == (
        "skipped",
        "the objects are in a folder: no connection leads there",
    )
    encryption = results["storage.encryption"]
    assert encryption["status"] == "skipped"
    assert "ask whoever runs it" in encryption["message"] and "LUKS" in encryption["message"]


@_BREAKS
@pytest.mark.twin("storage.object")
def test_a_damaged_object_in_the_folder_fails(breakable: TestSite, change: Change, words: str) -> None:
    def damage() -> None:
        path = _path(breakable)
        content = change(path.read_bytes())
        path.unlink() if content is None else path.write_bytes(content)

    results = broken_during(breakable, "storage.object", damage)
    assert_found(results["storage.object"], Status.FAILED, words, _RESTORE)


def _path(site: TestSite) -> Path:
    uuid = newest_object(site)
    return site.state / "data/dicom" / uuid[:2] / uuid[2:4] / uuid


@pytest.mark.twin("storage.object", "storage.private")
def test_an_index_that_names_a_file_elsewhere_is_not_followed(breakable: TestSite) -> None:
    before: list[str] = []

    def rename() -> None:
        before.append(newest_object(breakable))
        sql(breakable, f"UPDATE attachedfiles SET uuid = '/../../../etc/passwd' WHERE uuid = '{before[0]}'")  # noqa: S608

    def back() -> None:
        sql(breakable, f"UPDATE attachedfiles SET uuid = '{before[0]}' WHERE uuid = '/../../../etc/passwd'")  # noqa: S608

    for check in ("storage.object", "storage.private"):
        before.clear()
        # The row is mended before Orthanc is asked to remove the study.
        results = broken_during(breakable, check, rename, also={check: back})
        assert_found(results[check], Status.FAILED, "which is no UUID", "backup")


@pytest.mark.twin("storage.private")
def test_objects_that_others_may_read_fail_and_a_folder_that_others_may_enter_draws_a_warning(
    breakable: TestSite,
) -> None:
    root = breakable.state / "data/dicom"
    root.chmod(0o755)
    try:
        assert_fails(breakable, "storage.private", "others .* see the objects' names", "chmod 700", status="warning")
        results = broken_during(breakable, "storage.private", lambda: _path(breakable).chmod(0o644))
        assert_found(results["storage.private"], Status.FAILED, "has mode 755: others .* may read", f"chmod 700 {root}")
    finally:
        root.chmod(0o700)
    assert_passes(breakable, "storage.private")


@pytest.mark.twin("storage.private")
def test_a_link_in_the_way_of_an_object_fails(breakable: TestSite, folder: Path) -> None:
    moved: list[tuple[Path, Path]] = []

    def lead_away() -> None:
        inner, elsewhere = _path(breakable).parent, folder / "elsewhere"
        shutil.move(inner, elsewhere)
        inner.symlink_to(elsewhere)
        moved.append((inner, elsewhere))

    def back() -> None:
        for inner, elsewhere in moved:
            inner.unlink()
            shutil.move(elsewhere, inner)

    results = broken_during(breakable, "storage.private", lead_away, also={"storage.private": back})
    assert_found(results["storage.private"], Status.FAILED, "is a symbolic link to .*elsewhere", "real folder")


def test_a_disk_on_dm_crypt_counts_as_encrypted_also_below_a_logical_volume(tmp_path: Path) -> None:
    # As /sys/dev/block shows them (sysfs-block-dm): a volume on a partition, and one on LUKS on a partition.
    for name, uuid in (("plain", "LVM-abc"), ("volume", "LVM-def"), ("luks", "CRYPT-LUKS2-0123-name")):
        (tmp_path / name / "dm").mkdir(parents=True)
        (tmp_path / name / "dm/uuid").write_text(f"{uuid}\n")
        (tmp_path / name / "slaves").mkdir()
    (tmp_path / "partition").mkdir()
    (tmp_path / "plain/slaves/sda1").symlink_to(tmp_path / "partition")
    (tmp_path / "volume/slaves/dm-0").symlink_to(tmp_path / "luks")
    found = {path.name for path in tmp_path.iterdir() if encrypted_device(path)}
    assert found == {"volume", "luks"}


# A bucket ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bucket() -> Iterator[TestSite]:
    """A site that keeps its objects in a bucket."""
    with own_site("bucket", "{storage: s3, orthanc: {replicas: 1}}") as site:
        yield site


def _settings(site: TestSite) -> Settings:
    keys = json.loads((site.state / "secrets/s3.json").read_text())
    ca = str(site.state / "pki/internal/ca.crt")
    endpoint = f"https://127.0.0.1:{_port(site)}"
    pair = keys["AccessKey"], keys["SecretKey"]
    return Settings("orthanc", "us-east-1", *pair, endpoint, virtual_addressing=False, ca_bundle=ca)


def _port(site: TestSite) -> int:
    return int(json.loads((site.state / "ports.json").read_text())["s3"])


def test_a_good_bucket_passes_and_the_embedded_server_s_encryption_is_skipped(bucket: TestSite) -> None:
    results = assert_passes(bucket, "storage.object", "storage.private", "storage.tls")
    texts = [entry["text"] for entry in results["storage.private"]["evidence"]]
    assert any("SignatureDoesNotMatch" in text for text in texts), texts
    assert any("InvalidAccessKeyId" in text for text in texts), texts
    encryption = validate(bucket, "--only", "storage.encryption")["storage.encryption"]
    assert encryption["status"] == "skipped"
    assert "the site's own object storage keeps plain files" in encryption["message"]


@_BREAKS
@pytest.mark.twin("storage.object")
def test_a_damaged_object_in_the_bucket_fails(bucket: TestSite, change: Change, words: str) -> None:
    def damage() -> None:
        # Over the server, as whoever has the keys would.
        there, key = Bucket(_settings(bucket)), f"{newest_object(bucket)}.dcm"
        content = change(there.get(key))
        there.delete(key) if content is None else there.put(key, content)

    results = broken_during(bucket, "storage.object", damage)
    assert_found(results["storage.object"], Status.FAILED, words, _RESTORE)


@pytest.mark.twin("storage.private")
def test_a_public_bucket_fails(bucket: TestSite) -> None:
    # The same objects on a server that asks nobody for a key.
    with _open_server(bucket) as endpoint:
        results = broken_during(bucket, "storage.private", view=_at(endpoint))
    for words in ("anybody may read the object", "anybody may ask for the bucket", "anybody may list the bucket"):
        assert_found(results["storage.private"], Status.FAILED, words, "block public access")
    for words in ("signs with a wrong secret key", "signs with an unknown access key"):
        assert_found(results["storage.private"], Status.FAILED, words, "block public access")


@contextlib.contextmanager
def _open_server(site: TestSite) -> Iterator[str]:
    port, internal = free_port(), site.state / "pki/internal"
    command = [Path(sysconfig.get_path("scripts")) / "rclone", "serve", "s3", f"--addr=127.0.0.1:{port}", "--config="]
    command += [f"--cert={internal / 's3.crt'}", f"--key={internal / 's3.key'}", str(site.state / "data/s3")]
    with serving([str(word) for word in command], port):
        yield f"https://127.0.0.1:{port}"


def _at(endpoint: str, embedded: bool = True) -> Callable[[Inside], Inside]:
    """The site with its bucket at another address."""

    def view(inside: Inside) -> Inside:
        assert isinstance(inside.storage, BucketStorage)
        storage = dataclasses.replace(inside.storage, endpoint=endpoint, embedded=embedded)
        return dataclasses.replace(inside, storage=storage)

    return view


@contextlib.contextmanager
def _in_front(
    site: TestSite, folder: Path, fault: Callable[[Passing], None], signer: Path | None = None
) -> Iterator[str]:
    """A proxy before the site's bucket, with a certificate of the site's internal authority or of `signer`'s."""
    internal = site.state / "pki/internal"
    issued = ensure_authority(signer or internal, "a stranger").issue_internal(["127.0.0.1"])
    keep(issued, folder, "server")
    shutil.copy(internal / "ca.crt", folder / "ca.crt")
    proxy = FaultInjectingProxy(folder, _port(site))
    proxy.fault = fault
    try:
        yield proxy.endpoint
    finally:
        proxy.close()


@pytest.mark.twin("storage.tls")
def test_a_bucket_whose_certificate_is_a_stranger_s_fails(bucket: TestSite, folder: Path) -> None:
    with _in_front(bucket, folder, Passing.pass_on, signer=folder / "stranger") as endpoint:
        results = broken_during(bucket, "storage.tls", view=_at(endpoint))
    words = "the certificate of 127.0.0.1 port .* does not hold"
    assert_found(results["storage.tls"], Status.FAILED, words, "name its authority in storage.ca")


@pytest.mark.twin("storage.tls")
def test_a_bucket_without_tls_or_that_is_not_there_fails(bucket: TestSite) -> None:
    nobody = free_port()
    for endpoint, words, remedy in (
        (f"http://127.0.0.1:{_port(bucket)}", "is spoken to without TLS", "https"),
        (f"https://127.0.0.1:{nobody}", f"127.0.0.1 port {nobody}: Connection refused", "orthweb status"),
    ):
        results = broken_during(bucket, "storage.tls", view=_at(endpoint))
        assert_found(results["storage.tls"], Status.FAILED, words, remedy)


def _say_encrypted(passing: Passing) -> None:
    """A stand-in for a server that encrypts: it says so of every object, as S3 does."""
    status, headers, content = passing.forward()
    headers += [("x-amz-server-side-encryption", "aws:kms"), ("x-amz-server-side-encryption-aws-kms-key-id", "key-1")]
    passing.answer(status, headers, content)


@pytest.mark.twin("storage.encryption")
def test_a_bucket_that_does_not_say_that_it_encrypts_fails_and_one_that_does_passes(
    bucket: TestSite, folder: Path
) -> None:
    # The site's own server as if it were somebody else's, which has to encrypt.
    for fault in (Passing.pass_on, _say_encrypted):
        with _in_front(bucket, folder, fault) as endpoint:
            results = broken_during(bucket, "storage.encryption", view=_at(endpoint, embedded=False))
        if fault is Passing.pass_on:
            words = "the bucket orthanc says of no encryption"
            assert_found(results["storage.encryption"], Status.FAILED, words, "default encryption")
        else:
            assert results["storage.encryption"].status is Status.PASSED, results
            assert "key-1" in str(results["storage.encryption"].evidence)

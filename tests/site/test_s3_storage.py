"""Orthanc keeps its attachments in a bucket, and tells a modality that an instance is stored only when it is."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.data import get_testdata_file
from s3_faults import (
    FaultInjectingProxy,
    Passing,
    alter_body,
    answer_half,
    flip_a_byte_of_the_answer,
    foreign_etag,
    foreign_etag_and_nothing_kept,
    hang_up,
    keep_something_else,
    say_nothing,
    shorten_body,
)
from s3_parts import ACCESS_KEY, BUCKET, SECRET_KEY, Orthanc, S3Server, make_certificates, running

from orthweb.local.s3storage import ensure_bucket

STORED, REFUSED = "0000", "a700"
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
CT = Path(str(get_testdata_file("CT_small.dcm", download=False)))
MR = Path(str(get_testdata_file("MR_small.dcm", download=False)))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    folder = tmp_path_factory.mktemp("s3")
    make_certificates(folder)
    with running(S3Server(folder)) as server:
        ensure_bucket(server.endpoint, BUCKET, ACCESS_KEY, SECRET_KEY, folder / "ca.crt")
        yield server


@pytest.fixture
def proxy(server: S3Server) -> Iterator[FaultInjectingProxy]:
    proxy = FaultInjectingProxy(server.folder, server.port)
    yield proxy
    proxy.close()


MakeOrthanc = Callable[..., Orthanc]


@pytest.fixture
def make_orthanc(server: S3Server, tmp_path: Path) -> Iterator[MakeOrthanc]:
    """Make an Orthanc on an empty bucket, started unless told otherwise, and ended after the test."""
    made: list[Orthanc] = []
    for name in server.names():
        (server.objects / BUCKET / name).unlink()

    def make(endpoint: str | None = None, start: bool = True, **settings: Any) -> Orthanc:
        section = {
            "BucketName": BUCKET,
            "Region": "us-east-1",
            "Endpoint": endpoint or server.endpoint,
            "AccessKey": ACCESS_KEY,
            "SecretKey": SECRET_KEY,
            "VirtualAddressing": False,
            **settings,
        }
        extra = {"CaBundle": str(server.folder / "ca.crt"), "Folder": str(server.objects)}
        made.append(Orthanc(tmp_path / f"orthanc-{len(made)}", section, extra))
        if start:
            made[-1].start()
        return made[-1]

    yield make
    for orthanc in made:
        orthanc.stop(signal.SIGKILL)


@pytest.fixture
def orthanc(make_orthanc: MakeOrthanc) -> Orthanc:
    return make_orthanc()


def test_an_instance_is_kept_under_the_names_that_orthancs_own_plugin_uses(orthanc: Orthanc, server: S3Server) -> None:
    assert orthanc.store(CT) == STORED
    names = server.names()
    # Orthanc 1.12.8 with orthanc-python 7.1 reads parts of a file, and keeps no second object for the header.
    assert [name for name in names if name.endswith(".dcm")], names
    assert all(re.fullmatch(rf"{UUID}\.dcm(\.head)?", name) for name in names), names


def test_what_is_read_back_is_what_was_sent_byte_for_byte(orthanc: Orthanc, server: S3Server) -> None:
    orthanc.ask("/instances", CT.read_bytes())
    [instance] = orthanc.instances()
    assert orthanc.ask(f"/instances/{instance}/file") == CT.read_bytes()
    [name] = [name for name in server.names() if name.endswith(".dcm")]
    assert (server.objects / BUCKET / name).read_bytes() == CT.read_bytes()


def test_the_tags_and_the_pixels_of_a_stored_instance_can_be_read(orthanc: Orthanc) -> None:
    orthanc.store(CT)
    [instance] = orthanc.instances()
    assert orthanc.ask(f"/instances/{instance}/content/PatientID") == b"1CT1"
    assert orthanc.ask(f"/instances/{instance}/preview").startswith(b"\x89PNG")


def test_orthanc_ends_in_good_order(orthanc: Orthanc) -> None:
    orthanc.store(CT)
    assert orthanc.stop() == 0


def test_deleting_an_instance_removes_its_objects(orthanc: Orthanc, server: S3Server) -> None:
    orthanc.store(CT)
    orthanc.store(MR)
    kept = len(server.names())
    [instance, other] = orthanc.instances()
    orthanc.ask(f"/instances/{instance}", method="DELETE")
    assert len(server.names()) == kept / 2
    orthanc.ask(f"/instances/{other}", method="DELETE")
    assert server.names() == []


def test_deleting_an_instance_whose_objects_are_gone_already_succeeds(orthanc: Orthanc, server: S3Server) -> None:
    orthanc.store(CT)
    server.stop()
    for name in server.names():
        (server.objects / BUCKET / name).unlink()
    server.start()
    [instance] = orthanc.instances()
    orthanc.ask(f"/instances/{instance}", method="DELETE")
    assert orthanc.instances() == []


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"RootPath": "a/b c"}, rf"a/b c/{UUID}\.dcm(\.head)?"),
        ({"StorageStructure": "legacy"}, rf"(..)/(..)/(?=\1\2){UUID}"),
    ],
)
def test_the_root_path_and_the_legacy_structure_are_honoured(
    make_orthanc: MakeOrthanc, server: S3Server, settings: dict[str, Any], expected: str
) -> None:
    orthanc = make_orthanc(**settings)
    assert orthanc.store(CT) == STORED
    names = server.names()
    assert all(re.fullmatch(expected, name) for name in names), names
    [instance] = orthanc.instances()
    assert len(orthanc.ask(f"/instances/{instance}/file")) > 32768


def test_while_the_server_is_down_a_store_is_refused_and_after_it_returns_stores_work(
    orthanc: Orthanc, server: S3Server
) -> None:
    server.stop()
    begin = time.monotonic()
    try:
        assert orthanc.store(CT) == REFUSED
    finally:
        server.start()
    assert time.monotonic() - begin < 40
    assert orthanc.instances() == []
    assert orthanc.store(CT) == STORED
    assert len(orthanc.instances()) == 1


def test_a_server_that_answers_nothing_costs_a_store_less_than_a_minute(
    make_orthanc: MakeOrthanc, proxy: FaultInjectingProxy, server: S3Server
) -> None:
    orthanc = make_orthanc(proxy.endpoint)
    proxy.fault = say_nothing
    begin = time.monotonic()
    assert orthanc.store(CT) == REFUSED
    assert 5 < time.monotonic() - begin < 50
    assert orthanc.instances() == []


@pytest.mark.parametrize("fault", [alter_body, shorten_body, keep_something_else, foreign_etag_and_nothing_kept])
def test_an_object_that_is_not_safely_there_is_not_acknowledged(
    make_orthanc: MakeOrthanc, proxy: FaultInjectingProxy, server: S3Server, fault: Callable[[Passing], None]
) -> None:
    orthanc = make_orthanc(proxy.endpoint, MaxRetries=2)
    proxy.fault = fault
    assert orthanc.store(CT) == REFUSED
    assert orthanc.instances() == []
    assert server.names() == []
    proxy.fault = Passing.pass_on
    assert orthanc.store(CT) == STORED


def test_a_server_whose_etags_are_no_checksums_is_asked_what_it_kept(
    make_orthanc: MakeOrthanc, proxy: FaultInjectingProxy
) -> None:
    orthanc = make_orthanc(proxy.endpoint)
    proxy.fault = foreign_etag
    assert orthanc.store(CT) == STORED
    [instance] = orthanc.instances()
    assert orthanc.ask(f"/instances/{instance}/content/PatientID") == b"1CT1"


def test_a_passing_trouble_of_the_server_is_ridden_out(make_orthanc: MakeOrthanc, proxy: FaultInjectingProxy) -> None:
    orthanc = make_orthanc(proxy.endpoint)
    troubles: list[Callable[[Passing], None]] = [
        lambda passing: passing.answer(503, [], b"<Error><Code>SlowDown</Code></Error>"),
        hang_up,
        lambda passing: passing.answer(500, [], b""),
        lambda passing: passing.answer(404, [], b"<Error><Code>NoSuchKey</Code></Error>"),
    ]

    def trouble_first(passing: Passing) -> None:
        troubles.pop()(passing) if troubles else passing.pass_on()

    proxy.fault = trouble_first
    assert orthanc.store(CT) == STORED
    assert not troubles


@pytest.mark.parametrize("fault", [answer_half, flip_a_byte_of_the_answer])
def test_a_damaged_answer_is_an_error_and_never_wrong_pixels(
    make_orthanc: MakeOrthanc, proxy: FaultInjectingProxy, fault: Callable[[Passing], None]
) -> None:
    orthanc = make_orthanc(proxy.endpoint, MaxRetries=2)
    orthanc.ask("/instances", CT.read_bytes())
    [instance] = orthanc.instances()
    proxy.fault = fault
    with pytest.raises(OSError, match="HTTP Error"):
        orthanc.ask(f"/instances/{instance}/file")
    proxy.fault = Passing.pass_on
    assert orthanc.ask(f"/instances/{instance}/file") == CT.read_bytes()


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"SecretKey": "not-the-secret"}, "SignatureDoesNotMatch"),
        ({"AccessKey": "AKIDUNKNOWN"}, "InvalidAccessKeyId"),
        ({"BucketName": "another"}, "NoSuchBucket"),
    ],
)
def test_what_the_server_refuses_is_refused_at_once_and_the_log_says_why(
    make_orthanc: MakeOrthanc, server: S3Server, setting: dict[str, str], reason: str
) -> None:
    orthanc = make_orthanc(**setting)
    assert "cannot be used now" in orthanc.log
    begin = time.monotonic()
    assert orthanc.store(CT) == REFUSED
    assert time.monotonic() - begin < 4
    assert reason in orthanc.log
    assert SECRET_KEY not in orthanc.log
    assert setting.get("SecretKey", SECRET_KEY) not in orthanc.log
    assert orthanc.instances() == []


def test_a_server_with_a_certificate_of_another_authority_is_not_trusted(
    make_orthanc: MakeOrthanc, tmp_path: Path, server: S3Server
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    make_certificates(other)
    orthanc = make_orthanc(start=False)
    configuration = orthanc.folder / "orthanc.json"
    configuration.write_text(configuration.read_text().replace(str(server.folder / "ca.crt"), str(other / "ca.crt")))
    orthanc.start()
    assert orthanc.store(CT) == REFUSED
    assert "certificate is not trusted" in orthanc.log


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"StorageEncryption": {"Enable": True, "MasterKey": [1, "/key"]}},
            "StorageEncryption: client-side encryption",
        ),
        ({"HybridMode": "WriteToFileSystem"}, "HybridMode: only 'Disabled'"),
        ({"UseTransferManager": True}, "UseTransferManager: only false"),
        ({"BucketName": None}, "BucketName: missing"),
        ({"SecretKey": None}, "SecretKey: missing"),
        ({"StorageEncrypton": True}, "StorageEncrypton: unknown setting"),
    ],
)
def test_orthanc_does_not_start_with_settings_that_cannot_be_honoured(
    make_orthanc: MakeOrthanc, settings: dict[str, Any], line: str
) -> None:
    orthanc = make_orthanc(start=False, **settings)
    process = orthanc.process = orthanc.launch()
    assert process.running.wait(20) != 0
    assert f"S3: refusing to start: AwsS3Storage.{line}" in orthanc.log
    assert SECRET_KEY not in orthanc.log

"""The embedded S3-compatible server keeps its keys to itself, and what it has acknowledged."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from s3_parts import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server, make_certificates, running, wait_until

from orthweb.errors import Failure
from orthweb.local.s3storage import ensure_bucket
from orthweb.plugins.s3_bucket import Bucket
from orthweb.plugins.s3_settings import Settings
from orthweb.plugins.s3_wire import BucketError, MissingObject


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    make_certificates(tmp_path)
    with running(S3Server(tmp_path)) as server:
        ensure_bucket(server.endpoint, BUCKET, ACCESS_KEY, SECRET_KEY, tmp_path / "ca.crt")
        yield server


def _bucket(server: S3Server, **changes: Any) -> Bucket:
    settings: dict[str, Any] = {
        "bucket": BUCKET,
        "region": "us-east-1",
        "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY,
        "endpoint": server.endpoint,
        "virtual_addressing": False,
        "ca_bundle": str(server.folder / "ca.crt"),
        "folder": str(server.objects),
    }
    return Bucket(Settings(**{**settings, **changes}))


def _connection(server: S3Server) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=server.folder / "ca.crt")
    return http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=10)


def test_the_keys_are_in_no_command_line_no_environment_and_no_log(server: S3Server) -> None:
    assert server.process is not None
    process = Path("/proc", str(server.process.running.pid))
    shown = (process / "cmdline").read_bytes() + (process / "environ").read_bytes() + server.log.encode()
    assert b"rclone" in shown
    assert SECRET_KEY.encode() not in shown
    assert ACCESS_KEY.encode() not in shown


def test_the_supervised_process_is_rclone_itself_and_its_remote_control_is_gone(server: S3Server) -> None:
    assert server.process is not None
    process = Path("/proc", str(server.process.running.pid))
    assert (process / "exe").resolve().name == "rclone"
    socket_path = Path(json.loads(server.config.read_text())["socket"])
    wait_until(lambda: not socket_path.exists(), 5, "the removal of the remote control's socket")
    assert (process / "task" / process.name / "children").read_text().split() == []


def test_whoever_has_no_keys_is_told_nothing(server: S3Server) -> None:
    _bucket(server).put("kept", b"what is kept")
    paths = ("/", f"/{BUCKET}", f"/{BUCKET}/?list-type=2", f"/{BUCKET}/kept", f"/{BUCKET}/new", "/core/version")
    for method, path in itertools.product(("GET", "PUT", "DELETE", "POST"), paths):
        connection = _connection(server)
        connection.request(method, path, b"x" if method != "GET" else None)
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        assert answer.status in (400, 403), (method, path, said)
        assert b"kept" not in said.replace(path.encode(), b""), (method, path, said)
    assert _bucket(server).get("kept") == b"what is kept"
    assert server.names() == ["kept"]


@pytest.mark.parametrize("keys", [{"secret_key": "wrong"}, {"secret_key": ""}, {"access_key": "OTHER"}])
def test_wrong_keys_are_refused(server: S3Server, keys: dict[str, str]) -> None:
    wrong = _bucket(server, **keys)
    for action in (wrong.check, lambda: wrong.put("x", b"x"), lambda: wrong.get("x"), lambda: wrong.delete("x")):
        with pytest.raises(BucketError, match="answers 403"):
            action()
    with pytest.raises(Failure, match="403"):
        ensure_bucket(server.endpoint, "another", ACCESS_KEY, "wrong", server.folder / "ca.crt")
    assert server.names() == []


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_it_speaks_tls_of_today_only(server: S3Server) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(server.folder / "ca.crt")
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    plain = socket.create_connection(("127.0.0.1", server.port), 5)
    with plain, pytest.raises(OSError, match=r"(?i)protocol|version|alert"):
        old.wrap_socket(plain, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", server.port), 5) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"400" in plain.recv(200).splitlines()[0]


def test_what_is_put_is_there_is_shown_in_parts_and_goes(server: S3Server) -> None:
    bucket = _bucket(server)
    content = os.urandom(700_000)
    bucket.put("a folder/é.dcm", content)
    assert bucket.get("a folder/é.dcm") == content
    assert bucket.get("a folder/é.dcm", 600_000, 7) == content[600_000:600_007]
    bucket.put("empty", b"")
    assert bucket.get("empty") == b""
    bucket.delete("a folder/é.dcm")
    bucket.delete("a folder/é.dcm")
    with pytest.raises(MissingObject, match="NoSuchKey"):
        bucket.get("a folder/é.dcm")
    with pytest.raises(BucketError, match="NoSuchBucket"):
        _bucket(server, bucket="another").delete("x")


def test_a_storage_class_and_tags_do_not_disturb_a_server_that_has_none(server: S3Server) -> None:
    bucket = _bucket(server, storage_class="STANDARD_IA", tags=(("project", "a study & more"),))
    bucket.put("x", b"content")
    assert bucket.get("x") == b"content"


def test_fifty_threads_share_one_bucket(server: S3Server) -> None:
    bucket = _bucket(server)
    contents = {f"object {number}": os.urandom(1000 + number * 5000) for number in range(50)}
    with ThreadPoolExecutor(50) as threads:
        list(threads.map(lambda pair: bucket.put(*pair), contents.items()))
        assert list(threads.map(bucket.get, contents)) == list(contents.values())


def test_a_folder_that_does_not_hold_the_objects_is_noticed(server: S3Server, tmp_path: Path) -> None:
    with pytest.raises(BucketError, match=r"OrthwebS3\.Folder: .*elsewhere"):
        _bucket(server, folder=str(tmp_path / "elsewhere")).put("x", b"x")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_acknowledged_objects_survive_the_end_of_the_server_and_broken_uploads_leave_nothing(
    server: S3Server, how: signal.Signals
) -> None:
    bucket = _bucket(server)
    kept: dict[str, bytes] = {}
    ended = threading.Event()

    def put_until_it_ends() -> None:
        for number in range(10_000):
            name, content = f"{threading.get_ident()}-{number}", os.urandom(300_000)
            try:
                bucket.put(name, content)
            except BucketError:
                return
            kept[name] = content
            if ended.is_set():
                return

    writers = [threading.Thread(target=put_until_it_ends) for _ in range(4)]
    for writer in writers:
        writer.start()
    wait_until(lambda: len(kept) > 20, 30, "twenty uploads")
    server.stop(how)
    ended.set()
    server.start()
    for writer in writers:
        writer.join()
    assert all(bucket.get(name) == content for name, content in kept.items())
    wait_until(lambda: not [name for name in server.names() if name.startswith(".")], 5, "the removal of leftovers")
    for name in server.names():
        # One whose acknowledgement was lost is whole.
        assert (server.objects / BUCKET / name).stat().st_size == 300_000


def test_an_upload_that_breaks_off_leaves_the_object_as_it_was(server: S3Server) -> None:
    bucket = _bucket(server)
    bucket.put("x", b"before")
    signed = AWSRequest("PUT", f"{server.endpoint}/{BUCKET}/x")
    S3SigV4QueryAuth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1", expires=60).add_auth(signed)
    connection = _connection(server)
    connection.putrequest("PUT", signed.url.removeprefix(server.endpoint))
    connection.putheader("Content-Length", "1000000")
    connection.endheaders(b"half of it" * 50_000)
    wait_until(lambda: len(server.names()) == 2, 10, "the server's temporary file")
    assert bucket.get("x") == b"before"
    connection.close()
    wait_until(lambda: server.names() == ["x"], 10, "the removal of the temporary file")
    assert bucket.get("x") == b"before"


def test_a_second_server_on_the_same_port_says_so_and_ends(server: S3Server, tmp_path: Path) -> None:
    config = json.loads(server.config.read_text())
    config["socket"] = str(tmp_path / "second.sock")
    server.config.write_text(json.dumps(config))
    second = server.launch()
    assert second.running.wait(20) != 0
    wait_until(lambda: "s3server: rclone refuses serve/start" in server.log, 10, "the reason in the log")
    assert "address already in use" in server.log.splitlines()[-1]
    _bucket(server).check()


def test_an_rclone_that_ends_at_once_is_reported(server: S3Server, tmp_path: Path) -> None:
    config = json.loads(server.config.read_text())
    server.config.write_text(json.dumps({**config, "rclone": "/bin/true", "socket": str(tmp_path / "other.sock")}))
    assert server.launch().running.wait(20) == 0
    wait_until(lambda: "s3server: rclone ended as it started" in server.log, 10, "the reason in the log")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rclone": "/no/rclone"}, "/no/rclone: no such program"),
        ({"key": "/no/key"}, "/no/key: missing"),
        ({"folder": "objects"}, "folder: objects is not an absolute path"),
        ({"colour": "red"}, "colour: unknown field"),
        ({"address": 9000}, "address: a text is needed"),
    ],
)
def test_a_wrong_configuration_is_refused_in_one_line(tmp_path: Path, change: dict[str, object], said: str) -> None:
    make_certificates(tmp_path)
    server = S3Server(tmp_path)
    server.config.write_text(json.dumps({**json.loads(server.config.read_text()), **change}))
    assert server.launch().running.wait(20) == 2
    assert said in server.log
    assert len(server.log.splitlines()) == 1


def test_keys_that_others_may_read_are_refused(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    server = S3Server(tmp_path)
    (tmp_path / "keys.json").chmod(0o644)
    assert server.launch().running.wait(20) == 2
    assert "keys.json: others may read it: chmod 600" in server.log

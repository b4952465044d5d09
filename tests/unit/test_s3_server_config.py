"""The command line and the request that make rclone an S3-compatible server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orthweb.errors import Failure, InputError
from orthweb.local.s3server import ServerConfig, check_version, command, parameters, read_keys

CONFIG = ServerConfig(
    rclone=Path("/venv/bin/rclone"),
    folder=Path("/a site/objects: all"),
    address="127.0.0.1:9000",
    certificate=Path("/a site/s3.crt"),
    key=Path("/a site/s3.key"),
    keys_file=Path("/a site/keys.json"),
    socket=Path("/a site/run/s3.sock"),
)


def test_the_command_line_is_rclones_remote_control_on_a_socket_and_tells_no_secret() -> None:
    assert command(CONFIG) == [
        "/venv/bin/rclone",
        "rcd",
        "--rc-addr=unix://s3.sock",
        "--rc-no-auth",
        "--config=",
        "--ignore-checksum",
        "--no-unicode-normalization",
        "--buffer-size=4Mi",
        "--log-level=NOTICE",
    ]


def test_a_log_of_its_own_is_asked_for_on_the_command_line() -> None:
    config = ServerConfig(**{**vars(CONFIG), "log": Path("/a site/s3.log")})
    assert command(config)[-1] == "--log-file=/a site/s3.log"


def test_the_keys_and_the_folder_go_into_the_request() -> None:
    asked = parameters(CONFIG, "AKID", "a-secret")
    assert asked["auth_key"] == ["AKID,a-secret"]
    # As text, rclone would take what stands before a colon for the name of a remote.
    assert asked["fs"] == {"type": "local", "_root": "/a site/objects: all"}
    assert asked["addr"] == ["127.0.0.1:9000"]
    assert asked["min_tls_version"] == "tls1.2"


def test_a_configuration_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "server.json"
    file.write_text(json.dumps({name: str(value) for name, value in vars(CONFIG).items() if value is not None}))
    assert ServerConfig.read(file) == CONFIG


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "no JSON"),
        ("[]", "a JSON object is needed"),
        ("{}", "rclone: a text is needed, not None"),
        ('{"rclone": "bin/rclone"}', "rclone: bin/rclone is not an absolute path"),
        ('{"roclone": "/bin/rclone"}', "roclone: unknown field: use rclone, folder, address"),
    ],
)
def test_a_wrong_configuration_is_named_with_its_field(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "server.json"
    file.write_text(content)
    with pytest.raises(InputError, match=f"server.json: {said}"):
        ServerConfig.read(file)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"AccessKey": "a", "SecretKey": "secret,comma"}', "SecretKey: a text without a comma is needed"),
        ('{"AccessKey": "a"}', "SecretKey: a text without a comma is needed"),
        ('{"AccessKey": "", "SecretKey": "b"}', "AccessKey: a text without a comma is needed"),
    ],
)
def test_keys_that_rclone_would_misunderstand_are_refused(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(InputError, match=said) as caught:
        read_keys(file)
    assert "secret," not in str(caught.value)


@pytest.mark.parametrize("version", [[1, 75, 0], [1, 70, 3], [0, 99, 9]])
def test_an_rclone_that_overwrites_in_place_is_refused(version: list[int]) -> None:
    with pytest.raises(Failure, match=r"rclone \d+\.\d+\.\d+ is too old: 1\.75\.1 or later is needed"):
        check_version(version)


@pytest.mark.parametrize("version", [[1, 75, 1], [1, 76, 0], [2, 0, 0]])
def test_an_rclone_that_renames_into_place_is_taken(version: list[int]) -> None:
    check_version(version)


def test_missing_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"keys\.json: No such file"):
        read_keys(tmp_path / "keys.json")

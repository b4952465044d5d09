"""The configuration of the process supervisor (supervisord) that holds a site on this machine up."""

from __future__ import annotations

import configparser
import io
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from orthweb.render.place import Rendered


@dataclass(frozen=True)
class Program:
    """One supervised process."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = "TERM"
    stop_seconds: int = 10
    priority: int = 500


def supervisor_files(programs: Sequence[Program], run: PurePosixPath, logs: PurePosixPath) -> dict[str, Rendered]:
    """Make `supervisord.conf`. Nothing starts by itself: the engine starts each process in its turn."""
    config = configparser.RawConfigParser()
    config.optionxform = str  # type: ignore[method-assign,assignment]
    config["unix_http_server"] = {"file": _escaped(str(run / "supervisor.sock")), "chmod": "0600"}
    config["supervisord"] = {
        "logfile": _escaped(str(logs / "supervisor.log")),
        "logfile_maxbytes": "10MB",
        "logfile_backups": "3",
        "pidfile": _escaped(str(run / "supervisor.pid")),
        "childlogdir": _escaped(str(logs)),
        "directory": _escaped(str(run)),
        "umask": "077",
        "identifier": "orthweb",
        "silent": "true",
    }
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    for program in programs:
        config[f"program:{program.name}"] = _program(program, logs)
    text = io.StringIO()
    config.write(text)
    return {"supervisord.conf": Rendered(text.getvalue())}


def _program(program: Program, logs: PurePosixPath) -> dict[str, str]:
    log = str(logs / f"{program.name}.log")
    # The process writes its log itself: it goes on when the supervisor is killed, where a pipe would break.
    command = ["/bin/sh", "-c", 'exec "$@" >>"$0" 2>&1', log, *program.command]
    return {
        "command": _escaped(shlex.join(command)),
        "environment": _escaped(",".join(f'{key}="{value}"' for key, value in sorted(program.environment.items()))),
        "autostart": "false",
        "autorestart": "true",
        "startsecs": "2",
        # Each failed start is followed by a pause one second longer than the last one.
        "startretries": "1000000",
        "stopsignal": program.stop_signal,
        "stopwaitsecs": str(program.stop_seconds),
        "priority": str(program.priority),
        "stdout_logfile": "NONE",
        "stderr_logfile": "NONE",
    }


def _escaped(text: str) -> str:
    return text.replace("%", "%%")

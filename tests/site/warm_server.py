"""Loads Orthweb and forks for each command that it is asked for: the fork is `python -m orthweb` from there on.

Its argument is the descriptor of a socket. Each message is a command: its words, environment and folder, with the
descriptors for what it prints, for its errors, and of a socket that is told its process id, then its exit status.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import threading

# What only Orthanc can load, and what would run.
_NOT_LOADED = ("orthweb.plugins", "orthweb.__main__")
# What Orthweb loads where it needs it.
_LOADED_LATE = (
    "botocore.config", "botocore.session", "psycopg.conninfo", "psycopg.sql", "pydicom.data", "rich.progress",
    "rich.table", "ruamel.yaml", "supervisor.xmlrpc", "typer.rich_utils",
)  # fmt: skip
_DESCRIPTORS, _LONGEST = 3, 1_000_000


def load() -> None:
    """Load what a command may need."""
    import orthweb

    for module in pkgutil.walk_packages(orthweb.__path__, "orthweb."):
        if not module.name.startswith(_NOT_LOADED):
            importlib.import_module(module.name)
    for name in _LOADED_LATE:
        importlib.import_module(name)
    # What the garbage collector does not look at stays shared with the forks.
    gc.collect()
    gc.freeze()


def serve(asked: socket.socket) -> bool:
    """Fork for each command until nobody is left who asks; whether this process is to be a command."""
    # The kernel keeps no account of who ended; and Ctrl-C is for the commands.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        message, descriptors, _, _ = socket.recv_fds(asked, _LONGEST, _DESCRIPTORS)
        if not message:
            return False
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asked.close()
            pid = os.fork()
            if pid == 0:
                _become(*json.loads(message), *descriptors)
                return True
            _wait(pid, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _become(words: list[str], environment: dict[str, str], folder: str, out: int, err: int, tell: int) -> None:
    os.dup2(out, 1)
    os.dup2(err, 2)
    for descriptor in (out, err, tell):
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv, sys.path[0] = ["orthweb", *words], folder
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _wait(pid: int, out: int, err: int, tell: int) -> None:
    os.close(out)
    os.close(err)
    with socket.socket(fileno=tell) as teller:
        teller.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        teller.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _end(code: object) -> None:
    """End as Python does, but for clearing all that was loaded, which takes as long as a short command."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else code is not None)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as control:
        load()
        command = serve(control)
    if command:
        try:
            runpy.run_module("orthweb", run_name="__main__", alter_sys=True)
        except SystemExit as ended:
            _end(ended.code)

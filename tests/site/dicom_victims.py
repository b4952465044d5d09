"""A receiver and a sender as processes of their own, which a test kills while they are at work."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from dicom_peers import LIMITS, peer

from orthweb.dicom.acceptor import StorageService
from orthweb.dicom.folder import into_folder
from orthweb.dicom.server import Server
from orthweb.dicom.store import Storer


class Victim:
    """A process that says in lines what it has done."""

    def __init__(self, *words: str) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = [sys.executable, __file__, *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        assert self.process.stdout is not None
        self.said = self.process.stdout

    def line(self) -> str:
        """The next line; empty at the end."""
        return self.said.readline().strip()

    def kill(self) -> list[str]:
        """End it with SIGKILL; returns what it had said by then and nobody has read."""
        self.process.kill()
        self.process.wait()
        # What it was just saying does not count.
        return self.said.read().split("\n")[:-1]


@contextlib.contextmanager
def receiver(folder: Path) -> Iterator[tuple[Victim, int]]:
    """A server that keeps what comes in `folder`; gives its port."""
    with _running("receive", str(folder)) as victim:
        yield victim, int(victim.line())


@contextlib.contextmanager
def sender(port: int, files: Path) -> Iterator[Victim]:
    """A client that sends the files of a folder over two associations, and says which were accepted."""
    with _running("send", str(port), str(files)) as victim:
        yield victim


@contextlib.contextmanager
def _running(*words: str) -> Iterator[Victim]:
    victim = Victim(*words)
    try:
        yield victim
    finally:
        victim.kill()
        victim.said.close()


def _receive(folder: Path) -> None:
    server = Server("127.0.0.1", 0, StorageService(into_folder(folder)), limits=LIMITS)
    server.start()
    print(server.port, flush=True)


def _send(port: int, files: list[Path]) -> None:
    from dicom_samples import sample

    samples = [sample(path) for path in files]
    with Storer(peer(port), [one.key for one in samples]) as storer:
        for one in samples:
            status = storer.store(one.path)
            # In one write: the other thread says something too.
            os.write(1, f"{one.head.sop_instance} {status}\n".encode())


def _main(what: str, *words: str) -> None:
    if what == "receive":
        _receive(Path(words[0]))
        return
    files = sorted(Path(words[1]).iterdir())
    for start in range(2):
        threading.Thread(target=_send, args=(int(words[0]), files[start::2])).start()


if __name__ == "__main__":
    _main(*sys.argv[1:])

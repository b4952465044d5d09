"""Hosts of a made site that answer, and what a command says that failed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from harness import Done
from made_site import MadeSite, answering


@contextlib.contextmanager
def both_answer(made: MadeSite) -> Iterator[None]:
    """The site at its address, and the secondary at its own."""
    with answering(made, made.address), answering(made, made.own["secondary"]):
        yield


@contextlib.contextmanager
def boots(made: MadeSite, role: str) -> Iterator[None]:
    """A stopped host that answers as soon as it runs, at the new address that it then has."""
    over = threading.Event()

    def serve() -> None:
        while not over.wait(0.1):
            if address := made.told(role).get("PublicIpAddress"):
                with answering(made, address):
                    over.wait()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def failed(done: Done, *words: str) -> None:
    assert done.status == 1, done.all
    assert "Traceback" not in done.all
    for word in words:
        assert word in " ".join(done.err.split()), done.all

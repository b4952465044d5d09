"""Browsers that ask a site all the while something happens to it, and remember every answer."""

from __future__ import annotations

import base64
import contextlib
import http.client
import ssl
import threading
from collections.abc import Iterator, Sequence

from harness import TestSite, eventually

_PATHS = ("/healthz", "/dicom-web/studies?limit=1")
_PAUSE_SECONDS = 0.02


class Polls:
    """Two clients: one with a new connection for each request, one that keeps its connection and its cookie."""

    def __init__(self, site: TestSite, paths: Sequence[str]) -> None:
        self._paths = paths
        self._host, self._port = site.host, site.web_port
        self._context = ssl.create_default_context(cafile=str(site.ca))
        self._credentials = base64.b64encode(f"admin:{site.password()}".encode()).decode()
        self._ended = threading.Event()
        self._count = 0
        self.failures: list[str] = []
        """Answers other than 200, and connections that broke."""
        self._threads = [threading.Thread(target=self._poll, args=(keep,), daemon=True) for keep in (True, False)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(30)

    def more(self, count: int = 10) -> None:
        """Wait for `count` further answers."""
        wanted = self._count + count
        eventually(lambda: self._count >= wanted, 30, "answers from the site")

    def _poll(self, keep: bool) -> None:
        connection, headers = self._connection(), {"Authorization": f"Basic {self._credentials}"}
        while not self._ended.wait(_PAUSE_SECONDS):
            for path in self._paths:
                try:
                    connection.request("GET", path, headers=headers)
                    response = connection.getresponse()
                    body = response.read()
                except (OSError, http.client.HTTPException) as error:
                    self.failures.append(f"{path}: {error!r}")
                    connection.close()
                else:
                    if response.status != 200:
                        self.failures.append(f"{path}: {response.status} {body[:100]!r}")
                    if keep and (cookie := response.headers["Set-Cookie"]):
                        headers["Cookie"] = cookie.split(";")[0]
                self._count += 1
                if not keep:
                    connection.close()
                    connection = self._connection()
        connection.close()

    def _connection(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._host, self._port, timeout=15, context=self._context)


@contextlib.contextmanager
def polling(site: TestSite, paths: Sequence[str] = _PATHS) -> Iterator[Polls]:
    """Clients that ask the site while the body runs; it starts when they had their first answers."""
    polls = Polls(site, paths)
    try:
        polls.more()
        yield polls
        polls.more()
    finally:
        polls.stop()

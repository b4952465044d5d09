"""A real headless Chromium for the tests, driven over the W3C WebDriver protocol through its own chromedriver."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import TESTS_PACKAGES, eventually, run

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # W3C WebDriver, 12.1: the web element identifier
_FLAGS = (
    # Chromium refuses to start as root otherwise, and a container may forbid what its sandbox needs. It only
    # sees pages of the test's own site.
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--window-size=1000,900",
)


class WebDriverError(Exception):
    """The browser's answer to a command that it could not carry out."""


@dataclass(frozen=True)
class Browser:
    """A browser with one window."""

    _session: str

    def go(self, url: str) -> None:
        """Open a page and wait until it is loaded; a page that can't be opened raises WebDriverError."""
        _call("POST", f"{self._session}/url", {"url": url})

    def js(self, script: str, *arguments: Any) -> Any:
        """Run the body of a function in the page and return its value; a promise is waited for."""
        return _call("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, css: str) -> str | None:
        """The first element that is there and can be seen."""
        for found in _call("POST", f"{self._session}/elements", {"using": "css selector", "value": css}):
            element = str(found[_ELEMENT])
            with contextlib.suppress(WebDriverError):
                if _call("GET", f"{self._session}/element/{element}/displayed"):
                    return element
        return None

    def wait(self, css: str, limit: float = 20) -> str:
        """Wait until an element can be seen."""
        return str(eventually(lambda: self.find(css), limit, f"{css} in the page"))

    def click(self, css: str) -> None:
        """Click an element as soon as it can be seen and nothing covers it."""

        def clicked() -> bool:
            element = self.find(css)
            if element is not None:
                # While the page slides in it moves away from under the pointer, or is replaced.
                with contextlib.suppress(WebDriverError):
                    _call("POST", f"{self._session}/element/{element}/click", {})
                    return True
            return False

        eventually(clicked, 20, f"a click on {css}")

    def type(self, css: str, text: str) -> None:
        _call("POST", f"{self._session}/element/{self.wait(css)}/value", {"text": text})

    def text(self, css: str) -> str:
        return str(_call("GET", f"{self._session}/element/{self.wait(css)}/text"))

    def screenshot(self, css: str = "") -> bytes:
        """A PNG of an element as it is seen, or of the window."""
        where = f"{self._session}/element/{self.wait(css)}" if css else self._session
        return base64.b64decode(_call("GET", f"{where}/screenshot"))


@contextlib.contextmanager
def browser(authority: Path | None) -> Iterator[Browser]:
    """A fresh browser of a person who has imported `authority`, or no certificate at all."""
    home = Path(tempfile.mkdtemp(prefix="ow-browser-"))
    try:
        if authority is not None:
            _trust(home, authority)
        with _driver(home) as address:
            options = {"binary": _tool("chromium"), "args": [*_FLAGS, f"--user-data-dir={home / 'profile'}"]}
            wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
            opened = _call("POST", f"{address}/session", wanted)
            session = f"{address}/session/{opened['sessionId']}"
            try:
                yield Browser(session)
            finally:
                _call("DELETE", session)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _trust(home: Path, authority: Path) -> None:
    """Import the authority as a person does in the settings: into the NSS database of this home."""
    database = home / ".pki/nssdb"
    database.mkdir(parents=True)
    certutil = [_tool("certutil"), "-d", f"sql:{database}"]
    for words in (["-N", "--empty-password"], ["-A", "-n", "site", "-t", "C,,", "-i", str(authority)]):
        done = run([*certutil, *words])
        assert done.status == 0, done.all


@contextlib.contextmanager
def _driver(home: Path) -> Iterator[str]:
    log = home / "chromedriver.log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [_tool("chromedriver"), "--port=0"],
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            env={"PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"},
            start_new_session=True,
        )
    try:
        said = r"started successfully on port (\d+)"
        port = eventually(lambda: re.search(said, log.read_text()), 20, f"chromedriver: {log.read_text()}")[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        # The browser is in the driver's process group, which also ends one that never opened its session.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def _call(method: str, url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        raise WebDriverError(json.load(error)["value"]["message"]) from None


def _tool(name: str) -> str:
    found = shutil.which(name, path="/usr/bin:/bin")
    assert found, f"{name} is not installed: {TESTS_PACKAGES}"
    return found

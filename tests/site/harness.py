"""A real site for the tests, and the independent clients that look at it from outside: DCMTK and curl."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import warm

ORTHWEB = [sys.executable, "-m", "orthweb"]
# DCMTK reads TCP_NODELAY: without it every store waits 40 ms.
CLIENT_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "TCP_NODELAY": "1"}
# Below what the kernel gives to outgoing connections and what a site takes for its insides.
_FIRST_PORT, _LAST_PORT = 10000, 20000
_GIVEN: set[int] = set()
TESTS_PACKAGES = "run the tests with 'make test', which installs what they need"


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    status: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return self.out + self.err


def run(command: Sequence[str | Path], timeout: float = 60, **options: Any) -> Done:
    """Run a client with a clean environment and wait for it."""
    options.setdefault("env", CLIENT_ENVIRONMENT)
    done = subprocess.run([str(word) for word in command], capture_output=True, timeout=timeout, check=False, **options)
    return Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def orthweb(*words: str | Path, timeout: float = 180, **options: Any) -> Done:
    """Run Orthweb's own command line as a person would."""
    # PYTHONPATH is how the tests run from a source tree without an installation.
    source = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", **source}
    options.setdefault("env", environment)
    if not options.keys() - {"env", "cwd"}:
        done = warm.run([str(word) for word in words], environment, options["env"], options.get("cwd", "."), timeout)
        if done is not None:
            return Done(done[0], *(text.decode(errors="replace") for text in done[1:]))
    return run([*ORTHWEB, *words], timeout, **options)


def eventually(
    condition: Callable[[], Any], limit: float = 30, what: str = "the condition", pause: float = 0.05
) -> Any:
    """Wait until `condition` gives something true, and return it."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {limit} s for {what}"
        time.sleep(pause)


def free_port() -> int:
    """A port of this machine that nobody listens on, and that no other test of this run gets, now or later."""
    # Elsewhere each time, so that runs side by side don't meet; and each worker of a run has a range of its own.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    span = (_LAST_PORT - _FIRST_PORT) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    while True:
        port = random.randrange(span) + _FIRST_PORT + worker * span
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("0.0.0.0", port))
                if port not in _GIVEN:
                    _GIVEN.add(port)
                    return port


@contextlib.contextmanager
def serving(command: Sequence[str | Path], port: int, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A server that listens on `port` of this machine while the body runs, and ended by its process id afterwards."""
    options.setdefault("env", CLIENT_ENVIRONMENT)
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([str(word) for word in command], **{**quiet, **options})

    def listens() -> bool:
        assert process.poll() is None, f"{command[0]} ended with status {process.returncode}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        eventually(listens, 60, f"{command[0]} to listen on port {port}")
        yield process
    finally:
        process.kill()
        process.wait()


class TestSite:
    """A site in a folder of its own."""

    __test__ = False
    host = "localhost"
    """Where it is reached."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / ".orthweb"
        self.devices = folder / "devices"
        self._passwords: dict[str, str] = {}

    def init(self, name: str = "test", more: str = "") -> TestSite:
        """Write its description: free ports, and what `more` says in YAML for other sections."""
        done = orthweb("init", "-C", self.folder, "--name", name)
        assert done.status == 0, done.all
        # The ports that it found may be another test run's before this site is up.
        self.describe(f"{{web: {{port: {free_port()}}}, dicom: {{port: {free_port()}}}}}")
        if more:
            self.describe(more)
        return self

    def describe(self, more: str) -> None:
        """Merge YAML into the description."""
        from ruamel.yaml import YAML

        yaml, path = YAML(), self.folder / "orthweb.yaml"
        data = yaml.load(path.read_text())
        for section, value in YAML(typ="safe").load(more).items():
            if isinstance(value, dict) and isinstance(data.get(section), dict):
                data[section].update(value)
            else:
                data[section] = value
        with path.open("w") as file:
            yaml.dump(data, file)

    def orthweb(self, *words: str | Path, **options: Any) -> Done:
        """Run a command on this site."""
        return orthweb("-C", self.folder, *words, **options)

    def up(self) -> Done:
        self._passwords.clear()
        done = self.orthweb("up")
        assert done.status == 0, done.all
        return done

    def down(self) -> None:
        """Take it down and delete it; also when it is half up."""
        done = self.orthweb("down", "--purge", "--yes", "--drain", "0")
        assert done.status == 0, done.all

    # What it is -------------------------------------------------------------------------------------------------

    @property
    def description(self) -> Any:
        from orthweb.site.load import load_site

        return load_site(self.folder)

    @property
    def web_port(self) -> int:
        return int(self.description.web.port)

    @property
    def dicom_port(self) -> int:
        return int(self.description.dicom.port)

    @property
    def ca(self) -> Path:
        return self.state / "pki/ca.crt"

    def password(self, user: str = "admin") -> str:
        """The user's password; asked for once, because asking takes half a second."""
        if user not in self._passwords:
            done = self.orthweb("password", user)
            assert done.status == 0, done.all
            self._passwords[user] = done.out.strip()
        return self._passwords[user]

    def log(self, name: str) -> list[dict[str, Any]]:
        """The entries of an access log: `web`, `dicom` or `refused`."""
        # The last line may be half written.
        lines = (self.state / f"logs/{name}.log").read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.orthweb("status", "--json").out))

    def pid(self, service: str) -> int:
        """Process id of a service, 0 when it isn't running; `supervisor` is one of them."""
        state = self.status()
        if service == "supervisor":
            return int(state["supervisor"]["pid"]) if state["supervisor"] else 0
        return next(int(entry["pid"]) for entry in state["services"] if entry["name"] == service)

    def kill(self, service: str, how: signal.Signals = signal.SIGKILL) -> int:
        pid = self.pid(service)
        assert pid, f"{service} is not running"
        os.kill(pid, how)
        return pid

    def healthy(self, limit: float = 30) -> None:
        eventually(lambda: self.status()["healthy"], limit, "the site to be healthy", 0.2)

    # DICOM ------------------------------------------------------------------------------------------------------

    def device(self, name: str = "device") -> list[str]:
        """DCMTK's options for a device with a certificate of the site."""
        if not (self.devices / f"{name}.key").exists():
            done = self.orthweb("certs", "issue", name, "--to", self.devices)
            assert done.status == 0, done.all
        folder = self.devices
        return ["+tls", str(folder / f"{name}.key"), str(folder / f"{name}.crt"), "-rc", "+cf", str(self.ca)]

    def dcmtk(
        self,
        tool: str,
        *words: str | Path,
        tls: Sequence[str] | None = None,
        timeout: float = 60,
        **options: Any,
    ) -> Done:
        """Run one of DCMTK's clients on the DICOM port; `words` follow host and port."""
        secure = self.device() if tls is None else list(tls)
        return run(
            [
                tool,
                *secure,
                "-aec",
                "ORTHANC",
                *options.pop("options", []),
                self.host,
                str(self.dicom_port),
                *words,
            ],
            timeout,
            **options,
        )

    def echo(self, **options: Any) -> Done:
        return self.dcmtk("echoscu", **options)

    def store(self, *files: str | Path, **options: Any) -> Done:
        return self.dcmtk("storescu", *files, **options)

    # Web --------------------------------------------------------------------------------------------------------

    def curl(
        self,
        path: str,
        *words: str,
        user: str | None = "admin",
        scheme: str = "https",
        port: int | None = None,
    ) -> Done:
        """Ask the web port with curl; the user's password goes through standard input."""
        config = f'user = "{user}:{self.password(user)}"\n' if user else ""
        url = f"{scheme}://{self.host}:{port or self.web_port}{path}"
        command = [
            "curl",
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--cacert",
            str(self.ca),
            "--config",
            "-",
        ]
        return run([*command, *words, url], input=config.encode())

    def status_code(self, path: str, *words: str, **options: Any) -> int:
        return int(self.curl(path, "--output", "/dev/null", "--write-out", "%{http_code}", *words, **options).out)

    def json(self, path: str, *words: str) -> Any:
        done = self.curl(path, "--fail", *words)
        assert done.status == 0, done.all
        return json.loads(done.out)

    def instances(self) -> list[str]:
        """Orthanc identifiers of all instances."""
        return list(self.json("/instances"))


@contextlib.contextmanager
def running(folder: Path, name: str = "test", more: str = "") -> Iterator[TestSite]:
    """A site that is up while the body runs, and gone afterwards also when the body fails."""
    site = TestSite(folder).init(name, more)
    try:
        site.up()
        yield site
    finally:
        site.down()


@contextlib.contextmanager
def own_site(folder: str, more: str = "") -> Iterator[TestSite]:
    """A site that is up while the body runs, in `folder` of a short path that any account may pass."""
    with tempfile.TemporaryDirectory(prefix="ow-") as short:
        os.chmod(short, 0o755)
        with running(Path(short, folder), more=more) as site:
            yield site

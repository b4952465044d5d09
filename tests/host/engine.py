"""A Docker engine for the tests: the one that runs here, or one of their own in a network namespace of its own.

An engine of the tests' own shares this machine's files, so that a folder here can be mounted into its containers. Its
network is another: published ports are found at `Engine.address`, and what has to see them as a host sees its own
(`orthweb host`, say) is run by `Engine.run`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from debian import package
from ground import CACHE, SYSTEM_PATH, Ground, ended, environment, need_root, sh, started
from harness import Done, eventually, run
from network import Network, Place
from people import Person


@dataclass(frozen=True)
class Engine:
    """A Docker engine that answers."""

    address: str
    """Where this machine finds the ports that it publishes."""
    environment: dict[str, str] = field(repr=False)
    """Variables with which `docker`, `docker compose` and `docker-compose` reach it: with DOCKER_HOST."""
    place: Place | None = None
    """The network namespace that it lives in, None for one that was running here."""

    @property
    def enter(self) -> tuple[str, ...]:
        """What to put before a command that has to see the network as the engine's host does."""
        return self.place.enter if self.place else ()

    def run(self, *words: str | Path, timeout: float = 120, **options: Any) -> Done:
        """Run a command as on the engine's host; `env` adds to the variables that reach it."""
        options["env"] = {**environment(self.environment), **options.get("env", {})}
        return run([*self.enter, *words], timeout, **options)

    def docker(self, *words: str | Path, timeout: float = 120, **options: Any) -> str:
        """Run a command of Docker's, which must succeed, and give what it wrote."""
        done = self.run("docker", *words, timeout=timeout, **options)
        assert done.status == 0, f"docker {' '.join(str(word) for word in words)}: {done.all}"
        return done.out

    def compose(self, *words: str | Path, timeout: float = 300, **options: Any) -> str:
        """Run a command of Docker Compose's, which must succeed, and give what it wrote."""
        return self.docker("compose", *words, timeout=timeout, **options)


def running_engine() -> Engine | None:
    """Give the engine that answers to this user now, if there is one and it runs Linux containers here."""
    kept = ("DOCKER_HOST", "DOCKER_CONTEXT", "XDG_RUNTIME_DIR", "HOME")
    variables = {name: os.environ[name] for name in kept if name in os.environ}
    if os.environ.get("ORTHWEB_TESTS_OWN_ENGINE") or not shutil.which("docker", path=SYSTEM_PATH):
        return None
    answer = run(["docker", "info", "--format", "{{.ID}}"], 30, env=environment(variables))
    # Without an engine it prints an empty line, and an error.
    if answer.status != 0 or not answer.out.strip():
        return None
    return Engine("127.0.0.1", {**variables, **_compose(variables)})


def ensure_docker() -> None:
    """Install Docker where it is missing; no service of it is started by that in a place without systemd."""
    missing = [
        name for name, program in (("docker.io", "dockerd"), ("iptables", "iptables"))
        if not shutil.which(program, path=SYSTEM_PATH)
    ]  # fmt: skip
    if missing:
        need_root("installing Docker")
        sh("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "update")
        sh("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "install", "--no-install-recommends", *missing)


@contextlib.contextmanager
def own_engine(ground: Ground, net: Network, data: Path | None = None) -> Iterator[Engine]:
    """Start an engine; it ends with the body, and with this process when that is killed.

    Parameters
    ----------
    ground, net:
        What the run has for itself, and its network.
    data:
        What a stopped engine left: its images are here from the start. It isn't changed.
    """
    ensure_docker()
    place = net.join()
    number = place.address.rpartition(".")[2]
    folder, root = ground.run / f"engine-{number}", ground.disk / f"engine-{number}"
    folder.mkdir()
    if data is None:
        root.mkdir()
    else:
        link_data(data, root)
    address = f"unix://{folder}/docker.sock"
    command: list[str | Path] = [
        *place.enter, "dockerd", "--host", address, "--data-root", root, "--exec-root", folder / "exec",
        "--pidfile", folder / "pid", "--cgroup-parent", ground.name, "--config-file", folder / "none.json",
    ]  # fmt: skip
    (folder / "none.json").write_text("{}")
    variables = {"DOCKER_HOST": address}
    engine = Engine(place.address, {**variables, **_compose(variables)}, place)
    log = folder / "log"
    process = started(command, log)

    def answers() -> bool:
        assert process.poll() is None, f"dockerd ended: {log.read_text()[-2000:]}"
        return engine.run("docker", "info", "--format", "{{.ID}}").out.strip() != ""

    try:
        eventually(answers, 60, "dockerd to answer")
        yield engine
    finally:
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            left = engine.docker("ps", "--all", "--quiet").split()
            if left:
                engine.docker("rm", "--force", "--volumes", *left)
        # It ends containerd, which it started.
        ended(process)


def let_use(engine: Engine, person: Person) -> tuple[str, ...]:
    """Let an ordinary user use an engine; gives what to put before a command to run it as them."""
    socket = Path(engine.environment.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://"))
    if engine.place is not None:
        # It is the tests' own, and made no group.
        os.chown(socket, -1, person.gid)
        for folder in (socket.parent, *list(socket.parents)[1:3]):
            folder.chmod(0o711)
    config = engine.environment.get("DOCKER_CONFIG")
    if config is not None:
        shutil.copytree(config, person.home / ".docker")
    own = {"HOME": person.home, "DOCKER_CONFIG": person.home / ".docker"}
    groups = f"--groups={person.gid},{socket.stat().st_gid}"
    return (
        "setpriv", f"--reuid={person.uid}", f"--regid={person.gid}", groups, "--no-new-privs",
        "env", *(f"{name}={value}" for name, value in own.items()),
    )  # fmt: skip


def link_data(data: Path, root: Path) -> None:
    """Give an engine what another left: layers, which no engine ever changes, are linked, the rest is copied."""
    sh("cp", "--archive", "--link", data, root)
    for path in (path for part in root.iterdir() if part.name != "overlay2" for path in part.rglob("*")):
        # Databases and locks are written in place.
        if path.is_file() and not path.is_symlink():
            own = path.with_name(f"{path.name}.own")
            shutil.copy2(path, own)
            own.rename(path)


def _compose(variables: dict[str, str]) -> dict[str, str]:
    """Variables that let `docker compose` be found, of version 2: from Debian 13 where this machine's is older."""
    done = run(["docker", "compose", "version", "--short"], 30, env=environment(variables))
    found = re.match(r"v?(\d+)\.", done.out)
    alone = shutil.which("docker-compose", path=SYSTEM_PATH)
    if done.status == 0 and found and int(found[1]) >= 2 and alone:
        return {}
    try:
        (program,) = package("docker-compose").rglob("cli-plugins/docker-compose")
    except AssertionError as error:
        pytest.fail(f"Docker Compose 2 is missing, and Debian's is not to be had: {error}", pytrace=False)
    settings = CACHE / "docker"
    for folder in (settings / "cli-plugins", settings / "bin"):
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            (folder / "docker-compose").symlink_to(program.resolve())
    return {"DOCKER_CONFIG": str(settings), "PATH": f"{settings / 'bin'}:{SYSTEM_PATH}"}

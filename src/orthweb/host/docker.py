"""Asks a Docker engine and drives Docker Compose, with one line for what goes wrong."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orthweb.errors import Failure
from orthweb.site.files import write_file

_SECONDS = 60.0
_PULL_SECONDS = 3600.0
# From this version on the engine knows `start_interval`: its API is 1.44 then.
_QUICK_CHECKS = 25
_PROJECT, _SERVICE = "com.docker.compose.project", "com.docker.compose.service"
_HASH = "com.docker.compose.config-hash"

# What engines and Compose write, and what it means for whoever reads it: the first that is found counts.
_TROUBLES = (
    ("permission denied while trying to connect", "may not be used by this user", "add the user to the group docker"),
    ("cannot connect to the docker daemon", "does not run", "start it: sudo systemctl start docker"),
    ("no space left on device", "has no room left on its disk", "make room: docker system df tells what takes it"),
    ("address already in use", "finds a port taken", "stop what listens there; 'ss -ltnp' names it"),
    ("port is already allocated", "finds a port taken", "stop the container that has it; 'docker ps' names it"),
    ("pool overlaps", "finds the addresses of the containers taken", "give others in 'containers' of the host's file"),
    ("manifest unknown", "finds no such image in its registry", "correct the image's name"),
    ("pull access denied", "may not fetch the image, or there is none", "correct the image's name, or log in"),
    ("no such host", "cannot look up the registry's name", "see to the host's name server, or bring the images along"),
    ("failed to initialize logging driver", "cannot reach CloudWatch for the logs", "see to the network and the role"),
)


@dataclass(frozen=True)
class Container:
    """One container of a project, as the engine has it."""

    id: str
    state: str
    """`running`, `exited`, …"""
    health: str
    """`healthy`, `starting`, `unhealthy`; empty where it has no check."""
    image: str
    """The image's id."""
    config_hash: str
    """What Compose made it of."""
    labels: dict[str, str]
    begun: str
    """When it began to run, in ISO 8601."""
    restarts: int
    """How often the engine has started it again."""
    pid: int

    @property
    def started(self) -> datetime.datetime:
        """When it began to run, or ran last."""
        # Docker gives nanoseconds, which Python does not read.
        return datetime.datetime.fromisoformat(self.begun.partition(".")[0].removesuffix("Z") + "+00:00")

    @property
    def well(self) -> bool:
        """Whether it runs and its own check says so."""
        return self.state == "running" and self.health in ("healthy", "")


class Docker:
    """The engine that `docker` reaches. Every method raises Failure when it does not answer or refuses."""

    def __init__(self) -> None:
        self._version = ""
        self._images: dict[str, dict[str, Any]] = {}

    def version(self) -> str:
        """The engine's version."""
        if not self._version:
            self._version = self._docker("version", "--format", "{{.Server.Version}}").strip()
        return self._version

    def quick_checks(self) -> bool:
        """Whether the engine knows `start_interval` of a health check."""
        return int(self.version().partition(".")[0]) >= _QUICK_CHECKS

    def root(self) -> Path:
        """Where the engine keeps its images."""
        return Path(self._docker("info", "--format", "{{.DockerRootDir}}").strip())

    def image(self, name: str) -> dict[str, Any] | None:
        """What the engine knows of an image that it has; None when it has none of that name."""
        if name not in self._images:
            done = _run(["docker", "image", "inspect", name], _SECONDS)
            if done.returncode != 0 and "no such image" in done.stderr.lower():
                return None
            (self._images[name],) = json.loads(_checked(done, "docker image inspect"))
        return self._images[name]

    def pull(self, name: str) -> None:
        """Fetch an image from its registry."""
        self._images.pop(name, None)
        self._docker("pull", "--quiet", name, limit=_PULL_SECONDS)

    def load(self, file: Path) -> None:
        """Take images from a file that `docker save` wrote."""
        self._images.clear()
        self._docker("load", "--quiet", "--input", str(file), limit=_PULL_SECONDS)

    def subnets(self, but: str) -> list[str]:
        """The address ranges of the engine's networks, without those of the project `but`."""
        ids = self._docker("network", "ls", "--quiet").split()
        networks = json.loads(self._docker("network", "inspect", *ids)) if ids else []
        others = [network for network in networks if (network.get("Labels") or {}).get(_PROJECT) != but]
        return [
            config["Subnet"]
            for network in others
            for config in network.get("IPAM", {}).get("Config") or []
            if "Subnet" in config
        ]

    def containers(self, project: str) -> dict[str, Container]:
        """The containers of a project, running or not, by service."""
        ids = self._docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={_PROJECT}={project}").split()
        told = json.loads(self._docker("inspect", *ids)) if ids else []
        return {each["Config"]["Labels"][_SERVICE]: _container(each) for each in told}

    def stop(self, container: Container, seconds: int) -> None:
        """End a container; it is killed when it has not ended by itself."""
        self._docker("stop", "--time", str(seconds), container.id, limit=seconds + _SECONDS)

    def remove(self, container: Container, seconds: int) -> None:
        """End a container and take it away."""
        self.stop(container, seconds)
        self._docker("rm", "--force", container.id)

    def last_line(self, container: Container) -> str:
        """The last line that a container wrote, to tell why it ended."""
        lines = [line.strip() for line in self.log(container, "20") if line.strip()]
        return lines[-1][:300] if lines else "it wrote nothing"

    def log(self, container: Container, lines: str = "all") -> list[str]:
        """The last lines that a container wrote, or all that the engine has kept."""
        done = _run(["docker", "logs", "--tail", lines, container.id], _SECONDS)
        return (done.stdout + done.stderr).splitlines()

    def _docker(self, *words: str, limit: float = _SECONDS) -> str:
        return _checked(_run(["docker", *words], limit), f"docker {words[0]}")


class Compose:
    """One project of Docker Compose. Every method raises Failure when Compose is missing or refuses."""

    def __init__(self, file: Path, project: str) -> None:
        self._file = file
        self._words = ["--file", str(file), "--project-name", project]
        self._program: list[str] | None = None

    def hashes(self) -> dict[str, str]:
        """What the file makes of each service, in the form that a container is labelled with.

        Compose is asked once for each content of the file: it takes longer than all else on a host that is well.
        """
        kept = self._file.with_name(f".{self._file.stem}-hashes.json")
        key = hashlib.sha256(self._file.read_bytes()).hexdigest()
        with contextlib.suppress(FileNotFoundError, ValueError, LookupError):
            known = json.loads(kept.read_text())
            if known["file"] == key:
                return dict(known["services"])
        told = self._compose("config", "--hash", "*")
        services = dict(line.split(maxsplit=1) for line in told.splitlines() if line.strip())
        write_file(kept, json.dumps({"file": key, "services": services}) + "\n")
        return services

    def up(self, services: Sequence[str], limit: int) -> None:
        """Make services what the file says, without those that they depend on, and wait until they are healthy."""
        wait = ["--wait", "--wait-timeout", str(limit)]
        self._compose("up", "--detach", "--no-deps", "--quiet-pull", *wait, *services, limit=limit + _SECONDS)

    def down(self, seconds: int) -> None:
        """End all containers and take them and their networks away; what is on disk stays."""
        self._compose("down", "--timeout", str(seconds), "--remove-orphans", limit=seconds + 2 * _SECONDS)

    def logs(self, services: Sequence[str], follow: bool, lines: int) -> None:
        """Show the last lines of services on our own standard output, and with `follow` what comes after."""
        words = ["logs", "--no-color", "--tail", str(lines), *(["--follow"] if follow else []), *services]
        subprocess.run([*self._find(), *self._words, *words], stdin=subprocess.DEVNULL, check=False)

    def _compose(self, *words: str, limit: float = _SECONDS) -> str:
        return _checked(_run([*self._find(), *self._words, *words], limit), f"docker compose {words[0]}")

    def _find(self) -> list[str]:
        """Compose of version 2, as Docker's plugin or by itself, as distributions bring it."""
        if self._program is None:
            for program in (["docker", "compose"], ["docker-compose"]):
                done = _run([*program, "version", "--short"], _SECONDS)
                if done.returncode == 0 and not done.stdout.strip().lstrip("v").startswith(("0.", "1.")):
                    self._program = program
                    return program
            raise Failure(
                "Docker Compose 2 is not installed", "install the package docker-compose or docker-compose-plugin"
            )
        return self._program


def _container(told: dict[str, Any]) -> Container:
    labels = told["Config"]["Labels"] or {}
    return Container(
        id=told["Id"],
        state=told["State"]["Status"],
        health=(told["State"].get("Health") or {}).get("Status", ""),
        image=told["Image"],
        config_hash=labels.get(_HASH, ""),
        labels=labels,
        begun=told["State"].get("StartedAt", ""),
        restarts=int(told.get("RestartCount", 0)),
        pid=int(told["State"].get("Pid", 0)),
    )


def _run(command: list[str], limit: float) -> subprocess.CompletedProcess[str]:
    # What one's own project is called by a variable is not meant for this one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit,
            env=environment,
            check=False,
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, "", f"{command[0]}: command not found")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"no answer within {limit:.0f} s")


def _checked(done: subprocess.CompletedProcess[str], what: str) -> str:
    if done.returncode == 0:
        return done.stdout
    if done.returncode == 127 and "command not found" in done.stderr:
        raise Failure("Docker is not installed", "install the packages docker.io and docker-compose")
    said = done.stderr.strip() or done.stdout.strip()
    lower = said.lower()
    for sign, words, remedy in _TROUBLES:
        if sign in lower:
            raise Failure(f"Docker {words}: {_telling(said, sign)}", remedy)
    raise Failure(f"{what} failed: {_telling(said, 'error')}", "see 'docker ps --all' and the engine's log")


def _telling(said: str, sign: str) -> str:
    """The line that tells most: the last with the sign, else the last of all."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    with_sign = [line for line in lines if sign in line.lower()]
    return ((with_sign or lines or ["it said nothing"])[-1])[:400]

"""The containers of a site: made what its description says, one replica after the other, and taken down again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orthweb.errors import Failure
from orthweb.host.docker import Compose, Container, Docker
from orthweb.host.folders import make_folders, put_binary, remove_others, write_container_files
from orthweb.render.compose import COMPOSE_FILE, STOP_SECONDS, DockerHost, compose_file
from orthweb.render.containers import ENVOY, POSTGRESQL, Networks, services
from orthweb.render.envoy_clusters import DICOM_CLUSTER, WEB_CLUSTER
from orthweb.render.gate import GATE_WASM
from orthweb.render.place import Place, Rendered, Replica
from orthweb.running.drain import drain
from orthweb.running.probe import envoy_admin, healthy_hosts
from orthweb.running.replicas import Rota
from orthweb.site.files import write_file
from orthweb.site.model import Site
from orthweb.site.voice import Voice
from orthweb.waiting import wait_for

_START_SECONDS = 180
_TAKEN_UP_SECONDS = 30
Alone = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Wanted:
    """What is to run on a host.

    Parameters
    ----------
    files:
        What the containers see, by path (`orthweb.render.containers`).
    """

    site: Site
    place: Place
    networks: Networks
    host: DockerHost
    files: Mapping[str, Rendered]


def gate_name() -> str:
    """Name the file of the DICOM gate after what is in it."""
    return f"gate-{hashlib.sha256(GATE_WASM.read_bytes()).hexdigest()[:12]}.wasm"


class Stack:
    """The containers of one site on one host; the caller sees to it that nobody else changes them.

    Parameters
    ----------
    alone:
        Holds off other hosts of the same database while the body runs: the first Orthanc to start may have to bring
        the database's schema up to date.
    patience:
        Seconds that requests and associations may take to finish before what they are at is restarted.
    """

    def __init__(self, wanted: Wanted, docker: Docker, voice: Voice, alone: Alone, patience: float) -> None:
        self._wanted, self._docker, self._alone, self._patience = wanted, docker, alone, patience
        self._voice = voice
        self._project = wanted.host.project
        self._compose = Compose(Path(wanted.host.files) / COMPOSE_FILE, self._project)
        self.changed = False
        """Whether a container was made, started or taken away."""
        self._hashes: dict[str, str] = {}
        self._seen: dict[str, Container] | None = None

    @property
    def admin(self) -> Path:
        """Envoy's administration socket."""
        return admin_socket(self._wanted.host.files)

    def up(self) -> None:
        """Make what runs what is wanted. Every step looks before it acts; a second call changes nothing.

        Raises
        ------
        Failure
            A container does not become healthy; those before it stay as they were made.
        """
        self.write()
        if POSTGRESQL in services(self._wanted.place):
            self._ensure(POSTGRESQL)
        self._remove_unwanted()
        self._ensure_replicas()
        self._ensure_proxy()
        remove_others(self._wanted.host, self._wanted.files)

    def write(self) -> None:
        """Write all files, for containers that watch them and for those that start later."""
        wanted = self._wanted
        make_folders(wanted.place, wanted.host)
        put_binary(wanted.host, f"{ENVOY}/view/{gate_name()}", GATE_WASM.read_bytes())
        write_container_files(wanted.host, wanted.files)
        path, text = Path(wanted.host.files) / COMPOSE_FILE, self.rendered()[COMPOSE_FILE].text
        if not path.exists() or path.read_text() != text:
            write_file(path, text)
        self._hashes = self._compose.hashes()

    def rendered(self) -> dict[str, Rendered]:
        """All files of the site, and the project of Compose."""
        wanted = self._wanted
        project = compose_file(wanted.site, wanted.place, wanted.networks, wanted.host, wanted.files)
        return {**wanted.files, COMPOSE_FILE: project}

    def replace(self, name: str) -> bool:
        """Make one service what is wanted once it has come to rest; False when it was so already. Raises Failure."""
        self.write()
        if name == ENVOY:
            return self._ensure_proxy()
        return self._roll(self._replica(name)) if name.startswith("orthanc-") else self._ensure(name)

    def restart(self, name: str) -> None:
        """Stop a container once it has come to rest, and start it again; raises Failure."""
        if not name.startswith("orthanc-"):
            if name == ENVOY:
                drain(self.admin, self._patience)
            self._cycle(name)
            return
        replica = self._replica(name)
        with self._rota().without(replica, self._patience):
            self._cycle(name)
            self._wait_taken_up(replica)

    def _cycle(self, name: str) -> None:
        self._voice.step(f"stopping {name}")
        self._docker.stop(self.containers()[name], STOP_SECONDS)
        self._seen = None
        self._start([name])

    def containers(self) -> dict[str, Container]:
        """What the engine has of the site, by service, as it was found since the last change."""
        if self._seen is None:
            self._seen = self._docker.containers(self._project)
        return self._seen

    def names(self) -> list[str]:
        """The services that have a container, in the order in which they start."""
        found = self.containers()
        return [name for name in services(self._wanted.place) if name in found]

    def logs(self, names: Sequence[str], follow: bool, lines: int) -> None:
        """Show what containers wrote, on our own standard output."""
        self._compose.logs(names, follow, lines)

    def _ensure_replicas(self) -> None:
        replicas = self._wanted.place.replicas
        running = {name for name, container in self.containers().items() if container.state == "running"}
        absent = [replica.name for replica in replicas if replica.name not in running]
        if len(absent) == len(replicas):
            self._voice.step("looking whether another host prepares the database")
            with self._alone():
                self._start(absent[:1])
            absent = absent[1:]
        if absent:
            self._start(absent)
        for replica in replicas:
            self._roll(replica)

    def _roll(self, replica: Replica) -> bool:
        if not self._differs(replica.name):
            return False
        self._voice.step(f"letting {replica.name} finish")
        with self._rota().without(replica, self._patience):
            self._ensure(replica.name)
            self._wait_taken_up(replica)
        return True

    def _rota(self) -> Rota:
        return Rota(self.admin, self._wanted.place, self._write_watched)

    def _ensure_proxy(self) -> bool:
        if self._differs(ENVOY) and self._runs(ENVOY):
            self._voice.step("letting associations finish")
            drain(self.admin, self._patience)
        changed = self._ensure(ENVOY)

        def serves() -> bool:
            health = healthy_hosts(self.admin)
            both = all(any(health.get(cluster, {}).values()) for cluster in (WEB_CLUSTER, DICOM_CLUSTER))
            return both and envoy_admin(self.admin, "/ready") is not None

        wait_for(serves, _TAKEN_UP_SECONDS, "Envoy to find a healthy Orthanc", remedy="see 'docker logs' of both")
        return changed

    def _ensure(self, name: str) -> bool:
        if not self._differs(name):
            return False
        self._start([name])
        return True

    def _differs(self, name: str) -> bool:
        container = self.containers().get(name)
        return container is None or not container.well or not self._as_wanted(name, container)

    def _as_wanted(self, name: str, container: Container) -> bool:
        image = self._docker.image(self._wanted.host.image(name))
        same_image = image is not None and image["Id"] == container.image
        return same_image and container.config_hash == self._hashes.get(name)

    def _runs(self, name: str) -> bool:
        container = self.containers().get(name)
        return container is not None and container.state == "running"

    def _start(self, names: Sequence[str]) -> None:
        """Make containers what is wanted and wait until they are healthy; raises Failure with what they last said."""
        self._voice.step(f"starting {', '.join(names)}")
        before = self.containers()
        for name in names:
            # A hung one would stay as it is.
            if name in before and before[name].state == "running" and before[name].health == "unhealthy":
                self._docker.stop(before[name], STOP_SECONDS)
        self.changed = True
        try:
            self._compose.up(names, _START_SECONDS)
        except Failure as error:
            self._seen = None
            raise self._why(names, error) from None
        self._seen = None
        for name in names:
            self._voice.say(f"{'restarted' if name in before else 'started'} {name}")

    def _why(self, names: Sequence[str], error: Failure) -> Failure:
        if not error.message.startswith("docker compose"):
            # What the engine says of itself, such as of a port that is taken, tells more than the container.
            return error
        found = self.containers()
        for name in names:
            if name in found and not found[name].well and found[name].state != "created":
                last = self._docker.last_line(found[name])
                return Failure(f"{name} does not become healthy: {last}", f"docker logs {found[name].id[:12]}")
        return error

    def _remove_unwanted(self) -> None:
        for name, container in self.containers().items():
            if name not in services(self._wanted.place):
                self._voice.step(f"stopping {name}")
                self._docker.remove(container, STOP_SECONDS)
                self._seen = None
                self.changed = True
                self._voice.say(f"removed {name}")

    def _replica(self, name: str) -> Replica:
        return next(replica for replica in self._wanted.place.replicas if replica.name == name)

    def _wait_taken_up(self, replica: Replica) -> None:
        if not self._runs(ENVOY):
            return
        addresses = {WEB_CLUSTER: replica.http_port, DICOM_CLUSTER: replica.dicom_port}

        def taken_up() -> bool:
            health = healthy_hosts(self.admin)
            return all(health.get(cluster, {}).get(f"{replica.host}:{port}") for cluster, port in addresses.items())

        wait_for(taken_up, _TAKEN_UP_SECONDS, f"Envoy to find {replica.name} healthy", remedy="see 'docker logs'")

    def _write_watched(self, files: Mapping[str, Rendered]) -> None:
        seen_by_envoy = {f"{ENVOY}/view/config/{path}": content for path, content in files.items()}
        write_container_files(self._wanted.host, seen_by_envoy)


def end(docker: Docker, project: str, files: PurePosixPath, limit: float, voice: Voice) -> bool:
    """Let associations finish, then end all containers of a project; False when there are none.

    Parameters
    ----------
    files:
        The folder that the project was written to.
    limit:
        Seconds that associations may take.
    """
    if not docker.containers(project):
        return False
    voice.step("letting associations finish")
    drain(admin_socket(files), limit)
    voice.step("stopping the containers")
    Compose(Path(files) / COMPOSE_FILE, project).down(STOP_SECONDS)
    return True


def admin_socket(files: PurePosixPath) -> Path:
    """Envoy's administration socket, as the host sees it, below the folder of the containers' files."""
    return Path(files) / ENVOY / "run/envoy.sock"

"""Starts the services of a site in order of readiness, and restarts those whose configuration changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypedDict

from orthweb.errors import Failure
from orthweb.local import database
from orthweb.local.layout import Layout
from orthweb.local.processes import Supervisor, last_line
from orthweb.render.envoy_clusters import DICOM_CLUSTER, WEB_CLUSTER
from orthweb.render.files import fingerprint
from orthweb.render.place import Rendered, Replica, Secrets
from orthweb.running.drain import drain
from orthweb.running.probe import OrthancProbe, envoy_admin, healthy_hosts
from orthweb.running.replicas import Rota
from orthweb.site.files import write_file
from orthweb.site.model import HEALTH_USER
from orthweb.site.paths import SitePaths
from orthweb.waiting import wait_for

_START_SECONDS = 60
_STOP_DRAIN_SECONDS = 30
# What a replica is at, when its configuration changed, may take this long to finish.
_REPLICA_SECONDS = 30
_ANSWER_SECONDS = 15
_FAILED = ("BACKOFF", "FATAL", "EXITED")
# One failed start may be bad luck, such as a port in its last moments; the supervisor tries again.
_MOST_FAILURES = 2


class _Applied(TypedDict):
    """What a service was last started with."""

    fingerprint: str
    command: list[str]


class Services:
    """The supervised processes of one site, and what each of them was started with."""

    def __init__(self, paths: SitePaths, supervisor: Supervisor, say: Callable[[str], None]) -> None:
        self.paths = paths
        self.supervisor = supervisor
        self.say = say
        self._record = paths.state / "applied.json"

    @property
    def admin(self) -> Path:
        """Envoy's administration socket."""
        return self.paths.run / "envoy.sock"

    def ensure_database(self, layout: Layout, files: Mapping[str, Rendered], superuser: str, secrets: Secrets) -> None:
        """Start PostgreSQL if it isn't up with this configuration, and make Orthanc's role and database."""
        ca = self.paths.pki / "internal/ca.crt"
        self._ensure(layout, files, "postgresql")
        self._wait(
            ["postgresql"],
            lambda: database.answers(layout.place.database, superuser, ca),
            "PostgreSQL to answer",
        )
        # Each time: an `up` may have been interrupted between both.
        database.ensure_database(layout.place.database, superuser, secrets.database, ca)

    def ensure_storage(self, layout: Layout, files: Mapping[str, Rendered], ready: Callable[[], bool]) -> None:
        """Start the embedded object storage if it isn't up with this configuration."""
        self._ensure(layout, files, "s3")
        self._wait(["s3"], ready, "the object storage to answer")

    def ensure_replicas(self, layout: Layout, files: Mapping[str, Rendered], secrets: Secrets, rota: Rota) -> None:
        """Start the Orthanc servers that are down at once, and restart changed ones one after another."""
        probe = OrthancProbe(self.paths.pki / "internal", secrets.users[HEALTH_USER])
        up = {name for name, state in self.supervisor.states().items() if state.up}
        absent = [replica for replica in layout.place.replicas if replica.name not in up]
        for replica in absent:
            self._ensure(layout, files, replica.name)
        self._wait_replicas(absent, probe)
        for replica in layout.place.replicas:
            restarted = replica.name in up and not self._as_applied(layout, files, replica.name)
            if restarted:
                with rota.without(replica, _REPLICA_SECONDS):
                    self._ensure(layout, files, replica.name)
                    self._wait_replicas([replica], probe)
            # Also one that was not touched: after a restart of the database it takes seconds to find it again.
            if replica.name in up and not restarted and not self._answers_soon(replica, probe):
                self.supervisor.kill(replica.name)
                self.say(f"restarted {replica.name}, which ran and did not answer")
            self._wait_replicas([replica], probe)

    def ensure_proxy(self, layout: Layout, files: Mapping[str, Rendered]) -> None:
        """Start Envoy if it isn't up with this configuration; associations in flight finish before a restart."""
        self._ensure(layout, files, "envoy", before_stop=lambda: drain(self.admin, _STOP_DRAIN_SECONDS))
        self.wait_proxy()

    def ensure(self, layout: Layout, files: Mapping[str, Rendered], name: str) -> None:
        """Start a service that nobody waits for."""
        self._ensure(layout, files, name)

    def cycle(self, name: str) -> None:
        """Stop a service and start it again."""
        self.supervisor.stop([name])
        self.supervisor.start_process(name)

    def wait_proxy(self) -> None:
        """Wait until Envoy serves and holds an Orthanc server for healthy on both protocols."""

        def serves() -> bool:
            health = healthy_hosts(self.admin)
            both = all(any(health.get(cluster, {}).values()) for cluster in (WEB_CLUSTER, DICOM_CLUSTER))
            return both and envoy_admin(self.admin, "/ready") is not None

        self._wait(["envoy"], serves, "Envoy to find a healthy Orthanc")

    def wait_certificate(self, serial: str) -> None:
        """Wait until Envoy shows the server certificate with this serial number (hexadecimal)."""
        wanted = serial.replace(":", "").lower().lstrip("0")

        def shown() -> bool:
            answer = json.loads(envoy_admin(self.admin, "/certs") or "{}")
            chains = [entry for pair in answer.get("certificates", []) for entry in pair.get("cert_chain", [])]
            return any(entry["serial_number"].lower().lstrip("0") == wanted for entry in chains)

        self._wait(["envoy"], shown, "Envoy to take up the certificate")

    def _wait_replicas(self, replicas: Sequence[Replica], probe: OrthancProbe) -> None:
        for replica in replicas:
            self._wait([replica.name], partial(self._serves, probe, replica.http_port), f"{replica.name} to answer")

    def _answers_soon(self, replica: Replica, probe: OrthancProbe) -> bool:
        try:
            wait_for(partial(self._serves, probe, replica.http_port), _ANSWER_SECONDS, replica.name)
        except Failure:
            return False
        return True

    def _serves(self, probe: OrthancProbe, port: int) -> bool:
        # Envoy, if it runs, must know it too: before that the next one must not be stopped.
        return probe.healthy(port) and healthy_hosts(self.admin).get(WEB_CLUSTER, {}).get(f"127.0.0.1:{port}", True)

    def commands(self) -> dict[str, list[str]]:
        """The command line that each service was last started with."""
        return {name: entry["command"] for name, entry in self._applied().items()}

    def _ensure(
        self,
        layout: Layout,
        files: Mapping[str, Rendered],
        name: str,
        before_stop: Callable[[], None] = lambda: None,
    ) -> bool:
        state = self.supervisor.states().get(name)
        up = state is not None and state.up
        if up and self._as_applied(layout, files, name):
            return False
        if up:
            before_stop()
            self.supervisor.stop([name])
        # Written first: a start that is interrupted here is made good by the next call, which finds it down.
        applied = {**self._applied(), name: _wanted(layout, files, name)}
        write_file(self._record, json.dumps(applied, indent=2) + "\n")
        self.supervisor.start_process(name)
        self.say(f"{'restarted' if up else 'started'} {name}")
        return True

    def _as_applied(self, layout: Layout, files: Mapping[str, Rendered], name: str) -> bool:
        return self._applied().get(name) == _wanted(layout, files, name)

    def _applied(self) -> dict[str, _Applied]:
        try:
            applied: dict[str, _Applied] = json.loads(self._record.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return applied

    def _wait(self, names: Sequence[str], condition: Callable[[], bool], what: str) -> None:
        failed: set[tuple[str, int]] = set()

        def holds() -> bool:
            if condition():
                return True
            states = self.supervisor.states()
            failed.update(
                (name, states[name].started) for name in names if name in states and states[name].state in _FAILED
            )
            for name in names:
                if sum(1 for other, _ in failed if other == name) >= _MOST_FAILURES:
                    log = self.paths.logs / f"{name}.log"
                    raise Failure(f"{name} does not start: {last_line(log)}", f"see {log}")
            return False

        wait_for(holds, _START_SECONDS, what)


def _wanted(layout: Layout, files: Mapping[str, Rendered], name: str) -> _Applied:
    program = layout.program(name)
    return {"fingerprint": fingerprint(program, files), "command": list(program.command)}

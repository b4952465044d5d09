"""A host of a site on AWS: it finds out what it has to run, and makes and keeps it so."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

import orthweb
from orthweb.errors import Failure, OrthwebError
from orthweb.host.blocks import kept_block
from orthweb.host.cloud import Cloud, NotYet, instance_id
from orthweb.host.database import PasswordRefused, check_database, schema_lock
from orthweb.host.docker import Docker
from orthweb.host.images import ensure_images, image_versions, may_change_schema
from orthweb.host.report import FAILED, HEALTHY, STARTING, STOPPED, WAITING, Report
from orthweb.host.stack import Stack, Wanted, end, gate_name
from orthweb.host.told import DATABASE_PARTS, INTERNAL_PARTS, SERVER_PARTS, Told
from orthweb.host.trust import SYSTEM, database_authorities
from orthweb.host.values import Bundle, HostFile, Values
from orthweb.render.compose import DockerHost
from orthweb.render.containers import ENVOY, Networks, services
from orthweb.site.files import write_file
from orthweb.site.model import HEALTH_USER, Site

_PATIENCE_SECONDS = 3600.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0
_LEAST_FREE_BYTES = 2**30
# What associations and requests may take before a replica that they are at is restarted.
_FINISH_SECONDS = 300.0
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class HostPaths:
    """Where a host keeps what.

    Parameters
    ----------
    memory:
        A folder on a RAM disk, for everything that is rendered: it holds secrets.
    data:
        What lasts.
    """

    memory: Path = Path("/run/orthweb")
    data: Path = Path("/var/lib/orthweb")

    @property
    def state(self) -> Path:
        """What `orthweb host status` shows."""
        return self.memory / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the command that changes the host."""
        return self.memory / "lock"

    @property
    def network(self) -> Path:
        """The network of the containers."""
        return self.data / "network"

    @property
    def applied(self) -> Path:
        """The images that the host runs, until an upgrade."""
        return self.data / "applied.json"


class AwsHost:
    """One EC2 instance of a site; the caller holds the host's lock."""

    def __init__(self, host: HostFile, paths: HostPaths, report: Report) -> None:
        self._host, self._paths, self._report = host, paths, report
        self._cloud, self._docker = Cloud(host), Docker()
        self._project = f"orthweb-{host.site}"

    def up(self) -> bool:
        """Make the host what it has to be, waiting for what comes by itself; whether something was changed.

        Raises
        ------
        Failure
            It cannot be; the reason is also kept as the host's state.
        """
        with self._told_of_failure():
            self._report.tell(STARTING, f"Orthweb {orthweb.__version__}")
            self._await_docker()
            told = self._await_told()
            images = self._images(told)
            ensure_images(self._docker, images.values(), _bundled_images(), self._say_step)
            told = self._await_database(told)
            stack = self._stack(told, images)
            stack.up()
            self._keep(images)
            self._well(told)
        return stack.changed

    def refresh(self) -> bool:
        """Take what is new: passwords, certificates, users, settings. Whether something was restarted.

        Replicas are restarted one after the other, and only where they read what is new at their start.
        """
        with self._told_of_failure():
            told = self._once_told()
            # A password that RDS has just rotated works a moment later.
            told = self._await_database(told)
            stack = self._stack(told, self._images(told))
            stack.up()
            self._well(told)
            self._measure(told)
        return stack.changed

    def upgrade(self, schema: bool) -> bool:
        """Take the images that the site names now, one replica after the other; False when all have them already.

        At the first that does not become healthy the old images are taken again.

        Parameters
        ----------
        schema:
            The database's schema may change, since a snapshot was made.

        Raises
        ------
        Failure
            A new image does not become healthy, or may change the schema and `schema` is not given.
        """
        with self._told_of_failure():
            told = self._await_database(self._once_told())
            old = self._images(told)
            new = self._named_images(told.site, told.values)
            if old == new:
                return False
            ensure_images(self._docker, new.values(), _bundled_images(), self._say_step)
            if not schema and old["orthanc"] != new["orthanc"]:
                self._ask_for_snapshot(old["orthanc"], new["orthanc"])
            self._roll(told, old, new)
            self._keep(new)
            self._well(told)
        return True

    def down(self, limit: float) -> bool:
        """End the site on this host, after what is under way has finished; False when nothing ran.

        Nobody is asked: a host that shuts down may have lost its network.
        """
        done = end(self._docker, self._project, PurePosixPath(self._paths.memory), limit, self._report.voice)
        self._report.tell(STOPPED, "the containers are down")
        return done

    def _roll(self, told: Told, old: dict[str, str], new: dict[str, str]) -> None:
        names = services(self._wanted(told, old).place)
        mixed = {name: old[_kind(name)] for name in names}
        for name in names:
            before = dict(mixed)
            mixed[name] = new[_kind(name)]
            if mixed == before:
                continue
            self._report.tell(STARTING, f"upgrading {name} to {mixed[name]}")
            try:
                self._stack(told, old | mixed).replace(name)
            except Failure as error:
                self._report.tell(STARTING, f"{name} does not work with {mixed[name]}: going back")
                self._stack(told, old).up()
                raise Failure(f"{error.message}; the host runs {old[_kind(name)]} again", error.remedy) from None
        self._stack(told, new).up()

    def _ask_for_snapshot(self, old: str, new: str) -> None:
        if may_change_schema(self._docker, old, new):
            raise Failure(
                f"{new} may change the database's schema, and then {old} cannot read it any more",
                "make a snapshot of the database ('aws rds create-db-snapshot'), then add --schema",
            )

    def _await_docker(self) -> None:
        def runs() -> str:
            try:
                return self._docker.version()
            except Failure as error:
                if "not run" in error.message:
                    raise NotYet(error.message, error.remedy) from None
                raise

        self._await(runs)
        free = shutil.disk_usage(self._docker.root()).free
        if free < _LEAST_FREE_BYTES:
            raise Failure(
                f"{self._docker.root()}: {free // 2**20} MB are free and {_LEAST_FREE_BYTES // 2**20} MB are needed",
                "'docker system prune --all' removes what is not used; or a larger disk (aws.hosts.disk_gb)",
            )

    def _await_told(self) -> Told:
        values = self._await(self._cloud.values)
        role = values.role(self._await(instance_id))
        self._report.send = lambda line: self._cloud.say(values.log_groups.boot, instance_id(), line)
        return self._await(lambda: self._told(values, role))

    def _once_told(self) -> Told:
        values = self._cloud.values()
        return self._told(values, values.role(instance_id()))

    def _told(self, values: Values, role: str) -> Told:
        site, secrets, secret = values.described(), values.secrets, self._cloud.secret
        return Told(
            values,
            site,
            role,
            server=secret(secrets.server_certificate, SERVER_PARTS),
            internal=secret(secrets.internal, INTERNAL_PARTS),
            users=secret(secrets.users, (*site.orthanc.users, HEALTH_USER)),
            database=secret(values.database.secret, DATABASE_PARTS),
        )

    def _await_database(self, told: Told) -> Told:
        """Wait until the database takes us; gives what the host is told then, since RDS may rotate its password."""
        current = told

        def answers() -> Told:
            nonlocal current
            try:
                check_database(current.database_server, current.database["password"], self._ca_file(current))
            except PasswordRefused:
                secret = self._cloud.secret(current.values.database.secret, DATABASE_PARTS)
                current = replace(current, database=secret)
                raise
            return current

        return self._await(answers)

    def _await(self, look: Callable[[], _Found]) -> _Found:
        """Look until it is there; raises Failure when it is not after an hour."""
        end, pause = time.monotonic() + _PATIENCE_SECONDS, _FIRST_PAUSE
        while True:
            try:
                return look()
            except NotYet as error:
                if time.monotonic() > end:
                    raise Failure(error.message, error.remedy) from None
                self._report.tell(WAITING, error.message)
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _images(self, told: Told) -> dict[str, str]:
        """The images that the host has applied, or those that the site names where it has none."""
        named = self._named_images(told.site, told.values)
        try:
            applied = json.loads(self._paths.applied.read_text())["images"]
        except (FileNotFoundError, ValueError, LookupError, TypeError):
            return named
        return {name: str(applied.get(name, image)) for name, image in named.items()}

    def _named_images(self, site: Site, values: Values) -> dict[str, str]:
        given = values.images
        return {
            "orthanc": (given and given.orthanc) or site.orthanc.image,
            ENVOY: (given and given.envoy) or site.envoy.image,
        }

    def _keep(self, images: dict[str, str]) -> None:
        text = json.dumps({"images": images}) + "\n"
        if not self._paths.applied.exists() or self._paths.applied.read_text() != text:
            write_file(self._paths.applied, text, 0o644)

    def _stack(self, told: Told, images: dict[str, str]) -> Stack:
        database, password = told.database_server, told.database["password"]
        ca = self._ca_file(told)

        def alone() -> AbstractContextManager[None]:
            return schema_lock(database, password, ca, lambda line: self._report.tell(WAITING, line))

        return Stack(self._wanted(told, images), self._docker, self._report.voice, alone, _FINISH_SECONDS)

    def _wanted(self, told: Told, images: dict[str, str]) -> Wanted:
        networks = Networks(kept_block(self._paths.network, self._docker, self._project, told.site.name))
        place = told.place(networks, image_versions(self._docker, images["orthanc"]), gate_name())
        return Wanted(told.site, place, networks, self._docker_host(told, images), told.files(place))

    def _docker_host(self, told: Told, images: dict[str, str]) -> DockerHost:
        return DockerHost(
            files=PurePosixPath(self._paths.memory),
            data=PurePosixPath(self._paths.data),
            images=images,
            memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            cpus=os.cpu_count() or 1,
            quick_checks=self._docker.quick_checks(),
            project=self._project,
            trust=PurePosixPath(SYSTEM) if SYSTEM.exists() else None,
            log={
                name: {
                    "driver": "awslogs",
                    "options": {
                        "awslogs-region": told.values.region,
                        "awslogs-group": group,
                        "awslogs-stream": f"{instance_id()}/{name}",
                        # A log that cannot be sent must not stop whoever writes it.
                        "mode": "non-blocking",
                        "max-buffer-size": "8m",
                    },
                }
                for name, group in told.log_groups().items()
            },
        )

    def _ca_file(self, told: Told) -> Path:
        self._paths.memory.mkdir(mode=0o700, exist_ok=True)
        path, text = self._paths.memory / "database-ca.crt", database_authorities(told.values.region)
        if not path.exists() or path.read_text() != text:
            write_file(path, text, 0o644)
        return path

    def _well(self, told: Told) -> None:
        days = told.days_left
        message = f"{told.role} of {told.values.site}, {told.site.orthanc.replicas} Orthanc servers"
        if days < 0:
            message += "; its certificate has expired: 'orthweb certs rotate' makes another"
        if (named := self._new_bundle(told.values.bundle)) is not None:
            message += f"; a newer bundle is there ({named[:12]}): 'orthweb host upgrade' takes it"
        self._report.tell(HEALTHY, message)

    def _new_bundle(self, bundle: Bundle | None) -> str | None:
        """The SHA-256 of the site's bundle where this host runs another."""
        running = Path(sys.prefix).resolve().name
        known = self._host.bundle is not None and len(running) == len(self._host.bundle.sha256)
        return bundle.sha256 if bundle is not None and known and bundle.sha256 != running else None

    def _measure(self, told: Told) -> None:
        usage = shutil.disk_usage(self._docker.root())
        figures = {
            "DiskUsedPercent": round(100 * usage.used / usage.total, 1),
            "CertificateDaysLeft": float(told.days_left),
        }
        self._cloud.measure(told.values.metric_namespace, told.role, figures)

    def _say_step(self, line: str) -> None:
        self._report.tell(STARTING, line)

    @contextmanager
    def _told_of_failure(self) -> Iterator[None]:
        try:
            yield
        except OrthwebError as error:
            self._report.tell(FAILED, str(error))
            raise


def _kind(service: str) -> str:
    return ENVOY if service == ENVOY else "orthanc"


def _bundled_images() -> list[Path]:
    """The images that came in the bundle, which is installed into an environment of its own."""
    return sorted((Path(sys.prefix) / "images").glob("*.tar*"))

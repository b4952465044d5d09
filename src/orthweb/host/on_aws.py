"""A host of a site on AWS: it finds out what it has to run, and makes and keeps it so."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path, PurePosixPath

import orthweb
from orthweb.errors import Failure, OrthwebError
from orthweb.host.asking import Asking
from orthweb.host.blocks import kept_block
from orthweb.host.cloud import Cloud, instance_id
from orthweb.host.database import schema_lock
from orthweb.host.docker import Docker
from orthweb.host.images import ensure_images, image_versions, may_change_schema
from orthweb.host.installing import install, running_bundle
from orthweb.host.paths import HostPaths
from orthweb.host.report import FAILED, HEALTHY, STARTING, STOPPED, WAITING, Report
from orthweb.host.stack import Alone, Stack, Wanted, end, gate_name
from orthweb.host.told import Told
from orthweb.host.trust import SYSTEM
from orthweb.host.values import Bundle, HostFile, Values
from orthweb.render.compose import DockerHost
from orthweb.render.containers import ENVOY, Networks, services
from orthweb.site.files import write_file
from orthweb.site.model import Site

# What associations and requests may take before a replica that they are at is restarted.
_FINISH_SECONDS = 300.0


class AwsHost:
    """One EC2 instance of a site; the caller holds the host's lock."""

    def __init__(self, host: HostFile, paths: HostPaths, report: Report) -> None:
        self._host, self._paths, self._report = host, paths, report
        self._cloud, self._docker = Cloud(host), Docker()
        self._asking = Asking(self._cloud, self._docker, paths, report)
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
            self._paths.data.mkdir(parents=True, exist_ok=True)
            self._asking.docker_engine()
            told = self._asking.everything()
            images = self._images(told)
            ensure_images(self._docker, images.values(), _bundled_images(), self._say_step)
            told = self._asking.database(told)
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
            told = self._asking.once()
            # A password that RDS has just rotated works a moment later.
            told = self._asking.database(told)
            stack = self._stack(told, self._images(told))
            stack.up()
            self._well(told)
            self._measure(told)
        return stack.changed

    def newer(self) -> Path | None:
        """Install the bundle that the site names now where this host runs another; gives its environment.

        Raises
        ------
        Failure
            It cannot be fetched or installed; the host is as it was.
        """
        bundle = self._cloud.values().bundle
        if self._new_bundle(bundle) is None or bundle is None:
            return None
        self._report.tell(STARTING, f"installing the bundle {bundle.sha256[:12]}")
        return install(self._cloud, bundle)

    def upgrade(self, schema: bool) -> bool:
        """Take the images and settings that the site names now, one replica after the other; whether any was changed.

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
            told = self._asking.database(self._asking.once())
            old, new = self._images(told), self._named_images(told.site, told.values)
            if old != new:
                ensure_images(self._docker, new.values(), _bundled_images(), self._say_step)
                if not schema and old["orthanc"] != new["orthanc"]:
                    self._ask_for_snapshot(old["orthanc"], new["orthanc"])
                # The first new Orthanc may bring the schema up to date: one host at a time.
                with self._lock(told):
                    self._roll(told, old, new)
            stack = self._stack(told, new)
            stack.up()
            self._keep(new)
            self._well(told)
        return stack.changed or old != new

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
                self._stack(told, old | mixed, nullcontext).replace(name)
            except Failure as error:
                self._report.tell(STARTING, f"{name} does not work with {mixed[name]}: going back")
                self._stack(told, old, nullcontext).up()
                raise Failure(f"{error.message}; the host runs {old[_kind(name)]} again", error.remedy) from None

    def _ask_for_snapshot(self, old: str, new: str) -> None:
        if may_change_schema(self._docker, old, new):
            raise Failure(
                f"{new} may change the database's schema, and then {old} cannot read it any more",
                "make a snapshot of the database ('aws rds create-db-snapshot'), then add --schema",
            )

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

    def _stack(self, told: Told, images: dict[str, str], alone: Alone | None = None) -> Stack:
        held = alone or (lambda: self._lock(told))
        return Stack(self._wanted(told, images), self._docker, self._report.voice, held, _FINISH_SECONDS)

    def _lock(self, told: Told) -> AbstractContextManager[None]:
        """Hold off the other hosts while an Orthanc may change the database's schema."""
        password, ca = told.database["password"], self._asking.database_ca(told)
        return schema_lock(told.database_server, password, ca, lambda line: self._report.tell(WAITING, line))

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
        running = running_bundle()
        return bundle.sha256 if bundle is not None and running not in (None, bundle.sha256) else None

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
        except (OrthwebError, OSError) as error:
            self._report.tell(FAILED, str(error))
            raise


def _kind(service: str) -> str:
    return ENVOY if service == ENVOY else "orthanc"


def _bundled_images() -> list[Path]:
    """The images that came in the bundle, which is installed into an environment of its own."""
    return sorted((Path(sys.prefix) / "images").glob("*.tar*"))

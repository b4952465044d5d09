"""Finds out what a host of a site on AWS has to run, and waits for what comes by itself."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from orthweb.errors import Failure
from orthweb.host.cloud import Cloud, NotYet, instance_id
from orthweb.host.database import PasswordRefused, check_database
from orthweb.host.docker import Docker
from orthweb.host.paths import HostPaths
from orthweb.host.report import WAITING, Report
from orthweb.host.told import DATABASE_PARTS, INTERNAL_PARTS, SERVER_PARTS, Told
from orthweb.host.trust import database_authorities
from orthweb.host.values import Values
from orthweb.site.files import write_file
from orthweb.site.model import HEALTH_USER

_PATIENCE_SECONDS = 3600.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0
_LEAST_FREE_BYTES = 2**30
_Found = TypeVar("_Found")


class Asking:
    """What a host asks, and whom. What is not there yet is waited for, and the report tells what that is."""

    def __init__(self, cloud: Cloud, docker: Docker, paths: HostPaths, report: Report) -> None:
        self._cloud, self._docker, self._paths, self._report = cloud, docker, paths, report

    def everything(self) -> Told:
        """Wait until all is there that a host is told; raises Failure when it may not be read."""
        values = self._await(self._cloud.values)
        instance = self._await(instance_id)
        return self._await(lambda: self._told(values, instance))

    def once(self) -> Told:
        """What a host is told now, where all is there; raises Failure."""
        return self._told(self._cloud.values(), instance_id())

    def _told(self, values: Values, instance: str) -> Told:
        role = values.role(instance)
        # From here on it is known where the host's log is.
        self._report.send = lambda line: self._cloud.say(values.log_groups.boot, instance, line)
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

    def database(self, told: Told) -> Told:
        """Wait until the database takes us; gives what the host is told then, since RDS may rotate its password."""
        current = told

        def answers() -> Told:
            nonlocal current
            try:
                check_database(current.database_server, current.database["password"], self.database_ca(current))
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

    def docker_engine(self) -> None:
        """Wait until the engine answers; raises Failure where it has no room left."""

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

    def database_ca(self, told: Told) -> Path:
        """Write the authorities of the database to a file, and give that."""
        self._paths.memory.mkdir(mode=0o700, exist_ok=True)
        path, text = self._paths.memory / "database-ca.crt", database_authorities(told.values.region)
        if not path.exists() or path.read_text() != text:
            write_file(path, text, 0o644)
        return path

"""Brings a site on this machine up, changes what differs, and takes it down again."""

from __future__ import annotations

import datetime
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path, PurePosixPath

from orthweb.errors import Failure, InputError
from orthweb.local import database, s3storage
from orthweb.local.account import Account, current_account, ensure_account, ensure_reachable
from orthweb.local.boot import remove_at_boot
from orthweb.local.checks import check_before, holds_data
from orthweb.local.config import write_files, write_rendered
from orthweb.local.layout import HOUSEKEEPING, Layout, library_folder, make_layout, programs_and_data, service_names
from orthweb.local.loopback import ensure_loopback
from orthweb.local.openssl import ensure_openssl_names
from orthweb.local.packages import Parts, ensure_packages, installed_versions
from orthweb.local.processes import Supervisor, end_orphans
from orthweb.local.services import Services
from orthweb.local.status import replica_states
from orthweb.pki import describe, load_certificate
from orthweb.pki import on_machine as certificates
from orthweb.render import Rendered, Secrets, render
from orthweb.render.envoy import server_files
from orthweb.render.orthanc import check_settings, owned_settings
from orthweb.running.drain import drain
from orthweb.running.replicas import Rota
from orthweb.site import bucket_keys
from orthweb.site.edit import set_certificate
from orthweb.site.files import ensure_folder
from orthweb.site.mark import NATIVE, forget, write_mark
from orthweb.site.model import Site
from orthweb.site.paths import SitePaths
from orthweb.site.secrets import ensure_password, ensure_users, read_password
from orthweb.site.voice import Voice
from orthweb.waiting import wait_for


class Engine:
    """A site on this machine that is about to be changed; the caller holds the site's lock."""

    def __init__(self, site: Site, paths: SitePaths, voice: Voice) -> None:
        self.site, self.paths = site, paths
        self.changed = False
        """Whether something was done."""
        self._heard = voice.say
        self.voice = replace(voice, say=self._say)
        self.supervisor = Supervisor(paths.run, paths.config / "supervisord.conf", paths.logs / "supervisor.log")
        self.services = Services(paths, self.supervisor, self._say)

    def _say(self, line: str) -> None:
        self.changed = True
        self._heard(line)

    def up(self) -> None:
        """Make what runs equal to what `orthweb.yaml` says. Every step looks before it acts.

        Raises
        ------
        InputError
            The description or this machine doesn't allow it; nothing was changed.
        Failure
            A step failed; calling again goes on from there.
        """
        voice = self.voice
        low_ports = check_before(self.site, self.paths, self.supervisor, self.services.commands())
        voice.step("looking for system packages")
        ensure_packages(self.site.s3() is not None, voice.say)
        parts = installed_versions()
        account = ensure_account(voice.say)
        voice.step("preparing certificates, passwords and configuration")
        layout, files, secrets = self._prepare(parts, account)
        self._ensure_supervisor(layout, account, low_ports)
        voice.step("starting PostgreSQL")
        superuser = self.paths.secrets / "postgres-superuser"
        programs = database.server_programs(parts, self.paths.database)
        database.ensure_cluster(programs, self.paths.database, superuser, account, voice.say)
        self.services.ensure_database(layout, files, read_password(superuser), secrets)
        bucket = layout.place.bucket
        if bucket is not None:
            voice.step("starting the object storage")
            if any(program.name == "s3" for program in layout.programs):
                self.services.ensure_storage(layout, files, lambda: s3storage.answers(bucket))
            s3storage.ensure_bucket(
                bucket.endpoint, bucket.name, secrets.s3_access_key, secrets.s3_secret_key, bucket.ca, bucket.region
            )
        voice.step("starting Orthanc")
        self.services.ensure_replicas(layout, files, secrets, self._rota(layout, account))
        voice.step("starting Envoy")
        self.services.ensure_proxy(layout, files)
        self.services.ensure(layout, files, HOUSEKEEPING)

    def down(self, drain_seconds: float) -> bool:
        """Stop everything, the proxy first and the database last; False when nothing ran."""
        if not self.supervisor.running():
            return self._end_orphans()
        running = [name for name, state in self.supervisor.states().items() if state.up]
        if "envoy" in running:
            self.voice.step("letting associations finish")
            drain(self.services.admin, drain_seconds)
        groups = [
            [name for name in running if name in ("envoy", HOUSEKEEPING)],
            [name for name in running if name.startswith("orthanc-")],
            [name for name in running if name == "s3"],
            [name for name in running if name == "postgresql"],
        ]
        for group in filter(None, groups):
            self.voice.step(f"stopping {', '.join(group)}")
            self.supervisor.stop(group)
        self.supervisor.shutdown()
        return True

    def restart(self, service: str | None, drain_seconds: float) -> None:
        """Restart one service, or all of them one after another: the site answers all the while where it can."""
        states = self.supervisor.states()
        if not states:
            raise Failure(f"{self.site.name} is not up", "start it with 'orthweb up'")
        if service is not None and service not in states:
            raise InputError(f"{service}: no such service", f"there are {', '.join(states)}")
        for name in [service] if service else [name for name in service_names(self.site) if name in states]:
            self.voice.step(f"restarting {name}")
            if name == "envoy":
                drain(self.services.admin, drain_seconds)
            with self._at_rest(name, drain_seconds):
                well = self._well()
                self.services.cycle(name)
                wait_for(lambda well=well: well <= self._well(), 60, f"{name} and the replicas to be well again")  # type: ignore[misc]
            self.services.wait_proxy()
            self.voice.say(f"restarted {name}")

    def _at_rest(self, name: str, limit: float) -> AbstractContextManager[object]:
        """While the body runs, the proxy hands a replica nothing new; of another service nothing is asked."""
        if not name.startswith("orthanc-"):
            return nullcontext()
        server = certificates.current_server(self.paths)
        if server is None:
            return nullcontext()
        layout, _, _ = self._render(installed_versions(), server, keep=True)
        replica = next(replica for replica in layout.place.replicas if replica.name == name)
        return self._rota(layout, self._known_account()).without(replica, limit)

    def _rota(self, layout: Layout, account: Account) -> Rota:
        return Rota(self.services.admin, layout.place, lambda files: write_files(self.paths.config, files, account))

    def _well(self) -> set[str]:
        states = replica_states(self.site, self.paths)
        return {state["name"] for state in states if state["healthy"] and state["web"] and state["dicom"]}

    def rotate_certificate(self) -> None:
        """Replace the generated server certificate; a running proxy takes it up without dropping a connection."""
        if self.site.tls.certificate != "generated":
            raise InputError(
                "orthweb.yaml: tls.certificate: is your own, which Orthweb cannot renew",
                "give the new one to 'orthweb certs use'",
            )
        account = self._known_account()
        self._show_certificate(certificates.rotate_generated(self.paths, self.site, account), account)

    def use_certificate(self, certificate: Path, key: Path, chain: Path | None) -> None:
        """Check the user's own server certificate, write it into `orthweb.yaml` and show it from now on."""
        account = self._known_account()
        own = certificates.own_files(certificate, key, chain)
        pair = certificates.adopt_own(self.paths, self.site, own, account, self.voice.warn)
        self.site = set_certificate(self.paths.root, certificate, key, chain)
        self._show_certificate(pair, account)

    def _show_certificate(self, pair: certificates.ServerPair, account: Account) -> None:
        files = PurePosixPath(pair.certificate), PurePosixPath(pair.key)
        if self.paths.config.exists():
            write_files(self.paths.config, server_files(*files), account)
        serial = describe(load_certificate(pair.certificate), datetime.datetime.now(datetime.UTC)).serial
        if "envoy" in {name for name, state in self.supervisor.states().items() if state.up}:
            self.services.wait_certificate(serial)
            self.voice.say(f"the site shows the certificate with serial number {serial}")
        else:
            self.voice.say(f"the site will show the certificate with serial number {serial} when it is up")

    def _known_account(self) -> Account:
        account = current_account()
        if account is None or not self.paths.mark.exists():
            raise Failure(f"{self.site.name} was never up", "run 'orthweb up' first")
        return account

    def purge(self) -> None:
        """Delete all that Orthweb made for this site; it must be down."""
        if self.supervisor.running():
            raise Failure(f"{self.site.name} is still up", "stop it with 'orthweb down'")
        remove_at_boot(self.site, self.paths, self.voice.say)
        forget(self.paths)

    def preview(self) -> dict[str, Rendered]:
        """Render what `up` would write, without changing anything; what it would make first is made up."""
        check_settings(self.site)
        server = certificates.current_server(self.paths) or certificates.ServerPair(
            self.paths.pki / "server.crt", self.paths.pki / "server.key"
        )
        return self._render(installed_versions(), server, keep=False)[1]

    def _prepare(self, parts: Parts, account: Account) -> tuple[Layout, dict[str, Rendered], Secrets]:
        self._make_folders(account)
        for target in (self.paths.config, *programs_and_data()):
            ensure_reachable(target, account, self.voice.say)
        server = certificates.ensure_server(self.paths, self.site, account, self.voice.say, self.voice.warn)
        certificates.ensure_internal(self.paths, self.site, account)
        layout, files, secrets = self._render(parts, server, keep=True)
        for warning in owned_settings(self.site, layout.place):
            self.voice.warn(warning)
        write_rendered(self.paths.config, files, account)
        return layout, files, secrets

    def _render(
        self, parts: Parts, server: certificates.ServerPair, keep: bool
    ) -> tuple[Layout, dict[str, Rendered], Secrets]:
        running = {name for name, state in self.supervisor.states().items() if state.up}
        programs = database.server_programs(parts, self.paths.database)
        layout = make_layout(self.site, self.paths, parts, programs, server, running, keep)
        secrets = self._secrets(keep)
        files = render(self.site, layout.place, secrets, layout.programs)
        return layout, files | s3storage.server_files(self.paths, layout, secrets), secrets

    def _secrets(self, keep: bool) -> Secrets:
        storage = self.site.s3()
        access, secret = bucket_keys.keys(self.paths, storage, keep) if storage is not None else ("", "")
        ensure_password(self.paths, "postgres-superuser", keep)
        return Secrets(
            users=ensure_users(self.paths, self.site.orthanc.users, keep),
            database=ensure_password(self.paths, "postgres-orthanc", keep),
            s3_access_key=access,
            s3_secret_key=secret,
        )

    def _ensure_supervisor(self, layout: Layout, account: Account, low_ports: bool) -> None:
        if self.supervisor.running():
            self.supervisor.reload()
            return
        self._end_orphans()
        self.voice.step("starting the supervisor")
        self.supervisor.start(account, low_ports)

    def _end_orphans(self) -> bool:
        account = current_account()
        if account is None:
            return False
        commands = {**self.services.commands(), "supervisor": self.supervisor.command()}
        others = sorted(set(commands) - {"supervisor", "envoy", "s3", "postgresql"})
        order = ["supervisor", "envoy", *others, "s3", "postgresql"]
        return end_orphans(commands, account.uid, order, self.voice.say)

    def _make_folders(self, account: Account) -> None:
        paths = self.paths
        if not holds_data(paths):
            write_mark(paths, self.site, NATIVE)
        for folder in (paths.state, paths.pki, paths.config, paths.data):
            ensure_folder(folder, account.passing_mode, account.passing_owner)
        # Passwords in `secrets` and the authorities' keys stay the caller's: no process of the site needs them.
        ensure_folder(paths.secrets)
        for folder in (
            paths.logs,
            paths.run,
            paths.database,
            paths.objects,
            paths.bucket,
            paths.data / "tmp",
        ):
            ensure_folder(folder, 0o700, account.file_owner)
        ensure_openssl_names(library_folder(paths))
        ensure_loopback(library_folder(paths))

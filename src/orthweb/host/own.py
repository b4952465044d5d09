"""A site in containers on a Docker host of one's own, with a PostgreSQL and an authority of its own."""

from __future__ import annotations

import hashlib
import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path, PurePosixPath

from orthweb.errors import Failure, InputError
from orthweb.host.blocks import kept_block
from orthweb.host.docker import Docker
from orthweb.host.images import ensure_images, image_versions
from orthweb.host.stack import Stack, Wanted, end, gate_name
from orthweb.pki import on_machine
from orthweb.render.compose import DockerHost
from orthweb.render.containers import ENVOY, POSTGRESQL, Networks, container_files, container_place
from orthweb.render.orthanc import check_settings, owned_settings
from orthweb.render.place import Bucket, Rendered, Secrets
from orthweb.site.bucket_keys import keys
from orthweb.site.edit import set_certificate
from orthweb.site.files import Callers, ensure_folder
from orthweb.site.mark import COMPOSE, check_mark, forget, write_mark
from orthweb.site.model import OwnCertificate, Site
from orthweb.site.paths import SitePaths
from orthweb.site.secrets import ensure_password, ensure_users
from orthweb.site.voice import Voice

_FINISH_SECONDS = 30.0
_POSTGRESQL_PARTS = ("crt", "key")


class OwnHost:
    """A site in containers here; the caller holds the site's lock."""

    def __init__(self, site: Site, paths: SitePaths, voice: Voice) -> None:
        self.site, self.paths = site, paths
        self.changed = False
        """Whether something was done."""
        self._heard = voice.say
        self.voice = replace(voice, say=self._say)
        self._docker = Docker()

    def up(self) -> None:
        """Make what runs equal to what `orthweb.yaml` says. Every step looks before it acts.

        Raises
        ------
        InputError
            The description or this machine doesn't allow it; nothing was changed.
        Failure
            A step failed; calling again goes on from there.
        """
        self._check()
        self.voice.step("asking Docker")
        self._docker.version()
        images = self._images()
        self._make_folders()
        ensure_images(self._docker, images.values(), (), self.voice.step)
        stack = self._stack(self._certificate(), _FINISH_SECONDS)
        stack.up()

    def down(self, drain_seconds: float) -> bool:
        """Stop everything, the proxy first; False when nothing ran."""
        project = project_name(self.site, self.paths)
        return end(self._docker, project, PurePosixPath(self.paths.config), drain_seconds, self.voice)

    def restart(self, service: str | None, drain_seconds: float) -> None:
        """Restart one container, or all of them one after another: the site answers all the while where it can."""
        nothing = Failure(f"{self.site.name} is not up", "start it with 'orthweb up'")
        stack, names = self._chosen(service, drain_seconds, nothing, "service")
        for name in names:
            stack.restart(name)

    def logs(self, service: str | None, follow: bool, lines: int) -> None:
        """Show what the containers wrote, on our own standard output; raises Failure or InputError."""
        nothing = Failure(f"{self.site.name}: no logs yet", "start the site with 'orthweb up'")
        stack, names = self._chosen(service, _FINISH_SECONDS, nothing, "log")
        stack.logs(names, follow, lines)

    def rotate_certificate(self) -> None:
        """Replace the generated server certificate; a running proxy takes it up without dropping a connection."""
        if self.site.tls.certificate != "generated":
            raise InputError(
                "orthweb.yaml: tls.certificate: is your own, which Orthweb cannot renew",
                "give the new one to 'orthweb certs use'",
            )
        self._known()
        self._show(on_machine.rotate_generated(self.paths, self.site, Callers()))

    def use_certificate(self, certificate: Path, key: Path, chain: Path | None) -> None:
        """Check the user's own server certificate, write it into `orthweb.yaml` and show it from now on."""
        self._known()
        own = on_machine.own_files(certificate, key, chain)
        pair = on_machine.adopt_own(self.paths, self.site, own, Callers(), self.voice.warn)
        self.site = set_certificate(self.paths.root, certificate, key, chain)
        self._show(pair)

    def purge(self) -> None:
        """Delete all that Orthweb made for this site; it must be down."""
        if self._docker.containers(project_name(self.site, self.paths)):
            raise Failure(f"{self.site.name} is still up", "stop it with 'orthweb down'")
        forget(self.paths)

    def preview(self) -> dict[str, Rendered]:
        """Render what `up` would write, of a site that has been up; nothing that runs is changed."""
        pair = on_machine.current_server(self.paths)
        if pair is None:
            raise Failure(f"{self.site.name} was never up", "run 'orthweb up' first")
        return self._stack(pair, _FINISH_SECONDS).rendered()

    def _chosen(self, service: str | None, patience: float, nothing: Failure, what: str) -> tuple[Stack, list[str]]:
        """The containers of the site that are meant: one service's, or all. Raises `nothing` where there are none."""
        pair = on_machine.current_server(self.paths)
        stack = self._stack(pair, patience) if pair else None
        names = stack.names() if stack else []
        if stack is None or not names:
            raise nothing
        if service is not None and service not in names:
            raise InputError(f"{service}: no such {what}", f"there are {', '.join(names)}")
        return stack, [service] if service else names

    def _say(self, line: str) -> None:
        self.changed = True
        self._heard(line)

    def _check(self) -> None:
        check_settings(self.site)
        if self.paths.mark.exists():
            check_mark(self.paths, self.site, COMPOSE)
        if isinstance(self.site.tls.certificate, OwnCertificate):
            on_machine.check_own(self.paths, self.site, self.site.tls.certificate)
        storage = self.site.s3()
        if storage is not None and (storage.endpoint is None or storage.ca is not None):
            field = "ca" if storage.endpoint else "endpoint"
            raise InputError(
                f"orthweb.yaml: storage.{field}: a site in containers keeps its images in a folder, or in a "
                "bucket of a server elsewhere that this machine trusts",
                "use 'storage: filesystem', or name the server and add its authority to this machine's",
            )
        if storage is not None:
            keys(self.paths, storage)

    def _known(self) -> None:
        if not self.paths.mark.exists():
            raise Failure(f"{self.site.name} was never up", "run 'orthweb up' first")

    def _show(self, pair: on_machine.ServerPair) -> None:
        stack = self._stack(pair, _FINISH_SECONDS)
        stack.write()
        running = bool(stack.containers())
        self.voice.say(f"the site {'shows' if running else 'will show'} its new certificate")

    def _make_folders(self) -> None:
        if not self.paths.mark.exists():
            write_mark(self.paths, self.site, COMPOSE)
        for folder in (self.paths.pki, self.paths.secrets, self.paths.config, self.paths.data):
            ensure_folder(folder)

    def _certificate(self) -> on_machine.ServerPair:
        self.voice.step("preparing certificates and passwords")
        pair = on_machine.ensure_server(self.paths, self.site, Callers(), self.voice.say, self.voice.warn)
        on_machine.ensure_internal(self.paths, self.site, Callers())
        return pair

    def _images(self) -> dict[str, str]:
        return {
            "orthanc": self.site.orthanc.image,
            ENVOY: self.site.envoy.image,
            POSTGRESQL: self.site.postgresql.image,
        }

    def _stack(self, pair: on_machine.ServerPair, patience: float) -> Stack:
        return Stack(self._wanted(pair), self._docker, self.voice, nullcontext, patience)

    def _wanted(self, pair: on_machine.ServerPair) -> Wanted:
        site, paths, images = self.site, self.paths, self._images()
        project = project_name(site, paths)
        networks = Networks(kept_block(paths.state / "network", self._docker, project, str(paths.root)))
        storage = site.s3()
        bucket = (
            Bucket(str(storage.endpoint).rstrip("/"), storage.bucket, storage.region, storage.root_path, None, None)
            if storage
            else None
        )
        access, secret = keys(paths, storage) if storage else ("", "")
        versions = image_versions(self._docker, images["orthanc"])
        place = container_place(site, networks, None, bucket, versions, pair.certificate.stem, gate_name())
        for warning in owned_settings(site, place):
            self.voice.warn(warning)
        secrets = Secrets(
            users=ensure_users(paths, site.orthanc.users),
            database=ensure_password(paths, "postgres-orthanc"),
            s3_access_key=access,
            s3_secret_key=secret,
            superuser=ensure_password(paths, "postgres-superuser"),
        )
        host = DockerHost(
            files=PurePosixPath(paths.config),
            data=PurePosixPath(paths.data),
            images=images,
            memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            cpus=os.cpu_count() or 1,
            quick_checks=self._docker.quick_checks(),
            project=project,
            owner=None if os.geteuid() == 0 else (os.getuid(), os.getgid()),
        )
        return Wanted(site, place, networks, host, container_files(site, place, secrets, self._pems(pair)))

    def _pems(self, pair: on_machine.ServerPair) -> dict[str, str]:
        internal = self.paths.pki / "internal"
        names = ["ca.crt", "authorities.crt", "trusted.crt", "orthanc.pem", "envoy.crt", "envoy.key"]
        names += [f"{name}.{kind}" for name in (POSTGRESQL, "orthanc-dicom") for kind in _POSTGRESQL_PARTS]
        return {
            "ca.crt": (self.paths.pki / "ca.crt").read_text(),
            pair.certificate.name: pair.certificate.read_text(),
            pair.key.name: pair.key.read_text(),
            **{f"internal/{name}": (internal / name).read_text() for name in names},
        }


def project_name(site: Site, paths: SitePaths) -> str:
    """The name of a site's Compose project: two folders may hold sites of one name."""
    return f"orthweb-{site.name}-{hashlib.sha256(str(paths.root).encode()).hexdigest()[:6]}"

"""A site in containers, as tests bring it up on an engine and look at it from outside."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pydicom
from engine import Engine
from harness import Done, TestSite
from images import ENVOY, ORTHANC, POSTGRESQL
from traffic import Image


class ContainerSite(TestSite):
    """A site of its own on a Docker host, with the stand-ins for the public images.

    Parameters
    ----------
    becoming:
        What to put before a command to run it as somebody else.
    """

    __test__ = False

    def __init__(self, engine: Engine, folder: Path, becoming: Sequence[str] = ()) -> None:
        super().__init__(folder)
        self.engine, self.host, self._becoming = engine, engine.address, becoming
        self.init()
        # The engine may live in a network namespace: its ports are then found at an address of that.
        near = "[127.0.0.0/8, 198.18.0.0/15]"
        self.describe(f"tls: {{names: [localhost, {self.host}]}}")
        self.describe(f"web: {{allowed_cidrs: {near}}}")
        self.describe(f"dicom: {{allowed_cidrs: {near}}}")
        self.describe(f"orthanc: {{image: '{ORTHANC}', replicas: 2}}")
        self.describe(f"envoy: {{image: '{ENVOY}'}}")
        self.describe(f"postgresql: {{image: '{POSTGRESQL}'}}")

    def orthweb(self, *words: str | Path, **options: Any) -> Done:
        """Run a command on this site, where its engine is."""
        command = (*self._becoming, sys.executable, "-m", "orthweb", "-C", self.folder, *words)
        return self.engine.run(*command, timeout=300, **options)

    def up(self) -> Done:
        """Bring it up; it has to end well."""
        done = self.orthweb("up", "--engine", "compose")
        assert done.status == 0, done.all
        return done

    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine says of each container, by service."""
        project = self._project()
        ids = self.engine.docker("ps", "--all", "--quiet", "--filter", f"label={project}").split()
        told = json.loads(self.engine.docker("inspect", *ids)) if ids else []
        return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in told}

    def ids(self) -> dict[str, str]:
        """The id of each container."""
        return {name: told["Id"] for name, told in self.containers().items()}

    def assert_keeps(self, images: Sequence[Image]) -> None:
        """Every image is there, with the pixels that were sent."""
        lost = {image.orthanc_id for image in images} - set(self.instances())
        assert not lost, f"{len(lost)} of {len(images)} acknowledged images are not there"
        for image in images:
            done = self.engine.run(
                "curl", "--silent", "--fail", "--cacert", self.ca, "--config", "-",
                f"https://localhost:{self.web_port}/instances/{image.orthanc_id}/file", "--output", self.folder / "got",
                input=f'user = "admin:{self.password()}"\n'.encode(),
            )  # fmt: skip
            assert done.status == 0, done.all
            kept = pydicom.dcmread(io.BytesIO((self.folder / "got").read_bytes()))
            assert hashlib.sha256(kept.PixelData).hexdigest() == image.pixels_sha256

    def _project(self) -> str:
        file = json.loads((self.state / "config/compose.json").read_text())
        return f"com.docker.compose.project={file['name']}"


@contextlib.contextmanager
def container_site(engine: Engine, more: str = "") -> Iterator[ContainerSite]:
    """A site in containers that is up while the body runs."""
    with tempfile.TemporaryDirectory(prefix="ow-") as short:
        folder = Path(short, "site")
        folder.mkdir()
        site = ContainerSite(engine, folder)
        if more:
            site.describe(more)
        try:
            site.up()
            yield site
        finally:
            site.orthweb("down", "--drain", "0")
            shutil.rmtree(folder, ignore_errors=True)

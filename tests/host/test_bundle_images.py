"""Container images in a bundle: out of a real engine, and back into one."""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine import Engine
from harness import run

from orthweb.aws.host_bundle import ensure_bundle
from orthweb.errors import InputError
from orthweb.site.load import load_site
from orthweb.site.model import Site
from orthweb.site.paths import SitePaths
from orthweb.site.voice import Voice

pytest_plugins = ("host_fixtures",)

_QUIET = Voice(say=lambda _: None, warn=lambda _: None, step=lambda _: None)


@pytest.fixture
def site(engine: Engine, folder: Path) -> Iterator[Site]:
    """A site on AWS whose bundle holds its images: two small ones of the test's own."""
    images = {use: f"orthweb.test/{use}:bundled-{os.getpid()}" for use in ("orthanc", "envoy")}
    for use, tag in images.items():
        _make(engine, tag, use)
    described = "".join(f"{use}: {{image: '{tag}'}}\n" for use, tag in images.items())
    (folder / "orthweb.yaml").write_text(
        f"name: clinic\n{described}aws: {{region: eu-central-1, hosts: {{bundle_images: true}}}}\n"
    )
    yield load_site(folder)
    engine.docker("rmi", *images.values())


def test_another_engine_takes_the_images_of_a_bundle_and_built_again_it_is_the_same(
    engine: Engine, site: Site, folder: Path
) -> None:
    tags = [site.envoy.image, site.orthanc.image]
    ids = [_id(engine, tag) for tag in tags]
    told, wheels = [], folder / "wheels"
    wheels.mkdir()
    for name in ("one.tar.gz", "two.tar.gz"):
        # The engine's own network may lead nowhere.
        words = ("bundle", "--images", "--json", "--site", folder, "--wheels", wheels)
        command: list[str | Path] = [sys.executable, "-m", "orthweb", *words, "--output", folder / name]
        done = run(command, 120, env={**os.environ, **engine.environment})
        assert done.status == 0, done.all
        told.append(json.loads(done.out)["sha256"])
    assert told[0] == told[1]
    engine.docker("rmi", *tags)
    assert run(["tar", "-xzf", folder / "one.tar.gz", "-C", folder]).status == 0
    for archive in ("envoy.tar", "orthanc.tar"):
        engine.docker("load", "--input", folder / "images" / archive)
    assert [_id(engine, tag) for tag in tags] == ids


def test_what_apply_uploads_holds_the_images_where_the_site_says_so(
    engine: Engine, site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in engine.environment.items():
        monkeypatch.setenv(name, value)
    paths = SitePaths(folder)
    first = ensure_bundle(site, paths, _QUIET)
    with tarfile.open(paths.terraform / first["path"]) as bundle:
        assert {"images/envoy.tar", "images/orthanc.tar", "images/images.json"} <= set(bundle.getnames())
    assert ensure_bundle(site, paths, _QUIET) == first
    _make(engine, site.envoy.image, "another of the same name")
    assert ensure_bundle(site, paths, _QUIET)["sha256"] != first["sha256"]
    monkeypatch.setenv("TF_VAR_DeploymentOptions", '{"EnvoyImg": "envoyproxy/envoy:v1.22.5"}')
    with pytest.raises(InputError, match="TF_VAR_DeploymentOptions: names container images"):
        ensure_bundle(site, paths, _QUIET)


def _make(engine: Engine, tag: str, content: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        about = tarfile.TarInfo("content")
        about.size = len(content)
        archive.addfile(about, io.BytesIO(content.encode()))
    engine.docker("import", "-", tag, input=packed.getvalue())


def _id(engine: Engine, tag: str) -> str:
    return engine.docker("image", "inspect", "--format", "{{.Id}}", tag).strip()

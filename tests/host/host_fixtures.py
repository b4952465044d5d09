"""Fixtures: what one run of the tests of hosts has for itself, and a Docker engine with the stand-in images."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine import Engine, own_engine, running_engine
from ground import Ground, own_ground
from images import ensure_images, images_data
from network import Network
from network import network as make_network


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the time limit of a test count the test alone: the first one makes the images, once on a machine."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            mark = item.get_closest_marker("timeout")
            item.add_marker(pytest.mark.timeout(mark.args[0] if mark else 300, func_only=True), append=False)


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    """What this run has for itself on this machine."""
    with own_ground() as own:
        yield own


@pytest.fixture(scope="session")
def network(ground: Ground) -> Iterator[Network]:
    """A network of the tests' own."""
    with make_network(ground) as made:
        yield made


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """A Docker engine: the one that runs here, or one of the tests' own; it has the stand-in images (`images`)."""
    found = running_engine()
    if found is not None:
        ensure_images(found)
        yield found
        return
    own, net = request.getfixturevalue("ground"), request.getfixturevalue("network")
    with own_engine(own, net, images_data(own, net)) as started:
        yield started


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path, which a running engine's containers can be shown."""
    path = Path(tempfile.mkdtemp(prefix="ow-"))
    yield path
    shutil.rmtree(path)

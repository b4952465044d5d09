"""Fixtures: one site that many tests look at, and folders that the site's unprivileged account can reach."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import TESTS_PACKAGES, TestSite, own_site
from scripted_archive import make_images

_TOOLS = ("Orthanc", "storescu", "echoscu", "findscu", "movescu", "getscu", "curl", "openssl", "tcc")


@pytest.fixture(scope="session", autouse=True)
def _tools() -> None:
    missing = [tool for tool in _TOOLS if shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") is None]
    assert not missing, f"{', '.join(missing)} not installed: {TESTS_PACKAGES}"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: sockets take 107 bytes, and pytest's own folders are long."""
    path = Path(tempfile.mkdtemp(prefix="ow-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def site() -> Iterator[TestSite]:
    """A site that tests may use and must leave as they found it: up, with its configuration."""
    with own_site("shared") as up:
        yield up


@pytest.fixture
def images(folder: Path) -> list[Path]:
    """Forty small CT slices in FOLDER/images."""
    return make_images(folder / "images", 40)

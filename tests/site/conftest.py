"""Fixtures: one site that many tests look at, and folders that the site's unprivileged account can reach."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from harness import TESTS_PACKAGES, TestSite, own_site
from scripted_archive import make_images
from validating import PROVED

_TOOLS = ("Orthanc", "storescu", "echoscu", "findscu", "movescu", "getscu", "faketime", "curl", "openssl", "tcc")


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


@pytest.fixture(scope="session")
def breakable() -> Iterator[TestSite]:
    """A site that tests of `orthweb validate` break, and mend again before they end."""
    with own_site("breakable") as up:
        yield up


@pytest.fixture(autouse=True)
def _twins(request: pytest.FixtureRequest) -> Iterator[None]:
    """See that a test which says that it breaks what a check looks at has seen that check fail."""
    PROVED.clear()
    yield
    mark = request.node.get_closest_marker("twin")
    if mark is not None and request.node.stash.get(_PASSED, False):
        assert set(mark.args) <= PROVED, f"the test did not see {', '.join(set(mark.args) - PROVED)} fail"


_PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember for the fixtures' ends whether the test itself passed."""
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    return report


@pytest.fixture
def images(folder: Path) -> list[Path]:
    """Forty small CT slices in FOLDER/images."""
    return make_images(folder / "images", 40)

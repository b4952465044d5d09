"""Sites on an emulator of AWS that look applied: one for each test, and one that no test changes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulator import Emulator
from made_site import MadeSite, emulator_with_hosts, made_site


@pytest.fixture(scope="module")
def aws_with_hosts() -> Iterator[Emulator]:
    with emulator_with_hosts() as running:
        yield running


@pytest.fixture
def made(aws_with_hosts: Emulator) -> Iterator[MadeSite]:
    with made_site(aws_with_hosts) as site:
        yield site


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="ow-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def steady() -> Iterator[MadeSite]:
    """A site that no test changes."""
    with emulator_with_hosts() as running, made_site(running) as site:
        yield site

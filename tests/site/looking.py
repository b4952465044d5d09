"""Validates in the tests' own process: quick, and of sites that no command line could name."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from harness import TestSite, free_port, serving

from orthweb.local.layout import envoy_binary
from orthweb.local.target import local_target
from orthweb.site.paths import SitePaths
from orthweb.validation import Result, select, validate
from orthweb.validation.target import Target


def of_site(site: TestSite, folder: Path) -> Target:
    """The site as its own `orthweb validate` takes it; the folder takes a device's certificate."""
    return local_target(site.description, SitePaths(site.folder), folder)


def results(site: Target, *checks: str) -> dict[str, Result]:
    """Make these checks, or those of these subjects, and what they need; returns the results by check."""
    return {result.check.id: result for result in validate(site, select(checks)).results}


def closed(site: Target) -> Result:
    """What is said of the ports that must not answer."""
    return results(site, "network.closed")["network.closed"]


@contextlib.contextmanager
def open_administration(folder: Path) -> Iterator[int]:
    """Envoy with its administration open to everybody, as many configurations have it."""
    port = free_port()
    admin = {"admin": {"address": {"socket_address": {"address": "0.0.0.0", "port_value": port}}}}
    (folder / "envoy.json").write_text(json.dumps(admin))
    with serving([envoy_binary(), "--config-path", folder / "envoy.json", "--use-dynamic-base-id"], port):
        yield port

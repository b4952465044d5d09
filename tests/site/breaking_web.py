"""Breaks a running site's proxy and Orthanc servers in the tests, and mends them again."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness import TestSite, eventually
from ruamel.yaml import YAML

from orthweb.local.status import status
from orthweb.site.paths import SitePaths

REPLICAS = ("orthanc-1", "orthanc-2", "orthanc-3")
# Orthanc's Lua server calls it before each request; Orthweb's own script is the same but for the refusal.
_REFUSES = """function IncomingHttpRequestFilter(method, uri, ip, username, httpHeaders)
  return username == 'orthweb-health' or not string.find(uri, '%s', 1, true)
end
"""
# The plugin's script sees each instance before Orthanc stores it.
_CHANGES = """import re
import orthanc

def changed(received, origin):
    return orthanc.ReceivedInstanceAction.MODIFY, %s

orthanc.RegisterReceivedInstanceCallback(changed)
"""


@contextlib.contextmanager
def proxy_changed(
    site: TestSite, change: Callable[[dict[str, Any]], None], without: Sequence[str] = ()
) -> Iterator[None]:
    """While the body runs, the proxy has another configuration; it reaches none of `without`."""

    def edited(text: str) -> str:
        data = YAML(typ="safe").load(text)
        change(data)
        out = io.StringIO()
        YAML(typ="safe").dump(data, out)
        return out.getvalue()

    with _restarting(site, ["envoy"], [(site.state / "config/envoy/envoy.yaml", edited)], without):
        yield


@contextlib.contextmanager
def replicas_changed(
    site: TestSite,
    names: Sequence[str],
    change: Callable[[dict[str, Any]], None],
    file: str = "orthanc.json",
    without: Sequence[str] = (),
) -> Iterator[None]:
    """While the body runs, these Orthanc servers have other options."""

    def edited(text: str) -> str:
        data = json.loads(text)
        change(data)
        return json.dumps(data)

    with _restarting(site, names, [(site.state / "config" / name / file, edited) for name in names], without):
        yield


@contextlib.contextmanager
def requests_refused(site: TestSite, part: str) -> Iterator[None]:
    """While the body runs, a script of every Orthanc server refuses requests whose path has this part."""
    script = site.state / "config/orthanc/health.lua"
    with _restarting(site, REPLICAS, [(script, lambda _: _REFUSES % part)]):
        yield


@contextlib.contextmanager
def instances_changed(site: TestSite, expression: str) -> Iterator[None]:
    """While the body runs, the Orthanc servers change what they receive; `expression` makes it of `received`."""
    script = site.state / "config/orthanc/changed.py"
    script.write_text(_CHANGES % expression)
    script.chmod(0o644)

    def plugged(options: dict[str, Any]) -> None:
        options["Plugins"].append(str(Path(options["Plugins"][0]).with_name("libOrthancPython.so")))
        options["PythonScript"] = str(script)

    try:
        with replicas_changed(site, REPLICAS, plugged):
            yield
    finally:
        script.unlink()


def web_manager(envoy: dict[str, Any]) -> dict[str, Any]:
    """The part of the proxy's configuration that serves HTTPS."""
    chain = web_chains(envoy)[0]
    return dict(chain["filters"][-1])["typed_config"]  # type: ignore[no-any-return]


def web_chains(envoy: dict[str, Any]) -> list[dict[str, Any]]:
    """The filter chains of the web port: HTTPS, and plain HTTP."""
    chains: list[dict[str, Any]] = envoy["static_resources"]["listeners"][0]["filter_chains"]
    return chains


def web_host(envoy: dict[str, Any]) -> dict[str, Any]:
    """The routes of the web port and what they add to answers."""
    host: dict[str, Any] = web_manager(envoy)["route_config"]["virtual_hosts"][0]
    return host


def cluster(envoy: dict[str, Any], name: str) -> dict[str, Any]:
    """A cluster of the proxy's configuration, with the servers in it that Envoy else reads from a file."""
    found: dict[str, Any] = next(one for one in envoy["static_resources"]["clusters"] if one["name"] == name)
    if "eds_cluster_config" in found:
        watched = found.pop("eds_cluster_config")["eds_config"]["path_config_source"]["path"]
        (assignment,) = YAML(typ="safe").load(Path(watched).read_text())["resources"]
        del assignment["@type"]
        found |= {"type": "STATIC", "load_assignment": assignment}
    return found


def serve(site: TestSite, without: Sequence[str] = ()) -> None:
    """Wait until every Orthanc server answers and the proxy uses it; of `without` nothing is expected."""

    def serves() -> bool:
        # Asked in this process: as a command it would take as long as what is waited for.
        now = status(site.description, SitePaths(site.folder))
        replicas = [replica for replica in now["replicas"] if replica["name"] not in without]
        serving = all(one["healthy"] and one["web"] and one["dicom"] for one in replicas)
        return serving and all(listener["open"] for listener in now["listeners"])

    eventually(serves, 40, "the Orthanc servers and the proxy to serve again")


@contextlib.contextmanager
def _restarting(
    site: TestSite,
    services: Sequence[str],
    files: Sequence[tuple[Path, Callable[[str], str]]],
    without: Sequence[str] = (),
) -> Iterator[None]:
    before = {path: path.read_text() for path, _ in files}
    try:
        for path, edited in files:
            path.write_text(edited(before[path]))
        _restart(site, services)
        serve(site, without)
        yield
    finally:
        for path, text in before.items():
            path.write_text(text)
        _restart(site, services)
        serve(site)


def _restart(site: TestSite, services: Sequence[str]) -> None:
    # Killed, they are started again at once; a stop that waits for their sessions would take seconds.
    now = status(site.description, SitePaths(site.folder))
    pids = {entry["name"]: int(entry["pid"]) for entry in now["services"]}
    for service in services:
        assert pids[service], f"{service} is not running"
        os.kill(pids[service], signal.SIGKILL)

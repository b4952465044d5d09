"""Processes die or hang, or all do at once, in the middle of 200 stores: nothing that was acknowledged is lost."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anatomy import alive, family, pids
from harness import TestSite, eventually, own_site
from traffic import Image, Transfer, assert_kept, make_images, replica_names, sending

_IMAGES = 200
_BEFORE_THE_FAULT = 40


@pytest.fixture(scope="module")
def faulty() -> Iterator[TestSite]:
    """A site that the tests of this file damage and find whole again."""
    with own_site("faults") as site:
        yield site


@pytest.fixture
def images(tmp_path: Path) -> list[Image]:
    return make_images(tmp_path, _IMAGES)


def test_a_killed_replica_loses_nothing(faulty: TestSite, images: list[Image]) -> None:
    transfer = _send_and_kill(faulty, images)
    assert transfer.troubles, "nobody felt that the replica died"
    faulty.healthy()
    assert_kept(faulty, images)


def test_a_killed_proxy_loses_nothing(faulty: TestSite, images: list[Image]) -> None:
    processes = pids(faulty)
    transfer = _send_and_kill(faulty, images, "envoy")
    assert transfer.troubles, "nobody felt that Envoy died"
    faulty.healthy()
    assert pids(faulty)["orthanc-1"] == processes["orthanc-1"]
    assert_kept(faulty, images)


def test_a_killed_database_loses_nothing(faulty: TestSite, images: list[Image]) -> None:
    transfer = _send_and_kill(faulty, images, "postgresql", 120)
    assert transfer.troubles, "nobody felt that PostgreSQL died"
    faulty.healthy()
    assert_kept(faulty, images)


def test_a_hung_replica_loses_nothing(faulty: TestSite, images: list[Image]) -> None:
    processes = pids(faulty)
    with sending(faulty, images) as transfer:
        transfer.reach(_BEFORE_THE_FAULT)
        hung = _serving(faulty)
        fault = _hit(processes[hung], signal.SIGSTOP)
        try:
            transfer.finish(120)
            _assert_hit_in_the_middle(transfer, fault)
            assert transfer.troubles, "nobody felt that the replica hung"
            assert not faulty.status()["healthy"]
            others = [name for name in replica_names(faulty) if name != hung]
            assert_kept(faulty, images, others)
        finally:
            os.kill(processes[hung], signal.SIGCONT)
    faulty.healthy()
    assert_kept(faulty, images)


def test_a_killed_supervisor_interrupts_nobody_and_the_next_up_restores_it(
    faulty: TestSite, images: list[Image]
) -> None:
    transfer = _send_and_kill(faulty, images, "supervisor")
    assert transfer.statuses == [0, 0, 0, 0], transfer.troubles
    faulty.up()
    faulty.healthy()
    assert_kept(faulty, images)
    # It holds the processes up again, as before.
    victim = faulty.kill("orthanc-2")
    eventually(lambda: faulty.pid("orthanc-2") not in (0, victim), 20, "the supervisor to restart orthanc-2")
    faulty.healthy()


def test_a_power_cut_loses_nothing(faulty: TestSite, images: list[Image]) -> None:
    supervisor, password = pids(faulty)["supervisor"], _password(faulty)
    kept = _certificates(faulty)
    everything = family(supervisor)
    with sending(faulty, images, retry=False) as transfer:
        transfer.reach(_BEFORE_THE_FAULT)
        fault = time.monotonic()
        # The supervisor first, so that it restarts nothing.
        for pid in family(supervisor):
            os.kill(pid, signal.SIGKILL)
        transfer.finish()
    eventually(lambda: not any(map(alive, everything)), 10, "everything to be dead")
    assert 0 < len(transfer.acknowledged) < _IMAGES
    assert transfer.acknowledged_after(fault + 1) == 0
    faulty.up()
    faulty.healthy()
    assert_kept(faulty, [*transfer.acknowledged])
    assert _password(faulty) == password
    assert _certificates(faulty) == kept
    # What was not acknowledged is sent again and arrives.
    rest = [image for image in images if image not in transfer.acknowledged]
    with sending(faulty, rest) as again:
        again.finish()
    assert again.complete
    assert_kept(faulty, images)


def _send_and_kill(site: TestSite, images: list[Image], victim: str | None = None, limit: float = 60) -> Transfer:
    """Kill `victim`, or the replica that serves most, in the middle of a transfer; everything arrives all the same."""
    processes = pids(site)
    with sending(site, images) as transfer:
        transfer.reach(_BEFORE_THE_FAULT)
        fault = _hit(processes[victim or _serving(site)])
        transfer.finish(limit)
    _assert_hit_in_the_middle(transfer, fault)
    return transfer


def _assert_hit_in_the_middle(transfer: Transfer, fault: float) -> None:
    assert transfer.complete, f"{len(transfer.acknowledged)} of {_IMAGES} acknowledged: {transfer.troubles}"
    after = transfer.acknowledged_after(fault)
    assert 0 < after <= _IMAGES - _BEFORE_THE_FAULT


def _hit(pid: int, how: signal.Signals = signal.SIGKILL) -> float:
    os.kill(pid, how)
    return time.monotonic()


def _serving(site: TestSite) -> str:
    """The replica that carries the most associations right now."""
    from orthweb.render.envoy_clusters import DICOM_CLUSTER
    from orthweb.running.probe import envoy_admin

    answer = json.loads(envoy_admin(site.state / "run/envoy.sock", "/clusters?format=json") or "{}")
    cluster = next(entry for entry in answer["cluster_statuses"] if entry["name"] == DICOM_CLUSTER)
    active = {
        host["address"]["socket_address"]["port_value"]: _gauge(host, "cx_active") for host in cluster["host_statuses"]
    }
    ports = json.loads((site.state / "ports.json").read_text())
    serving = max(replica_names(site), key=lambda name: active[ports[f"{name}/dicom"]])
    assert active[ports[f"{serving}/dicom"]], "no association is open"
    return serving


def _gauge(host: dict[str, Any], name: str) -> int:
    return int(next(stat.get("value", 0) for stat in host["stats"] if stat["name"] == name))


def _certificates(site: TestSite) -> dict[str, bytes]:
    """Every certificate and key of the site."""
    return {str(path): path.read_bytes() for path in sorted((site.state / "pki").rglob("*")) if path.is_file()}


def _password(site: TestSite) -> str:
    return site.orthweb("password", "admin").out

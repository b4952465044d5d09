"""Lets associations in flight finish before the proxy stops."""

from __future__ import annotations

import json
import time
from pathlib import Path

from orthweb.local.probe import envoy_admin


def drain(admin: Path, limit: float) -> None:
    """Close the listeners for newcomers, then wait until connections are gone or carry nothing any more.

    Parameters
    ----------
    admin:
        Envoy's administration socket.
    limit:
        Seconds to wait at the most.
    """
    if envoy_admin(admin, "/drain_listeners", method="POST") is None:
        return
    end = time.monotonic() + limit
    before = None
    while time.monotonic() < end:
        active, moved = _traffic(admin)
        # Idle associations may stay for hours: only one that moves bytes is worth waiting for.
        if active == 0 or moved == before:
            return
        before = moved
        time.sleep(0.5)


def _traffic(admin: Path) -> tuple[int, int]:
    """Connections to the Orthanc servers' DICOM ports, and bytes that went through since the start."""
    answer = envoy_admin(admin, "/stats?format=json&filter=^tcp\\.dicom")
    if answer is None:
        return 0, 0
    stats = {entry["name"]: entry.get("value", 0) for entry in json.loads(answer)["stats"] if "name" in entry}
    active = sum(value for name, value in stats.items() if name.endswith("downstream_cx_total"))
    moved = sum(value for name, value in stats.items() if name.endswith(("rx_bytes_total", "tx_bytes_total")))
    return active, moved

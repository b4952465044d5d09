"""Lets associations in flight finish before the proxy stops."""

from __future__ import annotations

import json
import time
from pathlib import Path

from orthweb.running.probe import envoy_admin

_QUIET_SECONDS = 2
_OPEN = ("orthanc-dicom.upstream_cx_active", "web.downstream_rq_active")
_MOVED = ("downstream_cx_rx_bytes_total", "downstream_cx_tx_bytes_total")


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
    before, quiet = -1, 0.0
    while (now := time.monotonic()) < end:
        active, moved = _traffic(admin)
        if moved != before:
            before, quiet = moved, now + _QUIET_SECONDS
        # Idle associations may stay for hours: only one that moves bytes is worth waiting for.
        if active == 0 or now >= quiet:
            return
        time.sleep(0.1)


def _traffic(admin: Path) -> tuple[int, int]:
    """Associations and web requests that are open, and bytes that went through both ports since the start."""
    answer = envoy_admin(admin, "/stats?format=json&filter=^(tcp\\.dicom|http\\.web|cluster\\.orthanc-dicom)")
    if answer is None:
        return 0, 0
    stats = {entry["name"]: entry.get("value", 0) for entry in json.loads(answer)["stats"] if "name" in entry}
    active = sum(value for name, value in stats.items() if name.endswith(_OPEN))
    moved = sum(value for name, value in stats.items() if name.endswith(_MOVED))
    return active, moved

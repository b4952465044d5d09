"""Ingest through the TLS site beside one bare Orthanc on the same PostgreSQL: `python bench/ingest.py`.

Both take the same 512 slices from DCMTK's storescu at 1, 4 and 8 associations, in turn, in one run. The figure is the
ratio of their rates; the target is 0.75 at 1 association, 0.9 at 4 and 1.0 at 8.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchsite import BareOrthanc, BenchSite
from slices import make_slices

_ENVIRONMENT = {"PATH": os.environ["PATH"], "TCP_NODELAY": "1"}


def send(command: Sequence[str], files: Sequence[Path], associations: int) -> float:
    """Send `files` over parallel associations; returns instances a second."""
    shares = [files[number::associations] for number in range(associations)]
    started = time.perf_counter()
    senders = [
        subprocess.Popen([*command, *map(str, share)], env=_ENVIRONMENT, stdout=subprocess.DEVNULL) for share in shares
    ]
    statuses = [sender.wait() for sender in senders]
    if any(statuses):
        raise SystemExit(f"storescu ended with {statuses}")
    return len(files) / (time.perf_counter() - started)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=512)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--associations", type=int, nargs="+", default=[1, 4, 8])
    options = arguments.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="orthweb-bench-"))
    os.chmod(scratch, 0o711)
    rates: dict[int, dict[str, list[float]]] = {}
    try:
        with BenchSite(scratch / "site") as site, BareOrthanc(scratch / "bare", site) as bare:
            for associations in options.associations:
                kept = rates.setdefault(associations, {"site": [], "bare": []})
                for _ in range(options.rounds):
                    for name, command in (("bare", bare.storescu), ("site", site.storescu)):
                        files = make_slices(scratch / "slices", options.count)
                        kept[name].append(send(command, files, associations))
                        print(
                            f"{associations} associations, {name}: {kept[name][-1]:.0f} instances/s",
                            flush=True,
                        )
    finally:
        shutil.rmtree(scratch)
    result = {}
    for associations, kept in rates.items():
        ratios = [ours / theirs for ours, theirs in zip(kept["site"], kept["bare"], strict=True)]
        result[associations] = {
            "site": round(statistics.median(kept["site"])),
            "bare": round(statistics.median(kept["bare"])),
            "ratio": round(statistics.median(ratios), 2),
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

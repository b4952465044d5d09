"""Ingest through the TLS site beside one bare Orthanc on the same PostgreSQL: `python bench/ingest.py`.

Both take the same 512 slices from DCMTK's storescu at 1, 4 and 8 associations, in turn, in one run. The figure is the
ratio of their rates; the target is 0.75 at 1 association, 0.9 at 4 and 1.0 at 8.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
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


def options(about: str | None) -> argparse.Namespace:
    """What to send, and how often, from the command line."""
    arguments = argparse.ArgumentParser(description=about)
    arguments.add_argument("--count", type=int, default=512)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--associations", type=int, nargs="+", default=[1, 4, 8])
    return arguments.parse_args()


def compare(contenders: Mapping[str, Sequence[str]], chosen: argparse.Namespace, scratch: Path) -> None:
    """Send to two contenders in turn, and print their rates and the ratio of the second's to the first's.

    Parameters
    ----------
    contenders:
        The commands that store, up to the files.
    scratch:
        A folder for the slices.
    """
    peer, ours = contenders
    result = {}
    for associations in chosen.associations:
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(chosen.rounds):
            for name, command in contenders.items():
                files = make_slices(scratch / "slices", chosen.count)
                rates[name].append(send(command, files, associations))
                print(f"{associations} associations, {name}: {rates[name][-1]:.0f} instances/s", flush=True)
        ratios = [our / their for our, their in zip(rates[ours], rates[peer], strict=True)]
        medians = {name: round(statistics.median(rate)) for name, rate in rates.items()}
        result[associations] = {**medians, "ratio": round(statistics.median(ratios), 2)}
    print(json.dumps(result, indent=2))


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that other accounts may pass through, as long as the body runs."""
    scratch = Path(tempfile.mkdtemp(prefix="orthweb-bench-"))
    os.chmod(scratch, 0o711)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch)


def main() -> None:
    chosen = options(__doc__)
    with scratch_folder() as scratch, BenchSite(scratch / "site") as site, BareOrthanc(scratch / "bare", site) as bare:
        compare({"bare": bare.storescu, "site": site.storescu}, chosen, scratch)


if __name__ == "__main__":
    main()

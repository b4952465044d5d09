"""`orthweb validate` on a site of this machine: `python bench/validation.py`.

The whole command as a person calls it, start included: all checks, without the transfer-syntax sweep, and `--quick`,
which leaves out the wait for the site to hang up on a silent handshake as well. The targets are 10 s for all and 3 s
without the sweep. Beside them, in the same run, what the command needs to do nothing: `orthweb validate --list`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchsite import ORTHWEB, BenchSite

WAYS = {
    "all": [],
    "without_sweep": ["--skip", "dicom.transfer-syntaxes"],
    "quick": ["--quick"],
    "list": ["--list"],
}


def timed(folder: Path, words: list[str]) -> float:
    """Run the command once; returns seconds."""
    started = time.perf_counter()
    subprocess.run([*ORTHWEB, "-C", str(folder), "validate", *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def slowest(folder: Path, count: int) -> dict[str, float]:
    """The checks that took longest in one run, with their seconds."""
    command = [*ORTHWEB, "-C", str(folder), "validate", "--json"]
    checks = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["checks"]
    by_time = sorted(checks, key=lambda check: -check["seconds"])
    return {check["id"]: round(check["seconds"], 2) for check in by_time[:count]}


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    rounds = arguments.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="ow-bench-") as scratch:
        # The unprivileged account of the site has to pass here.
        Path(scratch).chmod(0o755)
        with BenchSite(Path(scratch, "site")) as site:
            times: dict[str, list[float]] = {way: [] for way in WAYS}
            for _ in range(rounds):
                for way, words in WAYS.items():
                    times[way].append(timed(site.folder, words))
            figures = {f"{way}_s": round(statistics.median(seconds), 2) for way, seconds in times.items()}
            print(json.dumps({**figures, "slowest": slowest(site.folder, 5)}, indent=2))


if __name__ == "__main__":
    main()

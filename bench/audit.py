"""`orthweb audit` of a large site: `python bench/audit.py`, as root.

A site of its own gets a million rows and as many empty objects. Rows a second when sizes are compared (the target is
20,000), beside `find`, which only lists the objects and their sizes; and the peak memory of the command (under 200 MB),
also when every object is missing, and with a bucket. The bucket's server is a stand-in that makes up its lists: it is
there for the memory, and says nothing about speed. Then objects of 0.5 MB, none of them in the memory: MB a second when
MD5s are compared, beside `cat` and `md5sum`, in turn; the figure is the ratio to `cat` (the target is 1.0).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from audit_site import Storage, bucket_of_lists, evict, fill, forget, make_objects
from benchsite import ORTHWEB, BenchSite

_MOST_BYTES = 4096


def run(command: Sequence[str], status: int = 0) -> tuple[float, float, bytes]:
    """Run a command; returns seconds, its peak memory in MB, and the beginning of what it printed."""
    started, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output)
        # What wait4 tells of the peak is not less than the memory of this process, which has forked it.
        while process.poll() is None:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                told = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
                peak = max(peak, int(told[1]) if told else 0)
            time.sleep(0.005)
        seconds = time.perf_counter() - started
        if process.returncode != status:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
        output.seek(0)
        return seconds, peak / 1024, output.read(_MOST_BYTES)


def audited(site: BenchSite, *words: str, status: int = 0) -> tuple[float, float, dict[str, Any]]:
    """Audit the site; returns seconds, peak memory in MB, and its figures."""
    seconds, memory, printed = run([*ORTHWEB, "-C", str(site.folder), "audit", "--json", *words], status)
    # A million findings are left out.
    return seconds, memory, json.loads(printed.partition(b',\n  "findings"')[0] + b"}")


def sizes(site: BenchSite, objects: Path, rows: int, rounds: int) -> dict[str, object]:
    """Compare sizes beside `find`."""
    ours: list[float] = []
    theirs: list[float] = []
    memory = 0.0
    for _ in range(rounds):
        theirs.append(rows / run(["find", str(objects), "-type", "f", "-printf", "%f %s\n"])[0])
        seconds, peak, told = audited(site)
        assert told["rows"] == told["objects"] == rows
        assert told["good"], told
        ours.append(rows / seconds)
        memory = max(memory, peak)
        print(f"sizes: {ours[-1]:.0f} rows/s, find {theirs[-1]:.0f}, {peak:.0f} MB", flush=True)
    return {
        "rows_per_second": round(statistics.median(ours)),
        "find_per_second": round(statistics.median(theirs)),
        "memory_mb": round(memory),
    }


def memory(site: BenchSite, objects: Path, scratch: Path, rows: int) -> dict[str, object]:
    """Measure the peak memory when all is missing, and with a bucket of a million."""
    away = objects.with_name("away")
    objects.rename(away)
    objects.mkdir(mode=0o700)
    try:
        seconds, lost, told = audited(site, status=1)
        assert told["missing"] == rows
        print(f"all missing: {lost:.0f} MB, {seconds:.0f} s", flush=True)
    finally:
        objects.rmdir()
        away.rename(objects)
    with bucket_of_lists(site.folder, scratch, rows):
        seconds, bucket, told = audited(site)
        assert told["rows"] == told["objects"] == rows
        assert told["good"], told
        print(f"bucket: {bucket:.0f} MB, {rows / seconds:.0f} rows/s", flush=True)
    return {"all_missing_mb": round(lost), "bucket_mb": round(bucket)}


def md5s(site: BenchSite, paths: Sequence[Path], size: int, scratch: Path, rounds: int) -> dict[str, object]:
    """Compare MD5s beside `cat` and `md5sum`, each of which reads the objects from the disk."""
    total = len(paths) * size / 1e6
    names = scratch / "names"
    names.write_bytes(b"\0".join(os.fsencode(path) for path in paths))
    ways: dict[str, Callable[[], float]] = {
        "cat": lambda: run(["xargs", "--null", "--arg-file", str(names), "cat"])[0],
        "md5sum": lambda: run(["xargs", "--null", "--arg-file", str(names), "md5sum"])[0],
        "audit": lambda: audited(site, "--md5", "--rate", "0")[0],
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            evict(paths)
            rates[name].append(total / way())
            print(f"{name}: {rates[name][-1]:.0f} MB/s", flush=True)
    ratios = [ours / cat for ours, cat in zip(rates["audit"], rates["cat"], strict=True)]
    return {name: round(statistics.median(kept)) for name, kept in rates.items()} | {
        "ratio_to_cat": round(statistics.median(ratios), 2)
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--objects", type=int, default=4000, help="of 0.5 MB, for MD5s")
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="orthweb-bench-"))
    os.chmod(scratch, 0o711)
    result: dict[str, object] = {}
    try:
        with BenchSite(scratch / "site") as site:
            objects = site.folder / ".orthweb/data/dicom"
            small = Storage(options.rows, 0)
            fill(site.folder, small)
            make_objects(objects, small)
            result["sizes"] = sizes(site, objects, options.rows, options.rounds)
            result["memory"] = memory(site, objects, scratch, options.rows)
            forget(site.folder, objects)
            large = Storage(options.objects, 1 << 19)
            fill(site.folder, large)
            paths = make_objects(objects, large)
            result["md5"] = md5s(site, paths, large.size, scratch, options.rounds)
    finally:
        shutil.rmtree(scratch)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

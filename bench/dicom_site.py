"""`orthweb send` beside `storescu` through a whole site, and what idle associations cost: `python bench/dicom_site.py`.

Both send 256 CT slices of 0.5 MB to the same site, on as many associations, in turn, in one run. What the commands take
to start and to send one slice is measured as well and taken off. The target: at least storescu's rate. Then 200
associations to Orthweb's receiver say nothing for ten seconds; the figure is its processor time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from benchsite import ORTHWEB, BenchSite
from slices import make_slices
from transfer_parts import orthweb_receiver, timed

from orthweb.dicom.requestor import Peer, Requestor
from orthweb.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION


def through(site: BenchSite, scratch: Path, count: int, associations: int, rounds: int) -> dict[str, float]:
    """Send through a site with both; returns instances a second."""
    rates: dict[str, list[float]] = {"storescu": [], "orthweb": []}
    for _ in range(rounds):
        for name, kept in rates.items():
            files = [str(path) for path in make_slices(scratch / "slices", count)]
            if name == "storescu":
                command, shares = site.storescu, [files[number::associations] for number in range(associations)]
            else:
                many = ["--associations", str(associations)]
                command, shares = [*ORTHWEB, "-C", str(site.folder), "send", *many], [files]
            start, _ = timed([[*command, share[0]] for share in shares], scratch)
            took, _ = timed([[*command, *share] for share in shares], scratch)
            kept.append((count - len(shares)) / (took - start))
    ratios = [ours / theirs for ours, theirs in zip(rates["orthweb"], rates["storescu"], strict=True)]
    medians = {name: round(statistics.median(values), 1) for name, values in rates.items()}
    return {**medians, "ratio": round(statistics.median(ratios), 2)}


def idle(associations: int, seconds: float) -> float:
    """Processor seconds that a receiver takes for associations that say nothing."""
    with orthweb_receiver("null") as receiver, contextlib.ExitStack() as stack:
        peer = Peer("127.0.0.1", receiver.port, "ANY")
        for _ in range(associations):
            stack.enter_context(Requestor(peer, [(VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,))]))
        before = receiver.processor_seconds()
        time.sleep(seconds)
        return receiver.processor_seconds() - before


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=256)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--associations", type=int, nargs="+", default=[1, 4])
    options = arguments.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="orthweb-bench-"))
    os.chmod(scratch, 0o711)
    try:
        result: dict[str, object] = {"200 idle associations for 10 s, processor s": round(idle(200, 10), 3)}
        with BenchSite(scratch / "site") as site:
            for number in options.associations:
                measured = through(site, scratch, options.count, number, options.rounds)
                result[f"through the site, {number} at once"] = measured
    finally:
        shutil.rmtree(scratch)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

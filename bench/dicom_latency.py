"""How well `orthweb send` fills a line with 40 ms of round trip: `python bench/dicom_latency.py`, as root.

A receiver that keeps nothing stands in a network namespace at the end of a line of 20 ms each way and 1 Gbit/s. The
same CT slices of 0.5 MB are sent with the number of associations that `send` chooses, and with 1, 4, 8 and 16. The
target: the chosen one reaches 0.8 of what 16 reach. Beside it, what it takes to set up an association without the line.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from delay_line import FAR, delay_line
from slices import make_slices
from transfer_parts import ENVIRONMENT, Receiver, orthweb_receiver

from orthweb.dicom.requestor import Peer, Requestor
from orthweb.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION


def rate(near: str, receiver: Receiver, files: list[Path], associations: int | None, state: Path) -> tuple[float, int]:
    """Send; returns instances a second by the command's own clock, and how many associations it used."""
    many = [] if associations is None else ["--associations", str(associations)]
    to = ["--plain", "--to", f"{FAR}:{receiver.port}", "--called", "ANY", "--json"]
    command = ["ip", "netns", "exec", near, sys.executable, "-m", "orthweb", "send", *to, *many, *map(str, files)]
    environment = {**ENVIRONMENT, "XDG_STATE_HOME": str(state), "HOME": str(state)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    summary = json.loads(done.stdout)
    return len(files) / summary["seconds"], summary["associations"]


def setup_seconds(rounds: int) -> float:
    """Seconds from nothing to an established association on loopback."""
    times = []
    with orthweb_receiver("null") as receiver:
        peer = Peer("127.0.0.1", receiver.port, "ANY")
        for _ in range(rounds):
            started = time.perf_counter()
            with Requestor(peer, [(VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,))]):
                times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=400)
    arguments.add_argument("--round-trip", type=float, default=40, help="in milliseconds")
    options = arguments.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="orthweb-bench-", dir="/dev/shm"))
    result: dict[str, object] = {"association set-up, ms": round(setup_seconds(200) * 1000, 2)}
    try:
        files = make_slices(scratch / "slices", options.count)
        one_way = options.round_trip / 2000
        with delay_line(one_way, 1e9) as (near, far), orthweb_receiver("null", namespace=far, host=FAR) as receiver:
            rates = {number: rate(near, receiver, files, number, scratch)[0] for number in (1, 4, 8, 16)}
            chosen, number = rate(near, receiver, files, None, scratch)
        result["instances/s"] = {str(key): round(value) for key, value in rates.items()}
        result["chosen"] = {"associations": number, "instances/s": round(chosen), "of 16": round(chosen / rates[16], 2)}
    finally:
        shutil.rmtree(scratch)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

"""`orthweb send` beside DCMTK's `storescu`, into one receiver that keeps nothing: `python bench/dicom_send.py`.

Both send the same 300 CT slices of 0.5 MB on one association, plain and over mutual TLS, in turn, in one run. What a
process takes to start and to send one slice is measured as well and taken off, from both. The targets: 1.5 times
storescu's rate plain, 1.1 times over TLS, and less processor time a gigabyte.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
from pathlib import Path

from slices import make_slices
from transfer_parts import certificates, orthweb_receiver, orthweb_send, storescu, timed


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=300)
    arguments.add_argument("--rounds", type=int, default=7)
    options = arguments.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="orthweb-bench-", dir="/dev/shm"))
    result = {}
    try:
        files = [str(path) for path in make_slices(scratch / "slices", options.count)]
        gigabytes = sum(Path(file).stat().st_size for file in files[1:]) / 1e9
        (scratch / "tls").mkdir()
        keys = certificates(scratch / "tls")
        for tls in (None, keys):
            with orthweb_receiver("null", tls) as receiver:
                senders = {"storescu": storescu(receiver.port, tls), "orthweb": orthweb_send(receiver.port, tls)}
                rates: dict[str, list[float]] = {name: [] for name in senders}
                burnt: dict[str, list[float]] = {name: [] for name in senders}
                for _ in range(options.rounds):
                    for name, command in senders.items():
                        one = timed([[*command, files[0]]], scratch)
                        whole = timed([[*command, *files]], scratch)
                        rates[name].append((options.count - 1) / (whole[0] - one[0]))
                        burnt[name].append((whole[1] - one[1]) / gigabytes)
            ratios = [ours / theirs for ours, theirs in zip(rates["orthweb"], rates["storescu"], strict=True)]
            result["mutual TLS" if tls else "plain"] = {
                "instances/s": {name: round(statistics.median(values)) for name, values in rates.items()},
                "ratio": round(statistics.median(ratios), 2),
                "processor s/GB": {name: round(statistics.median(values), 2) for name, values in burnt.items()},
            }
    finally:
        shutil.rmtree(scratch)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

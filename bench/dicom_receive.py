"""Orthweb's receiver beside DCMTK's `storescp +B`, both into memory: `python bench/dicom_receive.py`.

The same 300 CT slices of 0.5 MB come from `storescu` on one association and on four, and from `orthweb send` on four,
which leaves more of the machine to the receiver; then a multi-frame image of 200 MB. What the senders take to start and
to send one slice is measured as well and taken off. Last, the memory that the receiver takes for an image of 3 GB. The
targets: 1.2 times the rate of storescp at one association, 1.5 at four, 1.3 with the multi-frame image; under 40 MB.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file
from pydicom.uid import EnhancedCTImageStorage
from slices import make_slices
from transfer_parts import Receiver, orthweb_receiver, orthweb_send, storescp, storescu, timed

Sender = Callable[[int], list[str]]
RECEIVERS: dict[str, Callable[[Path], AbstractContextManager[Receiver]]] = {
    "storescp": storescp,
    "orthweb": orthweb_receiver,
}


def multi_frame(path: Path, size: int) -> Path:
    """Write a multi-frame image with `size` bytes of pixels; the file is sparse."""
    template = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    template.SOPClassUID = template.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    template.Rows = template.Columns = 512
    template.NumberOfFrames = size // (512 * 512 * 2)
    template.PixelData = b""
    del template.DataSetTrailingPadding
    template.save_as(path)
    with path.open("r+b") as file:
        file.seek(-4, 2)
        file.write(size.to_bytes(4, "little"))
        file.truncate(file.tell() + size)
    return path


def rate(receiver: str, sender: Sender, files: Sequence[str], associations: int, scratch: Path) -> float:
    """Send the files over so many associations at once; returns files a second."""
    folder = scratch / "received"
    folder.mkdir()
    shares = [files[number::associations] for number in range(associations)]
    with RECEIVERS[receiver](folder) as port:
        command = sender(port.port)
        start, _ = timed([[*command, share[0]] for share in shares], scratch) if len(files) > associations else (0, 0)
        took, _ = timed([[*command, *share] for share in shares], scratch)
    came = len(list(folder.iterdir()))
    shutil.rmtree(folder)
    if came != len(files):
        raise SystemExit(f"{receiver} has {came} files of {len(files)}")
    return (len(files) - associations) / (took - start) if start else len(files) / took


def compare(sender: Sender, files: Sequence[str], associations: int, rounds: int, scratch: Path) -> dict[str, float]:
    """Measure both receivers in turn."""
    rates: dict[str, list[float]] = {name: [] for name in RECEIVERS}
    for _ in range(rounds):
        for name in RECEIVERS:
            rates[name].append(rate(name, sender, files, associations, scratch))
    ratios = [ours / theirs for ours, theirs in zip(rates["orthweb"], rates["storescp"], strict=True)]
    medians = {name: round(statistics.median(values), 1) for name, values in rates.items()}
    return {**medians, "ratio": round(statistics.median(ratios), 2)}


def measurements(options: argparse.Namespace, scratch: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Every comparison, as its name and its figures."""
    files = [str(path) for path in make_slices(scratch / "slices", options.count)]
    for associations in (1, 4):
        name = f"storescu, {associations} association{'s' if associations > 1 else ''}"
        yield name, compare(storescu, files, associations, options.rounds, scratch)
    yield "orthweb send, 4 associations", compare(orthweb_send, files, 4, options.rounds, scratch)
    big = str(multi_frame(scratch / "200.dcm", 200 << 20))
    yield "storescu, 200 MB", compare(storescu, [big], 1, options.rounds, scratch)
    huge = str(multi_frame(scratch / "3000.dcm", 3 << 30))
    folder = scratch / "received"
    folder.mkdir()
    with orthweb_receiver(folder) as receiver:
        timed([[*orthweb_send(receiver.port), huge]], scratch)
    yield "3 GB", receiver.used


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=300)
    arguments.add_argument("--rounds", type=int, default=7)
    scratch = Path(tempfile.mkdtemp(prefix="orthweb-bench-", dir="/dev/shm"))
    try:
        print(json.dumps(dict(measurements(arguments.parse_args(), scratch)), indent=2))
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()

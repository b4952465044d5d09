"""Looks for bytes that break the DICOM parser, with coverage guidance: `make fuzz`.

usage: dicom.py TARGET SECONDS

What is found is kept in tests/fuzz/found/TARGET/, where the unit tests replay it; the corpus is in build/fuzz/TARGET/.
Exit status: 0 nothing found, 2 the command line is wrong or atheris is missing, another when a defect was found.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

try:
    import atheris
except ImportError:
    print("fuzzing needs atheris, which has wheels for Linux on x86-64 only", file=sys.stderr)
    sys.exit(2)

with atheris.instrument_imports(include=["orthweb.dicom"]):
    from dicom_oracle import TARGETS
    from dicom_seeds import seeds

FOUND = Path(__file__).resolve().parent / "found"
CORPUS = Path(__file__).resolve().parents[2] / "build" / "fuzz"
LONGEST_INPUT = 16384
MEMORY_MEGABYTES = 512
INPUT_SECONDS = 5


def prepared(target: str) -> Path:
    """Write the seeds into the corpus that is there already."""
    corpus = CORPUS / target
    corpus.mkdir(parents=True, exist_ok=True)
    for data in seeds(target):
        (corpus / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)
    return corpus


def fuzz(target: str, seconds: int) -> None:
    """Fuzz one target; ends the process."""
    kept = FOUND / target
    kept.mkdir(parents=True, exist_ok=True)
    run: Callable[[bytes], None] = TARGETS[target]
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST_INPUT}",
        f"-timeout={INPUT_SECONDS}",
        f"-rss_limit_mb={MEMORY_MEGABYTES}",
        f"-artifact_prefix={kept}/",
        "-len_control=0",
        "-verbosity=0",
        "-print_final_stats=1",
    ]
    print(f"Fuzzing {target} for {seconds} s", flush=True)
    atheris.Setup([sys.argv[0], *options, str(prepared(target))], run)
    atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in TARGETS or not sys.argv[2].isdigit():
        print(f"usage: {sys.argv[0]} {'|'.join(TARGETS)} SECONDS", file=sys.stderr)
        sys.exit(2)
    fuzz(sys.argv[1], int(sys.argv[2]))

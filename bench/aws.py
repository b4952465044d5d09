"""`orthweb plan` and `apply` beside Terraform alone, on the same emulator of AWS: `python bench/aws.py`.

It needs the emulator of the tests: PYTHONPATH=tests/site:tests/terraform. The targets: each costs under 3 s more than
Terraform. Plans are taken in turn; an apply, which waits minutes inside the provider, once each, from nothing, in the
same folder. The emulator is no AWS: it answers at once, and makes a database in a minute and a half.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import tools
from emulator import AwsSite, aws_site, emulator
from harness import ORTHWEB


def seconds(command: Sequence[str | Path], site: AwsSite, folder: Path) -> float:
    """Time a command; what it says is shown when it fails."""
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=site.environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return time.perf_counter() - began


def plans(site: AwsSite, rounds: int) -> dict[str, float]:
    """Time plans in turn."""
    ours, theirs = [], []
    # The first one prepares the folder for both.
    seconds([*ORTHWEB, "plan"], site, site.folder)
    for _ in range(rounds):
        ours.append(seconds([*ORTHWEB, "plan"], site, site.folder))
        theirs.append(seconds([tools.terraform(), "plan", "-input=false", "-out=alone"], site, site.terraform))
        print(f"plan: orthweb {ours[-1]:.1f} s, terraform {theirs[-1]:.1f} s", flush=True)
    return compared("plan", statistics.median(ours), statistics.median(theirs))


def applies(site: AwsSite) -> dict[str, float]:
    """Time an apply from nothing, with ours first; both begin with a plan."""
    ours = seconds([*ORTHWEB, "apply", "--yes", "--no-wait"], site, site.folder)
    site.emulator.reset()
    (site.terraform / "terraform.tfstate").unlink()
    plan = seconds([tools.terraform(), "plan", "-input=false", "-out=alone"], site, site.terraform)
    theirs = plan + seconds([tools.terraform(), "apply", "-input=false", "alone"], site, site.terraform)
    return compared("apply", ours, theirs)


def compared(name: str, ours: float, theirs: float) -> dict[str, float]:
    """Our seconds beside Terraform's."""
    return {
        f"{name}_seconds": round(ours, 1),
        f"{name}_alone_seconds": round(theirs, 1),
        f"{name}_more_seconds": round(ours - theirs, 1),
        f"{name}_ratio": round(ours / theirs, 2),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ow-") as folder, emulator() as aws:
        site = aws_site(Path(folder), aws)
        print(json.dumps({**plans(site, options.rounds), **applies(site)}, indent=2))


if __name__ == "__main__":
    main()

"""Installs another bundle beside the one that runs, and makes it the host's own.

What `orthweb-boot` does at the first boot, when there is no Orthweb yet.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from orthweb.errors import Failure
from orthweb.host.cloud import Cloud
from orthweb.host.values import Bundle

HOME = Path("/opt/orthweb")
_CURRENT = "current"


def running_bundle(home: Path = HOME) -> str | None:
    """The SHA-256 of the bundle that this process is of; None where it is of none."""
    environment = Path(sys.prefix)
    return environment.name if environment.parent == home else None


def install(cloud: Cloud, bundle: Bundle, home: Path = HOME) -> Path:
    """Install a bundle into an environment of its own; gives that environment.

    Raises
    ------
    Failure
        It cannot be fetched, has another SHA-256, or does not install; what was there is as it was.
    """
    environment = home / bundle.sha256
    with tempfile.TemporaryDirectory(prefix=".new.", dir=home) as scratch:
        work = Path(scratch)
        content = cloud.object(bundle.key)
        if hashlib.sha256(content).hexdigest() != bundle.sha256:
            raise Failure(f"{bundle.key}: has another SHA-256 than the site says, and is refused")
        (work / "bundle").write_bytes(content)
        with tarfile.open(work / "bundle") as packed:
            packed.extractall(work, filter="data")
        _run([sys.executable, "-m", "venv", "--clear", str(environment)])
        pip = [str(environment / "bin/python"), "-m", "pip", "--no-input", "--disable-pip-version-check", "install"]
        options = ["--quiet", "--no-index", "--no-deps", "--require-hashes", "--find-links", str(work / "wheels")]
        _run([*pip, *options, "--requirement", str(work / "requirements.txt")])
        if (work / "images").exists():
            shutil.move(work / "images", environment / "images")
    return environment


def adopt(environment: Path, home: Path = HOME) -> None:
    """Make an environment the one that the host runs from now on, also after a boot."""
    new = home / f".{_CURRENT}.new"
    new.unlink(missing_ok=True)
    new.symlink_to(environment.name)
    os.replace(new, home / _CURRENT)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise Failure(f"the bundle cannot be installed: {(lines or ['no reason was given'])[-1]}")

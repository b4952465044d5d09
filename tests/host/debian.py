"""Debian's packages and base systems for the tests: from its mirror, verified by its keys, kept for the next run."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from ground import CACHE, SYSTEM_PATH, alone, forget_older, in_use, sh
from harness import TESTS_PACKAGES

SUITE = "trixie"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_COMPONENTS = "main"
# Files there are thrown away: nothing has to survive a power cut, and nobody reads manuals.
_QUICK = (
    "force-unsafe-io\npath-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/locale/*\n"
)


def mirror() -> str:
    """The mirror that this machine's apt uses for Debian, or the one that every Debian names."""
    for file in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        text = file.read_text() if file.exists() else ""
        found = re.search(r"^(?:deb (?:\[[^]]*\] )?|URIs:[ \t]*)(https?://\S+/debian)/?(?:\s|$)", text, re.MULTILINE)
        if found:
            return found[1]
    return "http://deb.debian.org/debian"


def package(name: str) -> Path:
    """A folder with the files of a package of Debian 13, unpacked and not installed."""
    folder = CACHE / "packages" / name
    with alone("packages"):
        if not folder.exists():
            folder.parent.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as work:
                _unpack(name, Path(work))
                (Path(work) / "files").rename(folder)
    return folder


def _need_keys() -> None:
    if not KEYRING.exists():
        pytest.fail(f"{KEYRING} is missing: run 'apt-get install debian-archive-keyring'", pytrace=False)


def _unpack(name: str, work: Path) -> None:
    _need_keys()
    # An apt of its own: that of this machine learns nothing of another release.
    for part in ("state/lists/partial", "cache/archives/partial", "etc"):
        (work / part).mkdir(parents=True)
    (work / "state/status").touch()
    (work / "etc/sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} {SUITE} {_COMPONENTS}\n")
    where = {
        "State": work / "state", "State::status": work / "state/status", "Cache": work / "cache",
        "Etc::sourcelist": work / "etc/sources.list", "Etc::sourceparts": work / "etc/none",
    }  # fmt: skip
    apt = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root"]
    for key, path in where.items():
        apt += ["-o", f"Dir::{key}={path}"]
    sh(*apt, "update")
    sh(*apt, "download", name, cwd=work)
    (archive,) = work.glob("*.deb")
    sh("dpkg-deb", "--extract", archive, work / "files")


def system(name: str, packages: Sequence[str], also: str = "") -> Path:
    """The root folder of a Debian 13 with these packages, made once; nobody may change anything in it.

    Parameters
    ----------
    name:
        What it is for; part of its folder's name.
    packages:
        Names of the packages beyond Debian's smallest system, without what they only recommend.
    also:
        A shell script that is run in it at last.
    """
    made_of = "\n".join([SUITE, *packages, also, _QUICK])
    folder = CACHE / f"{name}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"
    with alone(name):
        if not folder.exists():
            forget_older(f"{name}-????????????")
            work = CACHE / f"{name}.new"
            shutil.rmtree(work, ignore_errors=True)
            _copy(_smallest(), work)
            install = f"apt-get -qq install --no-install-recommends {' '.join(packages)}"
            # The lists are those of the day on which the smallest system was made.
            installed = f"{install} || {{ apt-get -qq update && {install}; }}"
            clean = "apt-get clean; rm -rf /var/lib/apt/lists/* /var/cache/*.bin"
            inside(work, f"set -e; {installed}; {also or ':'}; {clean}")
            work.rename(folder)
        return in_use(folder)


def _smallest() -> Path:
    """Debian 13's smallest system."""
    folder = CACHE / SUITE
    with alone(SUITE):
        if not folder.exists():
            _need_keys()
            if shutil.which("debootstrap", path=SYSTEM_PATH) is None:
                pytest.fail(f"debootstrap is not installed: {TESTS_PACKAGES}", pytrace=False)
            work = CACHE / f"{SUITE}.new"
            shutil.rmtree(work, ignore_errors=True)
            sh("debootstrap", "--variant=minbase", f"--keyring={KEYRING}", SUITE, work, mirror())
            (work / "etc/dpkg/dpkg.cfg.d/quick").write_text(_QUICK)
            # apt inside reaches the mirror as apt here does.
            (work / "etc/resolv.conf").write_text(Path("/etc/resolv.conf").read_text())
            dump = sh("apt-config", "dump", "Acquire")
            wanted = re.findall(r'^Acquire::(?:Check-|Retries|https?::).* ".+";$', dump, re.MULTILINE)
            (work / "etc/apt/apt.conf.d/99tests").write_text("\n".join(wanted) + "\n")
            unread = "/usr/share/doc/* /usr/share/man/* /usr/share/locale/*"
            inside(work, f"apt-get -qq update; apt-get clean; rm -rf {unread}")
            work.rename(folder)
    return folder


def inside(root: Path, script: str) -> str:
    """Run a shell script in a system; whatever it leaves running ends with it, and no service is started."""
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    before = f"mount -t proc proc {root}/proc && mount -t tmpfs tmpfs {root}/tmp"
    space = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    said = sh(*space, "sh", "-c", f'{before} && exec chroot {root} sh -c "$1"', "sh", script, timeout=900)
    policy.unlink()
    return said


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "--archive", source, target], check=True)

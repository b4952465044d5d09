"""The distribution's packages that a site on this machine is made of: which they are, and where."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orthweb.errors import Failure, InputError
from orthweb.local.apt import SUPPORTED, become_root, by_hand, install, missing
from orthweb.local.execute import Command, Run, Say, execute
from orthweb.local.quiet import left_behind, tidy

__all__ = [
    "Parts",
    "ensure",
    "ensure_packages",
    "ensure_test_packages",
    "install",
    "installed_versions",
    "missing",
    "packages_for_tests",
    "site_packages",
]

_PLUGINS = "usr/share/orthanc/plugins"


@dataclass(frozen=True)
class Parts:
    """Where the parts of a site are installed, and the versions that decide how they are configured."""

    orthanc: Path
    orthanc_version: tuple[int, ...]
    plugins: Path
    """The folder of Orthanc's plugins."""
    postgresql_plugin_version: tuple[int, ...]
    dicomweb_plugin_version: tuple[int, ...]
    python_plugin_version: tuple[int, ...] | None
    """None when it isn't installed: only a site that keeps its objects in a bucket needs it."""
    postgresql: Mapping[int, Path]
    """The folder of the server's programs for each installed major version."""


def site_packages(s3: bool, root: bool) -> tuple[str, ...]:
    """Name the packages of a site; tcc makes the library that lets Orthanc serve HTTPS (`orthweb.local.openssl`).

    Parameters
    ----------
    s3:
        Its objects are kept in a bucket.
    root:
        Root brings it up, who has to let an unprivileged account into its folder.
    """
    names = ["orthanc", "orthanc-postgresql", "orthanc-dicomweb", "postgresql", "tcc"]
    return (*names, *(["orthanc-python"] if s3 else []), *(["acl"] if root else []))


def packages_for_tests(distribution: str) -> tuple[str, ...]:
    """Name the packages that the tests need beyond those of a site, as the distribution calls them.

    Ubuntu's packages of Chromium only fetch a snap: there `ensure_test_packages` sees to the snap itself.
    """
    names = ("dcmtk", "curl", "openssl", "default-jre-headless", "iproute2", "debootstrap", "libnss3-tools", "faketime")
    return names if distribution == "ubuntu" else (*names, "chromium", "chromium-driver")


def distribution(release: Path = Path("/etc/os-release")) -> str:
    """Tell which family this system is of: "ubuntu", "debian", or its own ID (os-release(5))."""
    with contextlib.suppress(OSError):
        fields = dict(re.findall(r'^(ID|ID_LIKE)="?([^"\n]*)"?$', release.read_text(), re.MULTILINE))
        words = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".split()
        return next((name for name in ("ubuntu", "debian") if name in words), fields.get("ID", ""))
    return ""


def ensure(names: tuple[str, ...], say: Say, run: Run = execute) -> None:
    """Install what is missing, and nothing else; finish what an interrupted installation left.

    Raises
    ------
    InputError
        No apt-get here, or no way to become root: the message has the line to run.
    Failure
        The installation failed.
    """
    absent = missing(names, run)
    if absent:
        install(absent, run, say)
    elif left_behind() is not None:
        # It has no effect any more, so somebody who can't become root goes on without.
        with contextlib.suppress(InputError):
            tidy(become_root(names, run), run, say)


def ensure_packages(s3: bool, say: Say) -> None:
    """Install what a site needs and this machine lacks; see `ensure` for what is raised."""
    ensure(site_packages(s3, os.geteuid() == 0), say)


def ensure_test_packages(say: Say) -> None:
    """Install what a site of either storage and the tests need and this machine lacks; see `ensure`."""
    family = distribution()
    ensure((*site_packages(True, os.geteuid() == 0), *packages_for_tests(family)), say)
    if family == "ubuntu" and not shutil.which("chromium"):
        result = execute(snap_command(become_root(("chromium",)))) if shutil.which("snap") else None
        if result is None or result.status != 0:
            why = result.output.strip() if result else "there is no snapd here"
            say(f"the tests in a browser will fail: Ubuntu has Chromium as a snap only, and {why}")


def snap_command(root: Command) -> Command:
    """Make the command that installs Ubuntu's Chromium and its driver."""
    return [*root, "snap", "install", "chromium"]


def installed_versions(root: Path = Path("/"), run: Run = execute) -> Parts:
    """Find the installed parts.

    Parameters
    ----------
    root:
        The folder that holds the system.

    Raises
    ------
    Failure
        One is missing.
    """
    orthanc = root / "usr/sbin/Orthanc"
    if not os.access(orthanc, os.X_OK):
        raise _absent("Orthanc", orthanc, "orthanc")
    plugins = root / _PLUGINS
    for name, package in (
        ("OrthancPostgreSQLIndex", "orthanc-postgresql"),
        ("OrthancPostgreSQLStorage", "orthanc-postgresql"),
        ("OrthancDicomWeb", "orthanc-dicomweb"),
    ):
        if not (plugins / f"lib{name}.so").exists():
            raise _absent(f"Orthanc's plugin {name}", plugins / f"lib{name}.so", package)
    servers = {
        int(folder.parent.name): folder
        for folder in (root / "usr/lib/postgresql").glob("*/bin")
        if folder.parent.name.isdigit() and all(os.access(folder / name, os.X_OK) for name in ("postgres", "initdb"))
    }
    if not servers:
        raise _absent("PostgreSQL's server", root / "usr/lib/postgresql/*/bin/postgres", "postgresql")
    python = plugins / "libOrthancPython.so"
    return Parts(
        orthanc=orthanc,
        orthanc_version=_orthanc_version(orthanc, run),
        plugins=plugins,
        postgresql_plugin_version=_plugin_version(plugins / "libOrthancPostgreSQLIndex.so"),
        dicomweb_plugin_version=_plugin_version(plugins / "libOrthancDicomWeb.so"),
        python_plugin_version=_plugin_version(python) if python.exists() else None,
        postgresql=servers,
    )


def _absent(what: str, where: Path, package: str) -> Failure:
    return Failure(f"{what} is not installed: there is no {where}", f"run: {by_hand([package])}")


def _orthanc_version(orthanc: Path, run: Run) -> tuple[int, ...]:
    output = run([str(orthanc), "--version"]).output
    found = re.match(r"\S*Orthanc (\d+(?:\.\d+)+)", output)
    if not found:
        raise Failure(
            f"{orthanc} --version answers {output[:80]!r}, which names no version",
            f"use {SUPPORTED} and its package",
        )
    return _numbers(found[1])


def _plugin_version(link: Path) -> tuple[int, ...]:
    """Read the version from the name of the file behind the link (`lib….so.4.0`)."""
    target = link.resolve()
    found = re.search(r"\.so\.(\d+(?:\.\d+)*)$", target.name)
    if not found:
        raise Failure(f"{target}: its name doesn't end with a version", f"use {SUPPORTED} and its package")
    return _numbers(found[1])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))

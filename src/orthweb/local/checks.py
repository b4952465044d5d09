"""What is looked at before anything is changed: a description or a machine with which `up` cannot work."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from orthweb.errors import Failure, InputError
from orthweb.local.account import check_low_ports
from orthweb.local.processes import Supervisor
from orthweb.local.sockets import describe_holder, holder, listeners
from orthweb.pki import on_machine as certificates
from orthweb.render.orthanc import check_settings
from orthweb.running.overview import LEAST_FREE_BYTES
from orthweb.site import bucket_keys
from orthweb.site.mark import NATIVE, check_mark
from orthweb.site.model import OwnCertificate, Site
from orthweb.site.paths import SitePaths


def check_before(site: Site, paths: SitePaths, supervisor: Supervisor, commands: Mapping[str, list[str]]) -> bool:
    """Refuse what cannot work; tells whether a port of the site needs a privilege.

    Parameters
    ----------
    commands:
        The command lines that the services were last started with.

    Raises
    ------
    InputError
        The description, a file that it names or the folder is wrong.
    Failure
        The machine is not fit now.
    """
    check_settings(site)
    if isinstance(site.tls.certificate, OwnCertificate):
        certificates.check_own(paths, site, site.tls.certificate)
    storage = site.s3()
    if storage is not None and storage.credentials is not None:
        bucket_keys.keys(paths, storage)
    low_ports = check_low_ports(site.listening_ports())
    supervisor.check_path()
    _check_folder(site, paths)
    _check_disk(paths)
    _check_ports(site, supervisor, commands.get("envoy"))
    return low_ports


def holds_data(paths: SitePaths) -> bool:
    """Whether the site has a database already."""
    return (paths.database / "PG_VERSION").exists()


def _check_folder(site: Site, paths: SitePaths) -> None:
    # The supervisor's configuration has no way to write them.
    if any(character in str(paths.root) for character in '"\n\r'):
        raise InputError(f"{paths.root}: has a quote or a line break in its path", "move it to another folder")
    if not holds_data(paths):
        return
    check_mark(paths, site, NATIVE)


def _check_disk(paths: SitePaths) -> None:
    folder = paths.state if paths.state.exists() else paths.root
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        raise Failure(
            f"{folder}: {free // 2**20} MB are free and {LEAST_FREE_BYTES // 2**20} MB are needed",
            "make room on that disk",
        )


def _check_ports(site: Site, supervisor: Supervisor, envoy: list[str] | None) -> None:
    states = supervisor.states()
    ours = states["envoy"].pid if "envoy" in states else 0
    for field, port in site.listening_ports().items():
        inodes = listeners(port)
        if not inodes:
            continue
        found = holder(inodes)
        if found is not None and (found[0] == ours or _command_of(found[0]) == envoy):
            continue
        raise InputError(
            f"orthweb.yaml: {field}: {port}: is taken by {describe_holder(inodes)}",
            "stop it, or choose another port",
        )


def _command_of(pid: int) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        # It has just ended: nobody's command, which equals no service's.
        return []

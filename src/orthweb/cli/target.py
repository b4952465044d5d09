"""The options that say which site to validate: the one of this folder, or any Orthanc behind any proxy."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orthweb.cli.console import SiteOption, site_at
from orthweb.cli.destination import ae_title, host_name, state_of_user
from orthweb.errors import InputError
from orthweb.site.mark import COMPOSE, engine_of

if TYPE_CHECKING:
    from orthweb.validation.target import Credentials, Target

_PANEL = "A site that is not in this folder"
AddressOption = Annotated[
    str | None,
    typer.Option("--address", metavar="HOST", help="Name or address of the site.", rich_help_panel=_PANEL),
]
WebPortOption = Annotated[
    int | None,
    typer.Option(
        "--web-port", metavar="PORT", min=1, max=65535, help="Its port for HTTPS.",
        show_default="443; 8042 with --plain", rich_help_panel=_PANEL,
    ),
]  # fmt: skip
DicomPortOption = Annotated[
    int | None,
    typer.Option(
        "--dicom-port", metavar="PORT", min=1, max=65535, help="Its port for DICOM over TLS.",
        show_default="11112; 4242 with --plain", rich_help_panel=_PANEL,
    ),
]  # fmt: skip
CalledOption = Annotated[
    str | None,
    typer.Option("--called", metavar="AET", help="Its AE title.", show_default="ORTHANC", rich_help_panel=_PANEL),
]
CallingOption = Annotated[
    str | None,
    typer.Option(
        "--calling", metavar="AET", help="AE title to call as.", show_default="ORTHWEB", rich_help_panel=_PANEL
    ),
]
CredentialsOption = Annotated[
    Path | None,
    typer.Option(
        "--credentials", metavar="FILE", help='A user of the web page: {"user": …, "password": …}, of mode 0600.',
        rich_help_panel=_PANEL,
    ),
]  # fmt: skip
AuthorityOption = Annotated[
    Path | None,
    typer.Option(
        "--ca", metavar="FILE", help="Whose certificates to trust, PEM.", show_default="what this machine trusts",
        rich_help_panel=_PANEL,
    ),
]  # fmt: skip
CertificateOption = Annotated[
    Path | None,
    typer.Option("--certificate", metavar="FILE", help="Certificate of a device, PEM.", rich_help_panel=_PANEL),
]
KeyOption = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="Its private key, PEM.", rich_help_panel=_PANEL)
]
PlainOption = Annotated[
    bool,
    typer.Option("--plain", help="It speaks without TLS, which its checks will say.", rich_help_panel=_PANEL),
]  # fmt: skip

TargetMaker = Callable[[Path], "Target"]
"""Describes the site to validate; an empty folder takes what has to be made for that."""


def target(
    site: SiteOption = Path("."),
    address: AddressOption = None,
    web_port: WebPortOption = None,
    dicom_port: DicomPortOption = None,
    called: CalledOption = None,
    calling: CallingOption = None,
    credentials: CredentialsOption = None,
    ca: AuthorityOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    plain: PlainOption = False,
) -> TargetMaker:
    """Make out which site to validate.

    Raises
    ------
    InputError
        An option is wrong, or options contradict each other.
    """
    others = {
        "--web-port": web_port, "--dicom-port": dicom_port, "--called": called, "--calling": calling,
        "--credentials": credentials, "--ca": ca, "--certificate": certificate, "--key": key, "--plain": plain,
    }  # fmt: skip
    if address is None:
        for option, value in others.items():
            if value:
                raise InputError(
                    f"{option}: is for a site that --address names", f"give --address, or leave out {option}"
                )
        return lambda folder: _own(site, folder)
    found = _foreign(address, web_port, dicom_port, called, calling, credentials, ca, certificate, key, plain)
    return lambda folder: found


def _own(site: Path, folder: Path) -> Target:
    described, paths = site_at(site)
    if described.aws is not None:
        from orthweb.aws.target import aws_target

        return aws_target(described, paths)
    if engine_of(paths) == COMPOSE:
        from orthweb.host.own_target import own_target

        return own_target(described, paths, folder)
    from orthweb.local.target import local_target

    return local_target(described, paths, folder)


def _foreign(
    address: str,
    web_port: int | None,
    dicom_port: int | None,
    called: str | None,
    calling: str | None,
    credentials: Path | None,
    ca: Path | None,
    certificate: Path | None,
    key: Path | None,
    plain: bool,
) -> Target:
    from orthweb.dicom.tls import TlsFiles, client_context
    from orthweb.validation.target import DicomDoor, Target, WebDoor

    host = host_name("--address", address.removeprefix("[").removesuffix("]"))
    if (certificate is None) != (key is None):
        raise InputError("--certificate and --key belong together", "give both, or none")
    if plain and (ca or certificate):
        raise InputError("--plain has no use for a certificate", "leave out --plain, or --ca, --certificate and --key")
    tls = None if plain else TlsFiles(ca, certificate, key)
    if tls is not None:
        # So that a file that cannot be used is told at once, and not by every check.
        client_context(tls)
    return Target(
        name=host,
        names=(host,),
        web=WebDoor(host, web_port or (8042 if plain else 443), plain, ca, _credentials(credentials)),
        dicom=DicomDoor(
            host,
            dicom_port or (4242 if plain else 11112),
            ae_title("--called", called or "ORTHANC"),
            ae_title("--calling", calling or "ORTHWEB"),
            tls,
            asks_certificates=not plain,
        ),
        state=state_of_user("validation"),
    )


def _credentials(path: Path | None) -> Credentials | None:
    """Read a user and a password; raises InputError when the file is missing, readable by others, or holds none."""
    from orthweb.validation.target import Credentials

    if path is None:
        return None
    wanted = '{"user": "…", "password": "…"} in JSON is needed'
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise InputError(f"--credentials: {path}: others may read it", f"chmod 600 {path}")
        held = json.loads(path.read_text(encoding="utf-8"))
        user, password = held["user"], held["password"]
    except OSError as error:
        raise InputError(f"--credentials: {path}: {error.strerror}", wanted) from None
    except (ValueError, LookupError, TypeError):
        raise InputError(f"--credentials: {path}: holds no user and password", wanted) from None
    if not isinstance(user, str) or not isinstance(password, str) or not user or ":" in user:
        raise InputError(f"--credentials: {path}: holds no user and password", wanted)
    return Credentials(user, password)

"""The options that say whom a DICOM command calls: the site of this folder, or any other archive."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from orthweb.cli.console import SiteOption, site_at
from orthweb.errors import Failure, InputError

if TYPE_CHECKING:
    from orthweb.dicom.requestor import Peer
    from orthweb.dicom.tls import TlsFiles
    from orthweb.site.model import Site
    from orthweb.site.paths import SitePaths

_PANEL = "Whom to call"
ToOption = Annotated[
    str | None,
    typer.Option("--to", metavar="HOST:PORT", help="Another archive than this site's.", rich_help_panel=_PANEL),
]
CalledOption = Annotated[
    str | None,
    typer.Option("--called", metavar="AET", help="Its AE title; the site's by default.", rich_help_panel=_PANEL),
]
CallingOption = Annotated[
    str, typer.Option("--calling", metavar="AET", help="AE title to call as.", rich_help_panel=_PANEL)
]
PlainOption = Annotated[
    bool, typer.Option("--plain", help="Without TLS: everybody on the way can read it.", rich_help_panel=_PANEL)
]
CertificateOption = Annotated[
    Path | None,
    typer.Option(
        "--certificate", metavar="FILE", help="Certificate to show, PEM; the site's own device's by default.",
        rich_help_panel=_PANEL,
    ),
]  # fmt: skip
KeyOption = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", help="Its private key, PEM.", rich_help_panel=_PANEL),
]
AuthorityOption = Annotated[
    Path | None,
    typer.Option(
        "--ca", metavar="FILE", help="Whose certificates to trust, PEM; the site's authority by default.",
        rich_help_panel=_PANEL,
    ),
]  # fmt: skip
ServerNameOption = Annotated[
    str | None,
    typer.Option(
        "--server-name", metavar="NAME", help="Name in the archive's certificate, where it is not HOST.",
        rich_help_panel=_PANEL,
    ),
]  # fmt: skip

_LONGEST_TITLE = 16
_HOST_PORT = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\s\[\]]+)):(?P<port>[0-9]{1,5})")


class Destination(NamedTuple):
    """Whom to call, and where the command may keep what it has to remember about it."""

    peer: Peer
    state: Path

    @property
    def name(self) -> str:
        """As a person reads it."""
        host = f"[{self.peer.host}]" if ":" in self.peer.host else self.peer.host
        return f"{self.peer.called_ae_title} at {host}:{self.peer.port}"


def destination(
    site: SiteOption = Path("."),
    to: ToOption = None,
    called: CalledOption = None,
    calling: CallingOption = "ORTHWEB",
    plain: PlainOption = False,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    ca: AuthorityOption = None,
    server_name: ServerNameOption = None,
) -> Destination:
    """Make out whom to call.

    Raises
    ------
    InputError
        An option is wrong, options contradict each other, or there is no site and no `--to`.
    """
    from orthweb.dicom.requestor import Peer
    from orthweb.dicom.tls import client_context
    from orthweb.site.load import SITE_FILE

    if (certificate is None) != (key is None):
        raise InputError("--certificate and --key belong together", "give both, or none")
    if plain and (certificate or ca or server_name):
        raise InputError("--plain has no use for a certificate", "leave out --plain, or --certificate, --key and --ca")
    own = site_at(site) if to is None or (site / SITE_FILE).exists() else None
    if to is not None:
        host, port = _host_and_port(to)
    elif own is not None:
        _check_known(own[0], calling)
        host, port, called = _address(*own), own[0].dicom.port, called or own[0].orthanc.ae_title
    if called is None:
        raise InputError("--called: missing", "give the AE title of the archive that --to names")
    if server_name is not None:
        server_name = host_name("--server-name", server_name)
    tls = None if plain else client_context(_tls_files(own, certificate, key, ca))
    peer = Peer(host, port, ae_title("--called", called), ae_title("--calling", calling), tls, server_name)
    return Destination(peer, own[1].state / "transfers" if own else state_of_user("transfers"))


def _address(site: Site, paths: SitePaths) -> str:
    if site.aws is None:
        return "localhost"
    from orthweb.aws.known import site_address

    return site_address(paths)


def _check_known(site: Site, calling: str) -> None:
    from orthweb.site.model import OWN_AE_TITLE, ClientCertificates

    if site.dicom.client_certificates is ClientCertificates.OFF and calling.strip().upper() == OWN_AE_TITLE:
        raise InputError(
            f"--calling: this site asks for no certificates, so it lets nobody in as {OWN_AE_TITLE}",
            "give an AE title of orthanc.modalities",
        )


def _host_and_port(to: str) -> tuple[str, int]:
    found = _HOST_PORT.fullmatch(to)
    port = int(found["port"]) if found else 0
    if not found or not 0 < port < 65536:
        raise InputError(f"--to: {to!r} is not HOST:PORT", "for example pacs.example.org:11112 or [::1]:11112")
    return found["six"] or host_name("--to", found["host"]), port


def host_name(option: str, name: str) -> str:
    """Check that a name can be looked up at all; raises InputError."""
    try:
        encoded = name.encode("idna")
    except UnicodeError:
        encoded = b""
    if not encoded:
        raise InputError(f"{option}: {name!r} is no name of a host", "correct it, or give an address")
    return name


def ae_title(option: str, title: str) -> str:
    """Check an AE title: 1 to 16 characters of the default repertoire, no backslash (PS3.5 6.2); raises InputError."""
    if (
        not title.strip()
        or len(title) > _LONGEST_TITLE
        or "\\" in title
        or not title.isascii()
        or not title.isprintable()
    ):
        raise InputError(f"{option}: {title!r} is no AE title", "give 1 to 16 ASCII characters without a backslash")
    return title


def _tls_files(
    own: tuple[Site, SitePaths] | None, certificate: Path | None, key: Path | None, ca: Path | None
) -> TlsFiles:
    from orthweb.dicom.tls import TlsFiles
    from orthweb.pki.own_device import own_device
    from orthweb.site.model import OwnCertificate

    if own is not None and (certificate is None or ca is None):
        described, paths = own
        if not (paths.pki / "ca.crt").exists():
            command = "up" if described.aws is None else "apply"
            raise Failure(f"{paths.root}: this site has never been up", f"bring it up with 'orthweb {command}'")
        # The owner of a certificate of their own has told this machine whom to trust, or says it.
        if not isinstance(described.tls.certificate, OwnCertificate):
            ca = ca or paths.pki / "ca.crt"
        if certificate is None:
            device = own_device(paths, described)
            certificate, key = device.certificate, device.key
    return TlsFiles(ca, certificate, key)


def state_of_user(command: str) -> Path:
    """Where a command remembers what it did outside of a site (XDG base directory specification)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "orthweb" / command

"""The two ports of a site that speak TLS, as the checks of TLS take them: one set of checks serves both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orthweb.dicom.tls import TlsFiles
from orthweb.validation.check import Check
from orthweb.validation.checks import network
from orthweb.validation.look import Look
from orthweb.validation.probes.handshakes import Server, Shown, show
from orthweb.validation.target import Target


@dataclass(frozen=True)
class Door:
    """A port to check.

    Parameters
    ----------
    name:
        As it stands in the identifiers: `tls.NAME.versions`.
    called:
        What it is called in sentences.
    reached:
        The check that it takes connections.
    server:
        Where it is, whom to trust there and what to show.
    guide:
        The step of the guide that looks at its certificate.
    """

    name: str
    called: str
    reached: Check
    server: Callable[[Target], Server]
    guide: str

    @property
    def title(self) -> str:
        """What it is called at the beginning of a sentence."""
        return self.called[:1].upper() + self.called[1:]

    def look_at(self, look: Look) -> Shown:
        """Shake hands with it and see what it shows; what goes wrong ends the check."""
        return show(self.server(look.target), look.remaining())


def _web(target: Target) -> Server:
    return Server(target.web.host, target.web.port, TlsFiles(target.web.ca))


def _dicom(target: Target) -> Server:
    return Server(target.dicom.host, target.dicom.port, target.dicom.tls or TlsFiles())


DOORS = (
    Door("web", "the web port", network.WEB, _web, "User Validation: the web page"),
    Door("dicom", "the DICOM port", network.DICOM, _dicom, "DICOM Validation: echoscu"),
)

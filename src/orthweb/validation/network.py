"""Checks of the network: names resolve, ports answer, and ports that must not answer don't."""

from __future__ import annotations

import socket

from orthweb.validation.check import check
from orthweb.validation.look import Look

_GUIDE = "User Validation"


@check("network.web", "The web port takes connections.", guide=_GUIDE)
def WEB(look: Look) -> str:
    return _connect(look, look.target.web.host, look.target.web.port, "web.port")


@check("network.dicom", "The DICOM port takes connections.", guide=_GUIDE)
def DICOM(look: Look) -> str:
    return _connect(look, look.target.dicom.host, look.target.dicom.port, "dicom.port")


def _connect(look: Look, host: str, port: int, field: str) -> str:
    try:
        with socket.create_connection((host, port), look.remaining()) as connection:
            look.saw("connected to", f"{connection.getpeername()[0]} port {port}")
    except OSError as error:
        look.fail(
            f"{host} port {port} does not answer: {error.strerror or error}",
            f"bring the site up with 'orthweb up'; on another machine see {field}, its allowed_cidrs and firewalls",
        )
    return f"{host} port {port} answers"


CHECKS = (WEB, DICOM)

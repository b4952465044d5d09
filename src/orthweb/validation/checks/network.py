"""Checks of the network: names resolve, ports answer, and ports that must not answer don't."""

from __future__ import annotations

import socket

from orthweb.validation.check import check
from orthweb.validation.look import Look
from orthweb.validation.probes.closed_ports import judge, must_be_closed
from orthweb.validation.probes.resolving import is_address, resolve

_GUIDE = "User Validation"


@check("network.names", "Every name of the site resolves to an address.")
def NAMES(look: Look) -> str:
    names = [name for name in _names(look) if not is_address(name)]
    found = resolve(names, look.remaining(10))
    for name, answer in found.items():
        look.saw(name, answer if isinstance(answer, str) else ", ".join(answer))
        if isinstance(answer, str):
            look.wrong(
                f"{name} does not resolve here: {answer}",
                "give the name an address in DNS or in /etc/hosts, or correct it in tls.names",
            )
    return ", ".join(names) if names else "the site has addresses only, and no names"


@check("network.web", "The web port takes connections.", guide=_GUIDE)
def WEB(look: Look) -> str:
    return _connect(look, look.target.web.host, look.target.web.port, "web.port")


@check("network.dicom", "The DICOM port takes connections.", guide=_GUIDE)
def DICOM(look: Look) -> str:
    return _connect(look, look.target.dicom.host, look.target.dicom.port, "dicom.port")


@check("network.redirect", "The port that leads from HTTP to HTTPS takes connections.")
def REDIRECT(look: Look) -> str:
    port = look.target.web.redirect_port
    if port is None:
        look.skip("the site has no port that leads to HTTPS")
    return _connect(look, look.target.web.host, port, "web.redirect_port")


@check("network.plaintext", "The port for DICOM without TLS, which the site has on purpose, takes connections.")
def PLAINTEXT(look: Look) -> str:
    port = look.target.dicom.plaintext_port
    if port is None:
        look.skip("the site has no port for DICOM without TLS")
    return _connect(look, look.target.dicom.host, port, "dicom.plaintext.port")


@check("network.addresses", "Web and DICOM port answer under every name of the site.", needs=(NAMES, WEB, DICOM))
def ADDRESSES(look: Look) -> str:
    names = [name for name in look.target.names if "*" not in name]
    found = resolve(names, look.remaining(10))
    for name in names:
        addresses = found[name]
        for what, port in (("web", look.target.web.port), ("DICOM", look.target.dicom.port)):
            if isinstance(addresses, str) or not any(_answers(look, address, port) for address in addresses):
                shown = addresses if isinstance(addresses, str) else ", ".join(addresses)
                look.warn(
                    f"the {what} port {port} does not answer here under {name} ({shown})",
                    "see that the name leads to the site, and that allowed_cidrs and firewalls let this machine in",
                )
    return ", ".join(names)


@check("network.closed", "Ports that only the site itself may use do not answer others.")
def CLOSED(look: Look) -> str:
    return judge(look, must_be_closed(look))


def _names(look: Look) -> list[str]:
    target = look.target
    # A wildcard stands for names that nobody knows.
    names = dict.fromkeys((*target.names, target.web.host, target.dicom.host))
    return [name for name in names if "*" not in name]


def _answers(look: Look, address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), look.remaining(2)):
            look.saw("connected to", f"{address} port {port}")
    except OSError as error:
        look.saw("not connected to", f"{address} port {port}: {error.strerror or error}")
        return False
    return True


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


CHECKS = (NAMES, WEB, DICOM, REDIRECT, PLAINTEXT, ADDRESSES, CLOSED)

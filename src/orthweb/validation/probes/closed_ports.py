"""Which ports nobody but the site may reach, and what it means that one of them answers."""

from __future__ import annotations

import ipaddress
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from orthweb.validation.look import Look
from orthweb.validation.probes.resolving import resolve
from orthweb.validation.probes.who_answers import Kind, who_answers
from orthweb.validation.target import Internal

_ORTHANC, _POSTGRESQL, _ENVOY = "Orthanc's", "PostgreSQL's", "Envoy's administration"
# Where they are unless somebody put them elsewhere.
_USUAL = (Internal(_ORTHANC, 8042), Internal(_ORTHANC, 4242), Internal(_POSTGRESQL, 5432), Internal(_ENVOY, 9901))
# What certainly is what a port is of, and what may be: Orthanc may speak TLS, and each may be too busy to answer.
_CERTAIN = {_ORTHANC: {Kind.ORTHANC, Kind.DICOM}, _POSTGRESQL: {Kind.POSTGRESQL}, _ENVOY: {Kind.ENVOY}}
_POSSIBLE = {_ORTHANC: {Kind.TLS, Kind.UNKNOWN}, _POSTGRESQL: {Kind.UNKNOWN}}
_SECONDS = 1.0
_REMEDY = "have it listen on loopback or on the site's own network only, or close the port to others in the firewall"


@dataclass(frozen=True)
class Closed:
    """A port that must not answer.

    Parameters
    ----------
    own:
        The site itself gave the port away, so that hardly anybody else's service is there.
    """

    what: str
    host: str
    port: int
    own: bool


def must_be_closed(look: Look) -> list[Closed]:
    """The ports that only the site itself may use: those that it knows of, or else the usual ones."""
    target = look.target
    if target.inside is not None:
        if not target.inside.addresses:
            look.skip("the site's machine has no address that others could reach")
        return [
            Closed(internal.what, address, internal.port, own=True)
            for address in target.inside.addresses
            for internal in target.inside.internals
        ]
    hosts = dict.fromkeys((target.web.host, target.dicom.host))
    reached = [host for host in hosts if not _is_loopback(look, host)]
    if not reached:
        look.skip("on loopback every port may answer: call the site by an address that others use")
    doors = {target.web.port, target.web.redirect_port, target.dicom.port, target.dicom.plaintext_port}
    return [
        Closed(usual.what, host, usual.port, own=False)
        for host in reached
        for usual in _USUAL
        if usual.port not in doors
    ]


def judge(look: Look, ports: list[Closed]) -> str:
    """Try these ports, and say which answer that must not; returns what was seen when all is well."""
    others = []
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda port: who_answers(port.host, port.port, _SECONDS), ports))
    for port, kind in zip(ports, answers, strict=True):
        look.saw(f"{port.host} port {port.port}", kind or "does not answer")
        if kind is None:
            continue
        where = f"{port.host} port {port.port}"
        if kind in _CERTAIN.get(port.what, set(Kind)):
            look.wrong(f"{kind} answers others on {where}", _REMEDY)
        elif kind in _POSSIBLE.get(port.what, set()):
            (look.wrong if port.own else look.warn)(f"{kind} answers others on {where}, a port of {port.what}", _REMEDY)
        else:
            others.append(f"{where} is somebody else's ({kind})")
    return "; ".join((f"nothing of the site answers on {len(ports)} ports", *others))


def _is_loopback(look: Look, host: str) -> bool:
    addresses = resolve([host], look.remaining())[host]
    return not isinstance(addresses, str) and all(
        ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses
    )

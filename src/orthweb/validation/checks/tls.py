"""Checks of TLS on both ports: versions, ciphers, certificates, and clients that must be refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from orthweb.validation.check import Check, check
from orthweb.validation.checks import tls_certificates, tls_clients
from orthweb.validation.checks.tls_door import DOORS, Door
from orthweb.validation.look import Look
from orthweb.validation.probes.cipher_suites import OLDER_SUITES, TLS_1_3_SUITES, names_of, weaknesses
from orthweb.validation.probes.client_hello import TLS_1_2, TLS_1_3, VERSIONS, Alert, NotTls, ServerHello
from orthweb.validation.probes.handshakes import Server, accepted_suites, accepts, ask

_RENDERED = "'orthweb up' and 'orthweb restart envoy' put the site's proxy right"


def _checks(door: Door) -> tuple[Check, ...]:
    """The checks of one port."""

    @check(
        f"tls.{door.name}.handshake",
        f"{door.title} speaks TLS: nobody on the way reads along.",
        needs=(door.reached,),
        guide=door.guide,
    )
    def handshake(look: Look) -> str:
        hello = _first_hello(look, door)
        return f"{VERSIONS[hello.version]} with {names_of([hello.suite])}"

    @check(
        f"tls.{door.name}.versions",
        f"{door.title} takes TLS 1.2 or 1.3, and nothing older.",
        needs=(handshake,),
    )
    def versions(look: Look) -> str:
        server = door.server(look.target)
        with _answers_in_time(look, door):
            taken = [version for version in VERSIONS if _takes(look, server, version)]
        for version in taken:
            if version < TLS_1_2:
                look.wrong(
                    f"{door.called} takes {VERSIONS[version]}, which can be broken",
                    f"{_RENDERED}; elsewhere allow TLS 1.2 and 1.3 only",
                )
        if not {TLS_1_2, TLS_1_3} & set(taken):
            look.wrong(
                f"{door.called} takes neither TLS 1.2 nor TLS 1.3", f"{_RENDERED}; elsewhere update what ends TLS there"
            )
        return f"{' and '.join(VERSIONS[version] for version in taken)}, and nothing older"

    @check(
        f"tls.{door.name}.ciphers",
        f"{door.title} takes no weak cipher suite.",
        needs=(handshake,),
    )
    def ciphers(look: Look) -> str:
        server = door.server(look.target)
        taken: list[int] = []
        for version in VERSIONS:
            # What is older than TLS 1.2 counts only where there is nothing newer: that it is there is wrong enough.
            if version < TLS_1_2 and taken:
                break
            with _answers_in_time(look, door):
                found = accepted_suites(server, version, _suites(version), look.remaining(10))
            look.saw(f"suites taken with {VERSIONS[version]}", names_of(found) or "none")
            taken += found
        for weakness in weaknesses(taken):
            tell = look.wrong if weakness.serious else look.warn
            tell(
                f"{door.called} takes cipher suites {weakness.why}: {_some(weakness.suites)}",
                f"{_RENDERED}; elsewhere allow suites with ECDHE and AES-GCM or ChaCha20 only",
            )
        return f"{len(taken)} cipher suites, all with forward secrecy and authenticated encryption"

    return (
        handshake, versions, ciphers, *tls_certificates.checks(door, handshake), *tls_clients.checks(door, handshake)
    )  # fmt: skip


def _some(suites: Sequence[int]) -> str:
    """A few of them by name; the evidence has them all."""
    return names_of(suites[:3]) + (f" and {len(suites) - 3} more" if len(suites) > 3 else "")


def _suites(version: int) -> tuple[int, ...]:
    return TLS_1_3_SUITES if version == TLS_1_3 else OLDER_SUITES


def _takes(look: Look, server: Server, version: int) -> bool:
    suite = accepts(server, version, _suites(version), look.remaining())
    look.saw(VERSIONS[version], "refused" if suite is None else f"taken, with {names_of([suite])}")
    return suite is not None


@contextlib.contextmanager
def _answers_in_time(look: Look, door: Door) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        look.fail(
            f"{door.called} answered some handshakes, and took too long for others",
            "see how busy it and the network are, and what it does with many connections from one address",
        )


def _first_hello(look: Look, door: Door) -> ServerHello:
    """The ServerHello of the newest version that the server takes; that there is none ends the check."""
    server = door.server(look.target)
    alert: Alert | None = None
    for version in VERSIONS:
        try:
            answer = ask(server, version, _suites(version), look.remaining())
        except (NotTls, ConnectionError) as error:
            look.saw(f"answer to a ClientHello of {VERSIONS[version]}", error)
            continue
        except TimeoutError:
            look.fail(*_no_tls(door, "it does not answer a TLS handshake"))
        look.saw(f"answer to a ClientHello of {VERSIONS[version]}", answer)
        if isinstance(answer, ServerHello):
            return answer
        alert = answer
    if alert is None:
        look.fail(*_no_tls(door, "it speaks no TLS on this port"))
    look.fail(f"{door.called} refuses every TLS handshake: {alert}", "see the log of what ends TLS there")


def _no_tls(door: Door, what: str) -> tuple[str, str]:
    turn_on = "SslEnabled" if door.name == "web" else "DicomTlsEnabled"
    return (
        f"{door.called}: {what}: everybody on the way can read images, names and passwords, and change them",
        f"put a proxy with TLS before it, as 'orthweb up' does, or set {turn_on} in Orthanc's configuration",
    )


CHECKS = tuple(each for door in DOORS for each in _checks(door))

"""Checks of the certificate that a port shows: its chain, names, key, dates, and what Apple's systems ask of it."""

from __future__ import annotations

import datetime
import ssl

from cryptography import x509

from orthweb.errors import Failure
from orthweb.pki import CertificateInfo, apple_complaints, certificate_names, covers, describe
from orthweb.pki.apple import key_complaints, signature_complaints
from orthweb.pki.links import is_self_signed
from orthweb.pki.names import is_loopback
from orthweb.validation.check import Check, check
from orthweb.validation.checks.tls_door import Door
from orthweb.validation.look import Look
from orthweb.validation.probes.handshakes import Server, Shown, shaken, strict_context

_LEAST_DAYS = 30
_RENEW = "'orthweb certs rotate' makes a new one; 'orthweb certs use' takes one of your own"
# X509_V_ERR_… (openssl/x509_vfy.h): no issuer was found, in three ways.
_NO_ISSUER = {2, 20, 21}
_SELF_SIGNED, _SELF_SIGNED_ABOVE = 18, 19


def checks(door: Door, handshake: Check) -> tuple[Check, ...]:
    """The checks of one port's certificate, for a server that speaks TLS there."""

    @check(
        f"tls.{door.name}.certificate",
        f"{door.title} shows a certificate.",
        needs=(handshake,),
    )
    def certificate(look: Look) -> str:
        try:
            shown = door.look_at(look)
        except ssl.SSLError as error:
            look.fail(
                f"{door.called} breaks off the handshake: {_reason(error)}",
                "where it asks for a certificate, show one that it takes (--certificate and --key)",
            )
        except TimeoutError:
            look.fail(f"{door.called} does not finish a TLS handshake", "see the log of what ends TLS there")
        except Failure as error:
            look.fail(f"{door.called}: {error.message}", f"give what ends TLS there another certificate; {_RENEW}")
        look.saw("handshake", f"{shown.version} with {shown.suite}")
        now = datetime.datetime.now(datetime.UTC)
        infos = [describe(each, now) for each in shown.sent]
        for info in infos:
            look.saw("certificate that was sent", _text(info))
        look.exhibits.add_certificate(door.called.removeprefix("the "), infos[0])
        for authority in _authorities(shown):
            info = describe(authority, now)
            look.exhibits.add_certificate(f"authority {info.subject}", info)
        return f"{infos[0].subject or 'without a subject'}, of {infos[0].issuer}"

    needs = (certificate,)

    @check(
        f"tls.{door.name}.chain",
        f"The certificate of {door.called} leads to an authority that is trusted here.",
        needs=needs,
        guide=door.guide,
    )
    def chain(look: Look) -> str:
        server = door.server(look.target)
        try:
            with shaken(server, strict_context(server.files), look.remaining()):
                pass
        except ssl.SSLCertVerificationError as error:
            look.fail(*_distrusted(error, server, door.look_at(look)))
        root = door.look_at(look).path[-1].subject.rfc4514_string()
        return f"it leads to {root}, which is trusted"

    @check(
        f"tls.{door.name}.names",
        f"The certificate of {door.called} holds every name of the site.",
        needs=needs,
    )
    def names(look: Look) -> str:
        host = door.server(look.target).host
        held = certificate_names(door.look_at(look).sent[0])
        wanted = tuple(dict.fromkeys((host, *look.target.names)))
        missing = [name for name in wanted if not any(covers(own, name) for own in held)]
        for name in missing:
            # No public authority certifies a name of the machine itself.
            serious = name == host or not is_loopback(name) or len(missing) == len(wanted)
            (look.wrong if serious else look.warn)(
                f"the certificate of {door.called} does not hold {name}, and holds {', '.join(held) or 'no name'}",
                "add it to tls.names and bring the site up, get a certificate with it, or call the site otherwise",
            )
        return ", ".join(wanted)

    @check(
        f"tls.{door.name}.key",
        f"Keys and signatures of the certificates that {door.called} shows are strong enough.",
        needs=needs,
    )
    def key(look: Look) -> str:
        leaf, *others = door.look_at(look).sent
        for each in (leaf, *others):
            # Nobody verifies the signature of a root: it is trusted as it is.
            signature = signature_complaints(each) if each is leaf or not is_self_signed(each) else []
            for complaint in [*key_complaints(each), *signature]:
                look.wrong(f"{_of(each, leaf)}: {complaint}", f"{_RENEW}, with RSA 2048 or EC P-256 and SHA-256")
        info = describe(leaf, datetime.datetime.now(datetime.UTC))
        return f"{info.key}, {info.signature_algorithm}"

    @check(
        f"tls.{door.name}.days",
        f"The certificate of {door.called} is valid today and for {_LEAST_DAYS} days to come.",
        needs=needs,
    )
    def days(look: Look) -> str:
        now = datetime.datetime.now(datetime.UTC)
        shown = door.look_at(look)
        leaf = shown.sent[0]
        for each in (leaf, *_authorities(shown)):
            _judge_dates(look, _of(each, leaf), describe(each, now), now)
        info = describe(leaf, now)
        return f"until {info.not_after:%Y-%m-%d}, {info.days_left} days left"

    @check(
        f"tls.{door.name}.apple",
        f"iOS and macOS take the certificate of {door.called} (HT210176).",
        needs=needs,
    )
    def apple(look: Look) -> str:
        for complaint in apple_complaints(door.look_at(look).sent[0]):
            look.wrong(f"Apple's systems refuse the certificate of {door.called}: {complaint}", _RENEW)
        return "nothing in it that they refuse"

    return certificate, chain, names, key, days, apple


def _authorities(shown: Shown) -> tuple[x509.Certificate, ...]:
    """The certificates above the server's own: those that it sent, and the one that is trusted."""
    leaf, *others = dict.fromkeys((*shown.sent, *shown.path))
    return tuple(other for other in others if other != leaf)


def _judge_dates(look: Look, whose: str, info: CertificateInfo, now: datetime.datetime) -> None:
    if now > info.not_after:
        look.wrong(f"{whose} expired on {info.not_after:%Y-%m-%d}", _RENEW)
    elif now < info.not_before:
        look.wrong(
            f"{whose} is not valid before {info.not_before:%Y-%m-%d %H:%M} UTC",
            "compare the clocks of this machine and of the one that made it, or wait",
        )
    elif info.days_left < _LEAST_DAYS:
        look.warn(f"{whose} has {info.days_left} days left, until {info.not_after:%Y-%m-%d}", _RENEW)


def _distrusted(error: ssl.SSLCertVerificationError, server: Server, shown: Shown) -> tuple[str, str]:
    leaf, top = shown.sent[0], (shown.path or shown.sent)[-1]
    give = "give its authority's certificate with --ca"
    if error.verify_code == _SELF_SIGNED:
        return f"{_of(leaf, leaf)} is signed by itself alone, and not trusted here", give
    if error.verify_code == _SELF_SIGNED_ABOVE:
        return f"{_of(leaf, leaf)} leads to {_name(top)}, which is not trusted here", give
    if error.verify_code not in _NO_ISSUER:
        return f"{_of(leaf, leaf)} cannot be trusted: {error.verify_message}", _RENEW
    issuer = top.issuer.rfc4514_string()
    if issuer in _trusted_subjects(server):
        return (
            f"{_of(top, leaf)} is of another authority with the name of the trusted one, {issuer}",
            "give the certificate of today's authority with --ca, or have the site show one of its own",
        )
    return (
        f"{_of(top, leaf)} is signed by {issuer}: the server sends no certificate of it, and it is not trusted here",
        f"have the server send the certificates in between (tls.certificate.chain), or {give}",
    )


def _trusted_subjects(server: Server) -> set[str]:
    trusted = strict_context(server.files).get_ca_certs(binary_form=True)
    return {x509.load_der_x509_certificate(each).subject.rfc4514_string() for each in trusted}


def _of(certificate: x509.Certificate, leaf: x509.Certificate) -> str:
    return "the certificate" if certificate == leaf else f"the certificate of the authority {_name(certificate)}"


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "without a name"


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()


def _text(info: CertificateInfo) -> str:
    return "\n".join(
        (
            f"subject {info.subject}",
            f"names {', '.join(info.names)}",
            f"issuer {info.issuer}",
            f"valid {info.not_before:%Y-%m-%d} to {info.not_after:%Y-%m-%d}, {info.days_left} days left",
            f"key {info.key}, signature {info.signature_algorithm}",
            f"SHA-256 {info.fingerprint_sha256}",
        )
    )

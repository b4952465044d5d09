"""The way from a server's certificate up to its root: put in order, and verified link by link.

By hand and not with a verifier alone, so that an error names the certificate that is wrong, and so that
private authorities pass that leave out what the public ones must have.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.x509 import verification

from orthweb.errors import InputError
from orthweb.pki.apple import key_complaints, signature_complaints
from orthweb.pki.links import in_date, is_authority, is_self_signed, is_signed_by
from orthweb.pki.names import general_name

_REMEDY = "give the chain file that came with the certificate"


def verify_chain(
    leaf: x509.Certificate,
    offered: Sequence[x509.Certificate],
    source: Path,
    name: str,
    now: datetime.datetime,
) -> tuple[x509.Certificate, ...]:
    """Return the certificates above `leaf` in their order, up to the root or to the last one offered.

    Parameters
    ----------
    offered:
        The certificates of the chain in any order, with or without the root and `leaf` itself.
    source:
        The file that they came from, for errors.
    name:
        A name that `leaf` covers, for authorities that may sign certain names only.

    Raises
    ------
    InputError
        No certificate offered signed `leaf`; one is no link of the chain; one of the chain is no authority,
        isn't in date, may not sign what it signed, or is too weak for Apple's systems (HT210176).
    """
    pool = [certificate for certificate in dict.fromkeys(offered) if certificate != leaf]
    chain = _climb(leaf, pool, now)
    for depth, issuer in enumerate(chain):
        below = sum(link.subject != link.issuer for link in chain[:depth])
        _check_issuer(issuer, below, source, now)
    _refuse_strangers(leaf, chain, pool, source)
    if any(_name_constraints(issuer) for issuer in chain):
        _check_constraints(leaf, chain, source, name, now)
    return tuple(chain)


def check_dates(
    where: str, certificate: x509.Certificate, now: datetime.datetime, when_expired: str, when_early: str
) -> None:
    """Refuse a certificate that isn't in date.

    Parameters
    ----------
    where:
        What the error begins with: the file, or the certificate in it.
    when_expired, when_early:
        The remedy for one that is valid no more, and for one that isn't valid yet.

    Raises
    ------
    InputError
        `now` isn't within the certificate's validity.
    """
    end, start = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    if now > end:
        raise InputError(f"{where} expired on {end:%Y-%m-%d}", when_expired)
    if now < start:
        raise InputError(f"{where} is not valid before {start:%Y-%m-%d %H:%M} UTC", when_early)


def _climb(leaf: x509.Certificate, pool: Sequence[x509.Certificate], now: datetime.datetime) -> list[x509.Certificate]:
    chain: list[x509.Certificate] = []
    current = leaf
    while not is_self_signed(current):
        issuers = [other for other in pool if other not in chain and is_signed_by(current, other)]
        if not issuers:
            break
        # A cross-signed authority comes as several certificates of one key: take one in date.
        current = max(issuers, key=lambda issuer: (in_date(issuer, now), is_self_signed(issuer)))
        chain.append(current)
    return chain


def _refuse_strangers(
    leaf: x509.Certificate, chain: list[x509.Certificate], pool: list[x509.Certificate], source: Path
) -> None:
    known = [(link.subject, link.public_key()) for link in [leaf, *chain]]
    strangers = [other for other in pool if (other.subject, other.public_key()) not in known]
    if not strangers:
        return
    top = chain[-1] if chain else leaf
    impostor = next((other for other in strangers if other.subject == top.issuer), None)
    if impostor is not None and not is_self_signed(top):
        raise InputError(
            f"{source}: the chain doesn't verify: {_who(impostor)} has the name of the issuer of {_who(top)} "
            "and didn't sign it",
            _REMEDY,
        )
    if not chain and is_self_signed(leaf):
        raise InputError(
            f"{source}: the chain doesn't verify: the certificate is self-signed, and {_who(strangers[0])} "
            "has no part in it",
            "leave the chain out",
        )
    if not chain:
        raise InputError(
            f"{source}: the chain doesn't verify: none of its certificates signed {_who(leaf)}, "
            f"whose issuer is {leaf.issuer.rfc4514_string()!r}",
            _REMEDY,
        )
    raise InputError(
        f"{source}: the chain doesn't verify: {_who(strangers[0])} is no link of it, its last is {_who(top)}",
        _REMEDY,
    )


def _check_issuer(issuer: x509.Certificate, below: int, source: Path, now: datetime.datetime) -> None:
    where = f"{source}: the chain doesn't verify: {_who(issuer)}"
    check_dates(where, issuer, now, "get a chain that is in date", "check the machine's clock")
    if not is_authority(issuer):
        raise InputError(f"{where} isn't an authority and signed another", _REMEDY)
    most_below = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    if most_below is not None and below > most_below:
        raise InputError(f"{where} allows {most_below} authorities below it, and there are {below}", _REMEDY)
    complaints = key_complaints(issuer)
    # Nobody verifies the signature of a root: it is trusted as it is.
    if not is_self_signed(issuer):
        complaints += signature_complaints(issuer)
    if complaints:
        raise InputError(f"{where} would be refused: {'; '.join(complaints)}", "ask its maker for a newer chain")


def _name_constraints(issuer: x509.Certificate) -> bool:
    return any(extension.oid == x509.NameConstraints.oid for extension in issuer.extensions)


def _check_constraints(
    leaf: x509.Certificate, chain: Sequence[x509.Certificate], source: Path, name: str, now: datetime.datetime
) -> None:
    everything = verification.ExtensionPolicy.permit_all()
    agnostic = verification.Criticality.AGNOSTIC
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store([chain[-1]]))
        .time(now)
        .extension_policies(
            ca_policy=everything.require_present(x509.BasicConstraints, agnostic, None),
            ee_policy=everything.require_present(x509.SubjectAlternativeName, agnostic, None),
        )
        .build_server_verifier(general_name(name.replace("*", "any", 1)))
    )
    try:
        verifier.verify(leaf, list(chain[:-1]))
    except verification.VerificationError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{source}: the chain doesn't verify: an authority in it is limited to certain names ({reason})",
            "ask the authority for a certificate within its names",
        ) from error


def _who(certificate: x509.Certificate) -> str:
    return repr(certificate.subject.rfc4514_string())

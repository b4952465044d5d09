"""All checks in the order of the report, and the choice of some of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from orthweb.errors import InputError
from orthweb.validation.check import Check
from orthweb.validation.checks import database, dicom, network, replicas, server, storage, tls, web

CHECKS: tuple[Check, ...] = (
    *network.CHECKS,
    *tls.CHECKS,
    *dicom.CHECKS,
    *web.CHECKS,
    *replicas.CHECKS,
    *database.CHECKS,
    *storage.CHECKS,
    *server.CHECKS,
)


def select(only: Sequence[str] = (), skip: Sequence[str] = (), quick: bool = False) -> list[Check]:
    """Choose checks.

    Parameters
    ----------
    only:
        Subjects and identifiers; what these checks need comes with them. Empty for all.
    skip:
        Subjects and identifiers to leave out.
    quick:
        Leave out those that take seconds by their nature.

    Raises
    ------
    InputError
        There is no such subject or check, or nothing is left.
    """
    wanted = _named("--only", only) if only else {check.id for check in CHECKS}
    left_out = _named("--skip", skip) | ({check.id for check in CHECKS if check.slow} if quick else set())
    wanted = _with_needs(wanted - left_out) - left_out
    if not wanted:
        raise InputError("--only and --skip leave no check", "see 'orthweb validate --list'")
    return [check for check in CHECKS if check.id in wanted]


def _named(option: str, words: Iterable[str]) -> set[str]:
    known = [check.id for check in CHECKS]
    subjects = list(dict.fromkeys(check.subject for check in CHECKS))
    found: set[str] = set()
    for word in (part.strip() for words_of_one in words for part in words_of_one.split(",")):
        chosen = {check.id for check in CHECKS if word in (check.id, check.subject)}
        if not chosen:
            near = difflib.get_close_matches(word, [*subjects, *known], 1)
            meant = f"did you mean {near[0]}?" if near else f"the subjects are {', '.join(subjects)}"
            raise InputError(f"{option}: {word!r} is no check and no subject", meant)
        found |= chosen
    return found


def _with_needs(identifiers: set[str]) -> set[str]:
    found: set[str] = set()

    def add(check: Check) -> None:
        if check.id not in found:
            found.add(check.id)
            for need in check.needs:
                add(need)

    for check in CHECKS:
        if check.id in identifiers:
            add(check)
    return found

"""Which presentation contexts a C-GET proposes, so that the archive can send each instance as it keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from pydicom import uid as uids

from orthweb.dicom.requestor import MOST_CONTEXTS, Proposal
from orthweb.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    STANDARD_STORAGE_PREFIX,
)

_ENCAPSULATED = "1.2.840.10008.1.2.4."
# The most usual first: where there is not a context for each, the last share one, and in it the peer chooses.
USUAL_SYNTAXES = (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    *(_ENCAPSULATED + part for part in ("70", "90", "91", "50", "80", "81", "51", "57")),
    "1.2.840.10008.1.2.5",
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    *(_ENCAPSULATED + part for part in ("201", "202", "203", "102", "103", "100", "101", "104", "105", "106")),
    *(_ENCAPSULATED + part for part in ("107", "108", "110", "111", "112", "92", "93")),
)
"""Transfer syntaxes that archives keep images in (PS3.5 section 10, PS3.6 annex A)."""
ENCAPSULATED_SYNTAXES = tuple(
    syntax
    for syntax in USUAL_SYNTAXES
    if syntax not in (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)
)
"""Of those, the ones in which pixels are compressed, or everything."""
# With fewer contexts a class, what is rare would have to be recoded.
_FEWEST = 12
# One context is the C-GET's own.
ROOM = MOST_CONTEXTS - 1

# What the SOP classes of a modality's images begin with, after the prefix of all (PS3.4 annex B.5).
_OF_MODALITY = {
    "CR": ("1", "1.1", "1.1.1"),
    "CT": ("2",),
    "DX": ("1.1", "1.1.1"),
    "MG": ("1.2", "1.2.1", "13.1.3", "13.1.4"),
    "MR": ("4", "4.1", "4.2", "4.3", "4.4"),
    "NM": ("20", "5"),
    "PT": ("128", "128.1", "130"),
    "RF": ("12.2", "12.2.1"),
    "US": ("6.1", "3.1", "6.2", "6", "3"),
    "XA": ("12.1", "12.1.1", "13.1.1"),
    "SR": ("88.11", "88.22", "88.33", "88.67"),
    "KO": ("88.59",),
    "PR": ("11.1", "11.2", "11.3"),
    "SEG": ("66.4",),
    "REG": ("66.1", "66.3"),
    "DOC": ("104.1", "104.2"),
    "ECG": ("9.1.1", "9.1.2", "9.1.3"),
    "RTDOSE": ("481.2",),
    "RTIMAGE": ("481.1",),
    "RTPLAN": ("481.5", "481.8"),
    "RTSTRUCT": ("481.3",),
    "ES": ("77.1.1", "77.1.1.1"),
    "GM": ("77.1.2", "77.1.2.1"),
    "OP": ("77.1.5.1", "77.1.5.2"),
    "OPT": ("77.1.5.4",),
    "SM": ("77.1.6", "77.1.3"),
    "XC": ("77.1.4", "77.1.4.1"),
}
_SECONDARY_CAPTURE = ("7", "7.1", "7.2", "7.3", "7.4")
# Of security screening, material testing and protocols: no images of patients.
_RARE = ("501.", "601.", "200.", "201.", "9.5.", "9.6.", "9.7.", "9.8.", *(f"481.{part}" for part in range(10, 26)))

Needs = Mapping[str, frozenset[str]]
"""SOP classes, each with the transfer syntaxes that its instances are known to be kept in; none where nobody knows."""


def slots(needs: Needs) -> int:
    """How many presentation contexts these SOP classes need at the least."""
    return sum(len(syntaxes) or _FEWEST for syntaxes in needs.values())


def merged(first: Needs, second: Needs) -> Needs:
    """What both need; a class whose syntaxes are not known to one of them is a class of which they are not known."""
    both = dict(first)
    for sop_class, syntaxes in second.items():
        known = both.get(sop_class, syntaxes)
        both[sop_class] = known | syntaxes if known and syntaxes else frozenset()
    return both


def proposals(needs: Needs, syntaxes: Sequence[str] = USUAL_SYNTAXES) -> list[Proposal]:
    """The presentation contexts for these SOP classes, at most 127.

    A class has a context for each transfer syntax, so that none has to be recoded; where they are not known, one for
    each of `syntaxes` as far as there is room, and the rest of them in one.
    """
    known: list[Proposal] = [(sop_class, (syntax,)) for sop_class, told in needs.items() for syntax in sorted(told)]
    unknown = [sop_class for sop_class, told in needs.items() if not told]
    if not unknown:
        return known[:ROOM]
    each = max(1, (ROOM - len(known)) // len(unknown))
    return [*known, *(proposal for sop_class in unknown for proposal in _spread(sop_class, syntaxes, each))][:ROOM]


def guesses(modality: str, syntaxes: Sequence[str] = USUAL_SYNTAXES) -> list[Proposal]:
    """The presentation contexts for a series of which the peer does not tell the SOP classes.

    Those that fit its modality have a context a transfer syntax, as far as there is room, and the other classes of the
    standard one for all.
    """
    likely = [STANDARD_STORAGE_PREFIX + part for part in (*_OF_MODALITY.get(modality, ()), *_SECONDARY_CAPTURE[:1])]
    others = [sop_class for sop_class in _standard_classes() if sop_class not in likely][: ROOM - _FEWEST * len(likely)]
    each = (ROOM - len(others)) // len(likely)
    fitting = [proposal for sop_class in likely for proposal in _spread(sop_class, syntaxes, each)]
    return [*fitting, *((sop_class, tuple(syntaxes)) for sop_class in others)]


def grouped(series: Sequence[Needs]) -> list[list[int]]:
    """Spread series over associations: their numbers, those together whose presentation contexts have room together."""
    groups: list[tuple[list[int], Needs]] = []
    for number, needs in enumerate(series):
        for place, (members, have) in enumerate(groups):
            both = merged(have, needs)
            if slots(both) <= ROOM:
                groups[place] = ([*members, number], both)
                break
        else:
            groups.append(([number], needs))
    return [members for members, _ in groups]


def _spread(sop_class: str, syntaxes: Sequence[str], contexts: int) -> list[Proposal]:
    alone = len(syntaxes) if contexts >= len(syntaxes) else contexts - 1
    rest = tuple(syntaxes[alone:])
    return [*((sop_class, (syntax,)) for syntax in syntaxes[:alone]), *([(sop_class, rest)] if rest else [])]


@cache
def _standard_classes() -> list[str]:
    """The storage SOP classes of the standard (PS3.6 annex A), the retired ones last."""
    found = [uid for uid in vars(uids).values() if isinstance(uid, uids.UID) and "Storage" in uid.name]
    classes = {str(uid): uid.is_retired for uid in found if uid.type == "SOP Class"}
    usual = [uid for uid in classes if _part(uid) and not _part(uid).startswith(_RARE)]
    return sorted(usual, key=lambda uid: (classes[uid], [int(number) for number in uid.split(".")]))


def _part(sop_class: str) -> str:
    return sop_class.removeprefix(STANDARD_STORAGE_PREFIX) if sop_class.startswith(STANDARD_STORAGE_PREFIX) else ""

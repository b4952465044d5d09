"""What two sides have agreed on once an association is accepted."""

from __future__ import annotations

from orthweb.dicom.pdus import ACCEPTED, AssociateAccept, AssociateRequest

AcceptedContexts = dict[int, tuple[str, str]]
"""Abstract and transfer syntax of each accepted presentation context, by its id."""

SHORTEST_MAXIMUM = 128
"""A peer that names a shorter P-DATA-TF than this, in bytes, is taken to mean this: less could not hold a message."""


def accepted_contexts(request: AssociateRequest, accept: AssociateAccept) -> AcceptedContexts:
    """The presentation contexts that were asked for and accepted; results for others are passed over."""
    proposed = {context.id: context.abstract_syntax for context in request.contexts}
    return {
        result.id: (proposed[result.id], result.transfer_syntax)
        for result in accept.contexts
        if result.result == ACCEPTED and result.id in proposed
    }


def longest_taken(peer: AssociateRequest | AssociateAccept) -> int:
    """The longest P-DATA-TF to send to a peer, in bytes without its header; 0 is no limit (PS3.8 annex D.1)."""
    maximum = peer.user_information.maximum_length or 0
    return max(maximum, SHORTEST_MAXIMUM) if maximum else 0

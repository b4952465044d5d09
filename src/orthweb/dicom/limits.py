"""Every limit that an association is held to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds; the defaults suit an archive behind a network that nobody vouches for."""

    maximum_length: int = 262_144
    """Longest P-DATA-TF that is taken, its header of 6 bytes not counted; the peer is told (PS3.8 annex D.1)."""
    associate_length: int = 262_144
    """Longest A-ASSOCIATE-RQ or -AC: 128 presentation contexts of 50 transfer syntaxes are 170 KB."""
    contexts: int = 128
    """Presentation contexts of a request; there are 128 odd numbers below 256."""
    transfer_syntaxes: int = 64
    """Transfer syntaxes of a presentation context."""
    user_information: int = 65_535
    """Bytes of user information."""
    command_length: int = 65_536
    """Bytes of one command set."""
    identifier_length: int = 16_777_216
    """Bytes of one identifier: the dataset of a query or of an answer to one."""
    associations: int = 256
    """Associations in all."""
    associations_per_address: int = 256
    """Associations from one address."""
    handshake_seconds: float = 15
    """For a TLS handshake."""
    request_seconds: float = 30
    """From the connection to a whole A-ASSOCIATE-RQ, and from a request to its answer: the ARTIM timer of PS3.8."""
    closing_seconds: float = 10
    """ARTIM once we have ended an association and wait for the peer to close the connection."""
    pdu_seconds: float = 60
    """From the first byte of a PDU to its last."""
    idle_seconds: float = 600
    """Without a byte from the peer on an association."""
    send_seconds: float = 60
    """Without the peer taking a byte of what we send."""

"""Checks of TLS on both ports: versions, ciphers, certificates, and clients that must be refused."""

from __future__ import annotations

from orthweb.validation.check import Check

CHECKS: tuple[Check, ...] = ()

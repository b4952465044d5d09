"""Checks of the index: reached over TLS only, complete, and holding what was stored."""

from __future__ import annotations

from orthweb.validation.check import Check

CHECKS: tuple[Check, ...] = ()

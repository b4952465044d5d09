"""Checks of the machine and the processes of the site."""

from __future__ import annotations

from orthweb.validation.check import Check

CHECKS: tuple[Check, ...] = ()

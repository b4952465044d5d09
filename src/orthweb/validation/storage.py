"""Checks of the DICOM objects: there, whole, not public, and encrypted where the place has that."""

from __future__ import annotations

from orthweb.validation.check import Check

CHECKS: tuple[Check, ...] = ()

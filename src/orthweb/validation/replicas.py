"""Checks of the Orthanc servers behind the proxy: each answers, and all are the same."""

from __future__ import annotations

from orthweb.validation.check import Check

CHECKS: tuple[Check, ...] = ()

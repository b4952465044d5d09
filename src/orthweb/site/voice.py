"""How what changes a site is heard; the command line decides what a person sees of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Voice:
    """Whom an engine tells what."""

    say: Callable[[str], None]
    """Something was done."""
    warn: Callable[[str], None]
    step: Callable[[str], None]
    """What is being done now."""

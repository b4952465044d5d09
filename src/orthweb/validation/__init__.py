"""Looks at a site from outside, and where it may from inside, and says what is wrong and what to do about it."""

from orthweb.validation.check import Check, Report, Result, Status
from orthweb.validation.registry import CHECKS, select
from orthweb.validation.run import validate

__all__ = ["CHECKS", "Check", "Report", "Result", "Status", "select", "validate"]

"""Runs `orthweb validate` in the tests: what a check says of a good site, and of one that is broken in its way."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import TestSite

PROVED: set[str] = set()
"""Checks that were seen to fail in the running test; `conftest` compares it with the test's mark."""


def validate(site: TestSite, *words: str | Path, **options: Any) -> dict[str, dict[str, Any]]:
    """Validate a site and return the results by check."""
    done = site.orthweb("validate", "--json", *words, **options)
    assert done.status in (0, 1), done.all
    assert not done.err, done.err
    checks = {result["id"]: result for result in json.loads(done.out)["checks"]}
    assert done.status == any(result["status"] == "failed" for result in checks.values())
    return checks


def assert_passes(site: TestSite, *checks: str) -> dict[str, dict[str, Any]]:
    """Check that the site passes these checks, without a warning."""
    results = validate(site, *_only(checks))
    for name in checks:
        result = results[name]
        assert result["status"] == "passed", result
        assert result["message"] and result["proves"] and not result["remedy"], result
    return results


def assert_fails(
    site: TestSite, check: str, message: str, remedy: str, *words: str | Path, status: str = "failed"
) -> dict[str, Any]:
    """Check that a broken site fails this check, with a message and a remedy that these patterns are found in."""
    result = validate(site, *_only([check]), *words)[check]
    assert result["status"] == status, result
    found = [*result["findings"], result]
    matching = [each for each in found if re.search(message, each["message"]) and re.search(remedy, each["remedy"])]
    assert matching, result
    assert "the check itself broke off" not in result["message"], result
    PROVED.add(check)
    return dict(result)


def _only(checks: Sequence[str]) -> list[str]:
    return [word for check in checks for word in ("--only", check)]

"""Every check of `orthweb validate` has a broken twin: a test that breaks a site so that this check must fail."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from orthweb.validation import CHECKS

_ROOT = Path(__file__).parents[2]
_TESTS = _ROOT / "tests/site"


_COLLECT = """
import json, sys, pytest

class Twins:
    def pytest_collection_finish(self, session):
        marks = [mark for item in session.items for mark in item.iter_markers("twin")]
        json.dump(sorted({check for mark in marks for check in mark.args}), open(sys.argv[1], "w"))

sys.exit(pytest.main(["--collect-only", "--quiet", *sys.argv[2:]], plugins=[Twins()]))
"""


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The checks that tests say they break, in their marks `twin`, as pytest collects them."""
    told = tmp_path_factory.mktemp("twins") / "twins.json"
    files = [str(path) for path in sorted(_TESTS.glob("test_validate_*.py"))]
    done = subprocess.run(
        [sys.executable, "-c", _COLLECT, str(told), *files], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return set(json.loads(told.read_text()))


def test_every_check_has_a_test_that_breaks_a_site_in_its_way(twins: set[str]) -> None:
    without = {check.id for check in CHECKS} - twins
    assert not without, f"no test breaks what these look at: {', '.join(sorted(without))}"


def test_every_twin_is_of_a_check(twins: set[str]) -> None:
    assert twins <= {check.id for check in CHECKS} | {"data.removed"}


def test_identifiers_are_unique_and_what_a_check_needs_comes_before_it() -> None:
    seen: set[str] = set()
    for check in CHECKS:
        assert check.id not in seen
        assert {need.id for need in check.needs} <= seen, check.id
        seen.add(check.id)


def test_the_guide_lists_every_check() -> None:
    page = (_ROOT / "docs/validation.md").read_text()
    made = runpy.run_path(str(_ROOT / "scripts/checks.py"))["listed"](page)
    assert made == page, "run: python scripts/checks.py"


def test_every_check_says_what_it_proves_in_a_sentence() -> None:
    for check in CHECKS:
        assert len(check.proves.split()) > 2 and check.proves.endswith("."), check.id

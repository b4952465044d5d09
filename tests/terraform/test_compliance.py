"""The table behind docs/compliance.md says what is: in the modules, in checkov's findings, in the checks and tests."""

from __future__ import annotations

import functools
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tools

from orthweb.validation import CHECKS

_ROOT = Path(__file__).parent.parent.parent
_COMPLIANCE = runpy.run_path(str(_ROOT / "scripts" / "compliance.py"))
_TABLE: dict[str, Any] = _COMPLIANCE["table"]()
_ROWS: list[Any] = [row for rows in _COMPLIANCE["requirements"](_TABLE).values() for row in rows]
_each_row: Callable[..., Any] = pytest.mark.parametrize("row", _ROWS, ids=lambda row: row.id)


@pytest.fixture(scope="module")
def findings() -> list[Any]:
    """What checkov finds on the modules and on a plan of them."""
    found: list[Any] = runpy.run_path(str(_ROOT / "scripts" / "compliance_scan.py"))["findings"]()
    return found


@functools.cache
def _blocks() -> dict[str, str]:
    return {name: kind for kind, name, _ in _COMPLIANCE["blocks"]()}


@pytest.mark.slow
def test_checkov_fails_nothing_and_every_skip_has_its_reason(findings: list[Any]) -> None:
    assert [one for one in findings if one.result == "failed"] == []
    skipped = [one for one in findings if one.result == "skipped"]
    assert all(len(one.reason) > 20 for one in skipped)
    of_source = {(one.check, one.resource) for one in skipped if one.scanned == "source"}
    assert of_source == {(check, name) for check, name, _ in _COMPLIANCE["skips"]()}, "the page names other skips"
    assert len(of_source) < 8, "the public Orthweb skips 8"
    assert {one.scanned for one in findings if one.result == "passed"} == {"source", "plan"}


@pytest.mark.slow
@_each_row
def test_every_check_of_checkov_passes_on_a_resource_of_its_requirement(findings: list[Any], row: Any) -> None:
    resources = {name.replace("data.", "") for name in row.resources}
    of_row = [one for one in findings if one.resource.replace("data.", "") in resources]
    for check in row.checkov:
        results = {one.result for one in of_row if one.check == check}
        assert "passed" in results, f"{row.id}: {check} does not look at {', '.join(row.resources)}"
        assert "failed" not in results


@_each_row
def test_what_a_requirement_names_is_there(row: Any) -> None:
    assert row.resources or row.validate or row.pytest, f"{row.id} is met by nothing"
    assert row.checkov or row.validate or row.terraform or row.pytest, f"{row.id} is shown by nothing"
    assert set(row.resources) <= _blocks().keys()
    assert set(row.validate) <= {check.id for check in CHECKS}
    for test in row.terraform:
        file, run = test.split("/")
        assert f'\nrun "{run}" {{' in (tools.MODULES / "tests" / file).read_text(), test
    for test in row.pytest:
        file, name = test.split("::")
        (path,) = (_ROOT / "tests").rglob(file)
        assert f"\ndef {name}(" in path.read_text(), test


@_each_row
def test_a_requirement_names_controls_of_the_standards_and_each_once(row: Any) -> None:
    assert row.controls
    for framework, controls in row.controls.items():
        assert set(controls) <= _TABLE["frameworks"][framework]["controls"].keys()
        assert len(set(controls)) == len(controls)


def test_every_resource_of_the_modules_is_in_the_table() -> None:
    named = {name for row in _ROWS for name in row.resources}
    made = {name for name, kind in _blocks().items() if kind == "resource"}
    assert made - named == set()


def test_every_control_that_is_listed_is_met_by_a_requirement() -> None:
    for framework, told in _TABLE["frameworks"].items():
        met = {control for row in _ROWS for control in row.controls.get(framework, [])}
        assert set(told["controls"]) - met == set(), told["name"]


def test_no_two_requirements_have_one_name() -> None:
    assert len({row.id for row in _ROWS}) == len(_ROWS)


@pytest.mark.parametrize(
    ("edition", "count", "last"),
    [
        # The last recommendation of each section: 1.1 to 1.22 and so on.
        ("cis", 62, {"1": 22, "2.1": 4, "2.2": 1, "2.3": 3, "2.4": 1, "3": 9, "4": 16, "5": 6}),
        ("cis5", 63, {"1": 21, "2.1": 4, "2.2": 4, "2.3": 1, "3": 9, "4": 16, "5.1": 2, "5": 7}),
    ],
)
def test_each_recommendation_of_cis_is_either_met_or_left_to_the_operator(
    edition: str, count: int, last: dict[str, int]
) -> None:
    every = [f"{section}.{number}" for section, end in last.items() for number in range(1, end + 1)]
    # Where recommendations are below one number, it is none itself.
    every = [one for one in every if one not in last]
    left = [control for one in _TABLE["operator"] for span in one.get(edition, []) for control in _expanded(span)]
    assert len(every) == count
    assert sorted([*_TABLE["frameworks"][edition]["controls"], *left]) == sorted(every)


def _expanded(span: str) -> list[str]:
    first, _, last = span.partition("-")
    section, number = first.rsplit(".", 1)
    end = last.rsplit(".", 1)[1] if last else number
    return [f"{section}.{each}" for each in range(int(number), int(end) + 1)]


def test_the_page_is_what_the_table_makes() -> None:
    page: str = _COMPLIANCE["page"]()
    assert _COMPLIANCE["PAGE"].read_text(encoding="utf-8") == page, "run: python scripts/compliance.py"
    cells = {len(re.findall(r"(?<!\\)\|", line)) for line in page.splitlines() if line.startswith("|")}
    assert cells <= {3, 4, 5}, "a bar in a text would break its table"

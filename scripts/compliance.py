"""Writes docs/compliance.md from scripts/compliance.yaml and the modules: `python scripts/compliance.py`.

The page stands in the repository, where auditors read it; a test holds the table against the modules, the scan and the
checks, and sees that the page is what this makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "compliance.md"
TABLE = ROOT / "scripts" / "compliance.yaml"
MODULES = ROOT / "src" / "orthweb" / "terraform"

_BLOCK = re.compile(r'^(resource|data) "([^"]+)" "([^"]+)"', re.MULTILINE)
_SKIP = re.compile(r"# checkov:skip=(\w+):(.*)")
_HEAD = """\
# Compliance

Orthweb helps you to meet what these standards ask of a site with patients' images. It is not certified, and it does not
certify you: an audit looks at your organisation, and at much that no software does. This page says which control is met
by which part of a site on AWS and how you can see that, what AWS does for you, and what stays with you.

It is made from one table, `scripts/compliance.yaml`. A test holds the table against the Terraform modules, against what
checkov finds there and against the checks of `orthweb validate`.

## How to see it for yourself

| Shown by | What it is | Run |
| --- | --- | --- |
| `CKV_…`, `CKV2_…` | a check of checkov on the modules as written, and as planned for production | `make lint` |
| `tls.dicom.versions` | a check of [`orthweb validate`](validation.md) on the running site | `orthweb validate` |
| `….tftest.hcl` | a run of Terraform's own tests | `make test TESTS=tests/terraform` |
| `test_….py` | a test, most of them with real processes | `make test` |

For an auditor: `orthweb validate --html report.html` writes a page with all evidence. [checkov](https://www.checkov.io)
names its checks by number; the site that it looks at is `examples/complete`.

The modules are in `src/orthweb/terraform/modules/`. `storage.aws_s3_bucket.this` is the resource `aws_s3_bucket.this`
of the module *storage*. What has no resource is done by what runs on the hosts.
"""
_CONTROLS = "| Control | | Requirements |\n| --- | --- | --- |\n"
_SKIPS = """
## Checks that are skipped

checkov has no failed check on the modules. These are skipped, each with its reason beside the resource:

| Check | Resource | Reason |
| --- | --- | --- |
"""
_SHARED = """
## What is shared with AWS

| What | AWS | You | Controls |
| --- | --- | --- | --- |
"""
_OPERATOR = """
## What stays with you

| What | Controls |
| --- | --- |
"""


@dataclass(frozen=True)
class Requirement:
    """A row of the table, which compliance.yaml explains."""

    id: str
    requirement: str
    controls: Mapping[str, list[str]]
    resources: list[str] = field(default_factory=list)
    checkov: list[str] = field(default_factory=list)
    validate: list[str] = field(default_factory=list)
    terraform: list[str] = field(default_factory=list)
    pytest: list[str] = field(default_factory=list)


def table() -> dict[str, Any]:
    """Read compliance.yaml."""
    read: dict[str, Any] = YAML(typ="safe").load(TABLE.read_text(encoding="utf-8"))
    return read


def requirements(read: Mapping[str, Any]) -> dict[str, list[Requirement]]:
    """Give the rows of each subject; an unknown key in one is a TypeError."""
    return {subject: [Requirement(**row) for row in rows] for subject, rows in read["subjects"].items()}


def blocks() -> Iterator[tuple[str, str, str]]:
    """Give every resource and data source of the modules: its kind, its name as the table has it, its text."""
    for path in [*sorted(MODULES.glob("*.tf")), *sorted(MODULES.glob("modules/*/*.tf"))]:
        module = "" if path.parent == MODULES else f"{path.parent.name}."
        text = path.read_text(encoding="utf-8")
        for found in _BLOCK.finditer(text):
            kind, name = found[1], f"{found[2]}.{found[3]}"
            end = text.index("\n}", found.end()) if not text[found.end() :].startswith(" {}") else found.end()
            yield kind, f"{module}{'data.' if kind == 'data' else ''}{name}", text[found.start() : end]


def skips() -> list[tuple[str, str, str]]:
    """Give every check that is skipped: its identifier, the resource, the reason."""
    return [(check, name, reason.strip()) for _, name, text in blocks() for check, reason in _SKIP.findall(text)]


def page() -> str:
    """Make the page."""
    read = table()
    subjects = requirements(read)
    short = {key: told["short"] for key, told in read["frameworks"].items()}
    met = "".join(f"\n### {subject}\n{''.join(_row(row, short) for row in rows)}" for subject, rows in subjects.items())
    frameworks = "".join(_framework(key, told, subjects) for key, told in read["frameworks"].items())
    skipped = "".join(f"| `{check}` | `{name}` | {reason} |\n" for check, name, reason in skips())
    shared = "".join(f"| {one['what']} | {one['aws']} | {one['you']} | {one['controls']} |\n" for one in read["shared"])
    operator = "".join(f"| {one['what']} | {_left(one, short)} |\n" for one in read["operator"])
    return (
        f"{_HEAD}\n## What is met\n{met}{_SKIPS}{skipped}\n## By standard\n{frameworks}"
        f"{_SHARED}{shared}{_OPERATOR}{operator}"
    )


def _row(row: Requirement, short: Mapping[str, str]) -> str:
    controls = "; ".join(f"{short[key]} {', '.join(numbers)}" for key, numbers in row.controls.items())
    told = {
        "Met by": _code(row.resources),
        "checkov": _code(row.checkov),
        "`orthweb validate`": _code(row.validate),
        "Tests": _code([*row.terraform, *row.pytest]),
        "Helps with": controls,
    }
    lines = "".join(f"- {what}: {said}\n" for what, said in told.items() if said)
    return f"\n**{row.id}** {row.requirement}\n\n{lines}"


def _code(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _framework(key: str, told: Mapping[str, Any], subjects: Mapping[str, list[Requirement]]) -> str:
    rows = "".join(
        f"| {control} | {name} | {', '.join(_meeting(key, control, subjects))} |\n"
        for control, name in told["controls"].items()
    )
    return f"\n### {told['name']}\n\n{_CONTROLS}{rows}"


def _meeting(framework: str, control: str, subjects: Mapping[str, list[Requirement]]) -> list[str]:
    return [row.id for rows in subjects.values() for row in rows if control in row.controls.get(framework, [])]


def _left(one: Mapping[str, Any], short: Mapping[str, str]) -> str:
    cis = [f"{name} {', '.join(one[key])}" for key, name in short.items() if key in one]
    return "; ".join(filter(None, [*cis, one["controls"]]))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""Writes the list of checks in `docs/validation.md` from the checks themselves: `python scripts/checks.py`.

The list stands in the repository, where people read the page; a test sees that it is what this makes.
"""

from __future__ import annotations

from pathlib import Path

from orthweb.validation import CHECKS, Check

PAGE = Path(__file__).parents[1] / "docs/validation.md"
_BEGIN, _END = "<!-- checks: made by scripts/checks.py -->\n", "<!-- end of checks -->\n"


def listed(page: str) -> str:
    """The page with the list as it has to be."""
    before, _, rest = page.partition(_BEGIN)
    after = rest.partition(_END)[2]
    return f"{before}{_BEGIN}{_tables()}\n{_END}{after}"


def _tables() -> str:
    tables = []
    for subject in dict.fromkeys(check.subject for check in CHECKS):
        rows = "".join(_row(check) for check in CHECKS if check.subject == subject)
        tables.append(f"\n### {subject}\n\n| Check | Proves | Replaces |\n| --- | --- | --- |\n{rows}")
    return "".join(tables)


def _row(check: Check) -> str:
    marks = ("\\*" if check.slow else "") + ("†" if check.inside else "")
    return f"| `{check.id}`{marks} | {check.proves} | {check.guide} |\n"


if __name__ == "__main__":
    PAGE.write_text(listed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

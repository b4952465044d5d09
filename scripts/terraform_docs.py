"""Writes the README.md of each Terraform module from its variables and outputs: `python scripts/terraform_docs.py`.

With `--check` nothing is written, and the first difference ends it with 1. Terraform itself is not needed: the modules
are formatted by `terraform fmt`, so a block begins and ends at the start of a line.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

MODULES = Path(__file__).parent.parent / "src" / "orthweb" / "terraform"

_BLOCK = re.compile(r'^(variable|output) "([^"]+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
_ARGUMENT = re.compile(r"^  (description|type|default) += (.*(?:\n(?:    .*|  [\])}]+))*)", re.MULTILINE)
_VARIABLES = "| Name | Type | Default | Meaning |\n| --- | --- | --- | --- |\n"
_OUTPUTS = "| Name | Meaning |\n| --- | --- |\n"
_USE = """
```hcl
module "orthweb" {
  source = "<this folder>"
  name   = "clinic"
}
```

Whole examples are in `examples/`. A host gets its values as `docs/aws-hosts.md` of Orthweb tells.
"""


def readme(folder: Path) -> str:
    """Make the page of a module: its first comment, and a table each of its variables and outputs."""
    main = folder / "main.tf"
    root = folder == MODULES
    head = f"# {'Orthweb on AWS' if root else folder.name}\n\n{main.read_text().splitlines()[0].lstrip('# ')}\n"
    variables = [
        f"| `{name}` | `{_short(found['type'])}` | {_default(found)} | {_cell(found['description'])} |\n"
        for name, found in _blocks(folder / "variables.tf", "variable")
    ]
    outputs = [
        f"| `{name}` | {_cell(found['description'])} |\n" for name, found in _blocks(folder / "outputs.tf", "output")
    ]
    return (
        f"{head}{_USE if root else ''}\n"
        f"## Variables\n\n{_VARIABLES}{''.join(variables)}\n"
        f"## Outputs\n\n{_OUTPUTS}{''.join(outputs)}"
    )


def pages() -> dict[Path, str]:
    """Give the text of every README.md, by its path."""
    folders = [MODULES, *sorted(path.parent for path in MODULES.glob("modules/*/main.tf"))]
    return {folder / "README.md": readme(folder) for folder in folders}


def _blocks(path: Path, kind: str) -> Iterator[tuple[str, dict[str, str]]]:
    for found, name, body in _BLOCK.findall(path.read_text()):
        if found == kind:
            yield name, dict(_ARGUMENT.findall(body))


def _short(value: str) -> str:
    """Put a type or a value of several lines on one."""
    line = re.sub(r"\s+", " ", re.sub(r"(?<![{(\[,])\n\s+(?![})\]])", ", ", value))
    return re.sub(r"([(\[]) | ([)\]])", r"\1\2", line.replace(", }", " }"))


def _default(found: dict[str, str]) -> str:
    return f"`{_short(found['default'])}`" if "default" in found else "needed"


def _cell(value: str) -> str:
    return value.strip('"').replace('\\"', '"').replace("|", "\\|").replace("<", "\\<")


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them with what is there."""
    for path, text in pages().items():
        if "--check" not in arguments:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            print(f"{path} is out of date: run 'python scripts/terraform_docs.py'.", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Finds Terraform and the AWS provider on this machine, and runs Terraform as a test wants it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

MODULES = Path(__file__).parent.parent.parent / "src" / "orthweb" / "terraform"

_MISSING = (
    "Terraform 1.11 or newer is needed for this test: https://developer.hashicorp.com/terraform/install, "
    "or name its program with ORTHWEB_TERRAFORM"
)
_DEPTH = 4
# Working folders of Terraform hold providers too, and are gone tomorrow.
_PASSED_OVER = frozenset({".git", ".terraform", ".venv", "node_modules", "proc", "sys"})


def terraform() -> str:
    """Give the program's path: `ORTHWEB_TERRAFORM` first, then PATH. A test without one fails and says what to do."""
    named = os.environ.get("ORTHWEB_TERRAFORM", "terraform")
    found = shutil.which(named)
    if found is None:
        pytest.fail(f"{named} is not there. {_MISSING}" if named != "terraform" else _MISSING, pytrace=False)
    return found


def mirror() -> Path | None:
    """Give a folder to install the provider from, or nothing: then it comes from the Internet as usual.

    `ORTHWEB_TERRAFORM_MIRROR` first, then what lies in the usual places:
    https://developer.hashicorp.com/terraform/cli/config/config-file#provider-installation
    """
    if named := os.environ.get("ORTHWEB_TERRAFORM_MIRROR"):
        return Path(named)
    for root in (Path("/usr"), Path("/opt"), Path("/var"), Path.home()):
        for folder in _folders(root, _DEPTH):
            if folder.name == "registry.terraform.io" and (folder / "hashicorp" / "aws").is_dir():
                return folder.parent
    return None


def environment(home: Path, provider: Path | None) -> dict[str, str]:
    """Give the variables of a Terraform that knows nothing of the person who runs the tests.

    Parameters
    ----------
    home:
        Home folder that it sees; a configuration of the command line is written there for a mirror.
    provider:
        What `mirror` found.
    """
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_VAR_", "TF_CLI_ARGS"))
    }
    variables |= {
        "HOME": str(home),
        "AWS_EC2_METADATA_DISABLED": "true",
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
    }
    if provider is not None:
        configuration = home / "terraform.rc"
        configuration.write_text(
            f'provider_installation {{\n  filesystem_mirror {{\n    path    = "{provider}"\n'
            '    include = ["registry.terraform.io/*/*"]\n  }\n}\n'
        )
        variables["TF_CLI_CONFIG_FILE"] = str(configuration)
    return variables


def working_copy(folder: Path, variables: Mapping[str, str]) -> Path:
    """Copy the modules to a new folder and give them the provider."""
    shutil.copytree(MODULES, folder, ignore=shutil.ignore_patterns(".terraform*"))
    run(folder, variables, ["init", "-backend=false", "-input=false", "-no-color"])
    return folder


def run(folder: Path, variables: Mapping[str, str], arguments: Sequence[str]) -> str:
    """Run Terraform in a folder and give what it printed; a test fails with that when Terraform does."""
    done = subprocess.run(
        [terraform(), *arguments], cwd=folder, env=variables, capture_output=True, text=True, timeout=280, check=False
    )
    if done.returncode != 0:
        pytest.fail(
            f"terraform {' '.join(arguments)} ended with {done.returncode}\n{done.stdout}{done.stderr}", pytrace=False
        )
    return done.stdout


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    try:
        inside = sorted(Path(entry.path) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    for path in inside:
        if path.name in _PASSED_OVER:
            continue
        yield path
        if depth > 1 and path.name != "registry.terraform.io":
            yield from _folders(path, depth - 1)

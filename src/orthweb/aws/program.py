"""Finds Terraform, or OpenTofu, and sees that it is new enough."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass

from orthweb.errors import Failure

# Write-only arguments, and S3 state that is locked without a table.
_OLDEST = (1, 11)
_SECONDS = 30.0
_VARIABLE = "ORTHWEB_TERRAFORM"
_INSTALL = (
    "install Terraform 1.11 or newer (https://developer.hashicorp.com/terraform/install) "
    f"or OpenTofu (https://opentofu.org/docs/intro/install), or name its program with {_VARIABLE}"
)


@dataclass(frozen=True)
class Program:
    """Terraform or OpenTofu on this machine."""

    path: str
    product: str
    version: str


def find_program() -> Program:
    """Find the program: what `ORTHWEB_TERRAFORM` names, else `terraform`, else `tofu`.

    Raises
    ------
    Failure
        There is none, it does not run, or it is too old.
    """
    named = os.environ.get(_VARIABLE)
    for name in [named] if named else ["terraform", "tofu"]:
        path = shutil.which(name)
        if path is not None:
            return _checked(path)
    raise Failure(f"{_VARIABLE}: {named}: no such program" if named else "Terraform is not installed", _INSTALL)


def _checked(path: str) -> Program:
    try:
        told = subprocess.run(
            [path, "version", "-json"],
            capture_output=True, text=True, timeout=_SECONDS, check=True, env={**os.environ, "CHECKPOINT_DISABLE": "1"},
        ).stdout  # fmt: skip
        version = str(json.loads(told)["terraform_version"])
        numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError):
        raise Failure(f"{path}: does not say its version, as Terraform does", _INSTALL) from None
    product = "OpenTofu" if os.path.basename(path).startswith("tofu") else "Terraform"
    if numbers < _OLDEST:
        raise Failure(f"{path}: {product} {version} is too old", _INSTALL)
    return Program(path, product, version)

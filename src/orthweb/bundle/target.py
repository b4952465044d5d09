"""The machines that a bundle can be for, and which wheels fit them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orthweb.errors import InputError

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
# Debian 13 has glibc 2.41; manylinux begins with 2.17. PEP 600.
_GLIBC = range(41, 16, -1)
_HOST_PYTHON = (3, 13)


@dataclass(frozen=True)
class Target:
    """A machine: its processor as Debian names it, its Python, and the platforms whose wheels it takes, best first."""

    architecture: str
    python: tuple[int, int]
    platforms: tuple[str, ...]


def target(architecture: str, python: tuple[int, int] = _HOST_PYTHON) -> Target:
    """Give the machine of an architecture.

    Parameters
    ----------
    architecture:
        `amd64` or `arm64`.
    python:
        Version of its Python, which is CPython; Debian 13's unless given.

    Raises
    ------
    InputError
        There are no hosts of this architecture.
    """
    machine = _MACHINES.get(architecture)
    if machine is None:
        raise InputError(f"--architecture: {architecture!r}", f"write {' or '.join(_MACHINES)}")
    newest = tuple(f"manylinux_2_{minor}_{machine}" for minor in _GLIBC)
    return Target(architecture, python, (*newest, f"manylinux2014_{machine}"))


def architecture_of(instance_type: str) -> str:
    """Give the architecture of a type of EC2's instances, as `terraform/modules/hosts` does."""
    return "arm64" if re.match(r"(a1|[a-z]+[0-9]+g[a-z]*)[.]", instance_type) else "amd64"


def rank(file_name: str, machine: Target) -> int | None:
    """Say how well a wheel fits a machine: 0 is best, None is not at all. PEP 427 and PEP 425 have the names."""
    parts = file_name.removesuffix(".whl").split("-")
    if not file_name.endswith(".whl") or len(parts) not in (5, 6):
        return None
    pythons, abis, platforms = (part.split(".") for part in parts[-3:])
    own = f"cp{machine.python[0]}{machine.python[1]}"
    fits = (
        (own in pythons and {own, "abi3", "none"} & set(abis))
        or ("none" in abis and {"py3", f"py{own[2:]}"} & set(pythons))
        or ("abi3" in abis and any(_older(python, machine.python) for python in pythons))
    )
    if not fits:
        return None
    found = [machine.platforms.index(platform) for platform in platforms if platform in machine.platforms]
    return min(found, default=len(machine.platforms) if "any" in platforms else None)


def _older(tag: str, python: tuple[int, int]) -> bool:
    numbers = re.fullmatch(r"cp3([0-9]+)", tag)
    return numbers is not None and int(numbers[1]) <= python[1]

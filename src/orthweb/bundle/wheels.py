"""Brings together the wheels of the host part: from a folder where they are, else by pip, and each by its hash."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from orthweb.bundle.lock import Pin
from orthweb.bundle.target import Target, rank
from orthweb.errors import Failure, InputError

_REMEDY = "see that pip reaches its index, or name a folder that has the wheels with --wheels"


def gather(
    pins: Sequence[Pin], machine: Target, kept: Path | None, work: Path, step: Callable[[str], None]
) -> dict[str, Path]:
    """Give a wheel for every pin, by the pin's name.

    Parameters
    ----------
    kept:
        A folder whose wheels are taken without asking anybody, and which keeps those that are downloaded; the folder
        above it has to be there.
    work:
        A folder for what is downloaded otherwise.
    step:
        Hears what is being done.

    Raises
    ------
    InputError
        `kept` is not a folder.
    Failure
        A wheel is neither there nor to be had.
    """
    if kept is not None:
        _ensure(kept)
    step("looking at the wheels that are here")
    found = {} if kept is None else _in_folder(pins, machine, kept)
    missing = [pin for pin in pins if pin.name not in found]
    if missing:
        downloaded = Path(tempfile.mkdtemp(prefix="wheels-", dir=work))
        _download(missing, machine, downloaded, step)
        new = _in_folder(missing, machine, downloaded)
        found |= {name: _keep(path, kept) for name, path in new.items()} if kept is not None else new
    for pin in pins:
        if pin.name not in found:
            raise Failure(f"pip gave no wheel of {pin.requirement} for {machine.architecture}", _REMEDY)
    return found


def sha256(path: Path) -> str:
    """Give the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ensure(kept: Path) -> None:
    try:
        kept.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"--wheels: {kept}: {error.strerror}", "name a folder") from None


def _in_folder(pins: Sequence[Pin], machine: Target, folder: Path) -> dict[str, Path]:
    """The best wheel of each pin that a folder has; one that was tampered with or cut off is passed over."""
    by_name = {pin.name: pin for pin in pins}
    fitting: dict[str, list[tuple[int, Path]]] = {}
    for path in sorted(folder.glob("*.whl")):
        pin = by_name.get(re.sub(r"[-_.]+", "-", path.name.split("-")[0]).lower())
        place = rank(path.name, machine)
        if pin is not None and place is not None and path.name.split("-")[1] == pin.version:
            fitting.setdefault(pin.name, []).append((place, path))
    found = {}
    for name, candidates in fitting.items():
        for _, path in sorted(candidates):
            if sha256(path) in by_name[name].hashes:
                found[name] = path
                break
    return found


def _download(pins: Sequence[Pin], machine: Target, folder: Path, step: Callable[[str], None]) -> None:
    """Let pip fetch wheels; where from is pip's own configuration."""
    wanted = folder / "requirements.txt"
    wanted.write_text(
        "".join(f"{pin.requirement} {' '.join(f'--hash=sha256:{one}' for one in sorted(pin.hashes))}\n" for pin in pins)
    )
    platforms = [word for platform in machine.platforms for word in ("--platform", platform)]
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check"),
        *("--progress-bar", "off", "--retries", "1", "--only-binary=:all:", "--no-deps", "--require-hashes"),
        *("--python-version", ".".join(map(str, machine.python)), "--implementation", "cp", *platforms),
        *("--dest", str(folder), "--requirement", str(wanted)),
    ]

    def hear(line: str) -> None:
        if line.startswith("Collecting "):
            step(f"downloading {line.split()[1]}")

    lines = _run(command, hear, folder)
    if lines is not None:
        raise Failure(f"could not download the wheels of the hosts: {_reason(lines)}", _REMEDY)


def _run(command: Sequence[str], hear: Callable[[str], None], folder: Path) -> list[str] | None:
    """Run pip and hear its lines; gives them all when it failed. It never outlives this call, nor do its own files."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "LC_ALL": "C.UTF-8", "TMPDIR": str(folder)}
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace",
    )  # fmt: skip
    lines = []
    try:
        for line in process.stdout or ():
            lines.append(line.strip())
            hear(lines[-1])
        return lines if process.wait() else None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def _reason(lines: Sequence[str]) -> str:
    """What pip says is wrong, in one line: why it was not answered is a warning of its own."""
    if any(line.endswith("No module named pip") for line in lines):
        return "there is no pip beside this Python"
    broken = re.compile(r"""connection broken by '\w+\((?:.*?: )?(.*?)["']?\)': """)
    unreachable = [found[1] for line in lines if (found := broken.search(line))]
    if unreachable:
        return unreachable[-1]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["pip said nothing"])[0 if errors else -1]


def _keep(path: Path, folder: Path) -> Path:
    """Move a wheel into the folder in one step; another run may do the same beside us."""
    handle, temporary = tempfile.mkstemp(prefix=".wheel-", dir=folder)
    os.close(handle)
    try:
        shutil.copyfile(path, temporary)
        Path(temporary).chmod(0o644)
        return Path(temporary).replace(folder / path.name)
    finally:
        Path(temporary).unlink(missing_ok=True)

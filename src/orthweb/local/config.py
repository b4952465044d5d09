"""The folder of rendered configuration: compared with what rendering says, and made equal to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orthweb.local.account import Account
from orthweb.render import Rendered
from orthweb.site.files import ensure_folder, write_file


def write_rendered(folder: Path, files: Mapping[str, Rendered], account: Account) -> None:
    """Write the rendered files that differ from what is there, and remove those that are rendered no more."""
    write_files(folder, files, account)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif str(path.relative_to(folder)) not in files:
            path.unlink()


def write_files(folder: Path, files: Mapping[str, Rendered], account: Account) -> None:
    """Write the rendered files that differ from what is there."""
    for name, rendered in files.items():
        path = folder / name
        ensure_folder(path.parent, account.passing_mode, account.passing_owner)
        if read_rendered(path) != rendered.text:
            write_file(path, rendered.text, 0o600, account.file_owner)


def read_rendered(path: Path) -> str | None:
    """What is there now; None when nothing is."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None

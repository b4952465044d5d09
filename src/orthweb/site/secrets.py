"""The site's generated passwords: made once, kept as files of mode 0600."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from orthweb.errors import InputError
from orthweb.site.files import write_file
from orthweb.site.model import HEALTH_USER
from orthweb.site.paths import SitePaths

_USERS = "users.json"


def ensure_users(
    paths: SitePaths, users: Sequence[str], keep: bool = True, given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Give every user, and the health check, a password that lasts; returns the passwords by user.

    Parameters
    ----------
    keep:
        Without it new ones are made up and not written, for a preview.
    given:
        Passwords that the site has elsewhere; for users that have none here.
    """
    path = paths.secrets / _USERS
    known = {**(given or {}), **read_users(paths)}
    wanted = {user: known.get(user) or new_password() for user in (*users, HEALTH_USER)}
    # A user that orthweb.yaml no longer names keeps its password here, so that naming it again brings it back.
    if keep and wanted.items() - read_users(paths).items():
        write_file(path, json.dumps({**known, **wanted}, indent=2) + "\n", 0o600)
    return wanted


def read_users(paths: SitePaths) -> dict[str, str]:
    """Read the passwords by user; empty before the first `up`. Raises InputError when the file is damaged."""
    path = paths.secrets / _USERS
    try:
        users = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        users = None
    if not isinstance(users, dict) or not all(isinstance(value, str) for value in users.values()):
        raise InputError(f"{path}: is damaged", "bring it back from a backup, or remove it to get new passwords")
    return users


def ensure_password(paths: SitePaths, name: str, keep: bool = True) -> str:
    """Read the password kept as `name`, made on first use; without `keep` a new one is not written."""
    path = paths.secrets / name
    if not path.exists():
        if not keep:
            return new_password()
        write_file(path, new_password() + "\n", 0o600)
    return read_password(path)


def read_password(path: Path) -> str:
    """Read a file that holds one password; raises InputError when it holds none."""
    password = path.read_text(encoding="utf-8").strip()
    if not password:
        raise InputError(f"{path}: is empty", "bring it back from a backup")
    return password


def new_password() -> str:
    """Make a password of 144 random bits that needs no quoting anywhere."""
    while True:
        password = secrets.token_urlsafe(18)
        # A leading hyphen would read as an option on somebody's command line.
        if not password.startswith("-"):
            return password

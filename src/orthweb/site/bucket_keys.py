"""The keys of a bucket: a person's file for a server elsewhere, generated ones for the embedded server."""

from __future__ import annotations

import json
import secrets
import stat
from pathlib import Path

from orthweb.errors import InputError
from orthweb.site.files import write_file
from orthweb.site.model import S3Storage
from orthweb.site.paths import SitePaths


def keys(paths: SitePaths, storage: S3Storage, keep: bool = True) -> tuple[str, str]:
    """Read the access key and the secret key: a person's file for an endpoint, generated ones for the embedded server.

    Raises
    ------
    InputError
        The file is missing, readable by others, or holds no keys.
    """
    if storage.credentials is not None:
        return _read(paths.root / storage.credentials)
    path = paths.secrets / "s3.json"
    if not path.exists():
        made = {"AccessKey": secrets.token_hex(10).upper(), "SecretKey": secrets.token_urlsafe(30)}
        if not keep:
            return made["AccessKey"], made["SecretKey"]
        write_file(path, json.dumps(made) + "\n")
    return _read(path)


def _read(path: Path) -> tuple[str, str]:
    remedy = 'a JSON file of mode 0600 with "AccessKey" and "SecretKey" is needed'
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise InputError(f"{path}: others may read it", f"chmod 600 {path}")
        held = json.loads(path.read_text(encoding="utf-8"))
        return str(held["AccessKey"]), str(held["SecretKey"])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file", remedy) from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: holds no keys", remedy) from None

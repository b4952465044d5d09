#!/usr/bin/python3
"""Start Orthanc as the public image `orthancteam/orthanc` does: the stand-in's `/docker-entrypoint.sh`.

Written for the tests from what the public image documents and does; it is as strict as that one where a host may err:
a file that cannot be written or a plugin that cannot be put in place ends the container. It differs in its plugins:
Debian's, and for the section `AwsS3Storage` the storage plugin of Orthweb's own in place of the one in C++.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

CONFIGURATION = Path("/tmp/orthanc.json")
SECRETS = Path("/run/secrets")
AVAILABLE = Path("/usr/share/orthanc/plugins-available")
FOLDERS = (Path("/run/orthanc/plugins"), Path("/usr/share/orthanc/plugins"))
OPENSSL_NAMES = "/usr/lib/orthweb"
S3_PLUGIN = "/usr/lib/orthweb/python/orthweb/plugins/s3_storage.py"
DEFAULTS = {
    "StorageDirectory": "/var/lib/orthanc/db",
    "RemoteAccessAllowed": True,
    "AuthenticationEnabled": True,
    "HttpsCACertificates": "/etc/ssl/certs/ca-certificates.crt",
}
# By the section that switches them on; the public image has more.
PLUGINS: Mapping[str, tuple[tuple[str, ...], Mapping[str, Any]]] = {
    "DicomWeb": (("OrthancDicomWeb",), {"Enable": True}),
    "PostgreSQL": (
        ("OrthancPostgreSQLIndex", "OrthancPostgreSQLStorage"),
        {"EnableIndex": True, "EnableStorage": False, "EnableSsl": False, "Lock": False, "Port": 5432},
    ),
    "PythonScript": (("OrthancPython",), {}),
    "Housekeeper": (("Housekeeper",), {"Enable": True}),
    "DelayedDeletion": (("DelayedDeletion",), {"Enable": True}),
    "Worklists": (("ModalityWorklists",), {"Enable": True}),
}
# Names that the rule (`QUERY_RETRIEVE_SIZE` is QueryRetrieveSize) gets wrong.
ODD_WORDS = {"POSTGRESQL": "PostgreSQL", "STORE_MD5_FOR_ATTACHMENTS": "StoreMD5ForAttachments"} | {
    "HTTPS_CA_CERTIFICATES": "HttpsCACertificates",
    "CASE_SENSITIVE_PN": "CaseSensitivePN",
}
SWITCHES = {"DICOM_WEB_PLUGIN_ENABLED": "DicomWeb", "POSTGRESQL_PLUGIN_ENABLED": "PostgreSQL"}
_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_VARIABLE = re.compile(r"(?<!\\)\$(?:\{(\w+)(?:(:?-)([^}]*))?\}|(\w+))")


def main(arguments: list[str]) -> None:
    if len(arguments) != 1:
        end("the entry point expects one argument: the path of the configuration", 2)
    fault = os.environ.get("STAND_IN_FAULT")
    if fault:
        end(f"this image is broken on purpose: {fault}")
    host_id()
    settings = merged()
    if settings["RemoteAccessAllowed"] and settings["AuthenticationEnabled"] and not settings.get("RegisteredUsers"):
        end("HTTP authentication is enabled and remote access is allowed, but no user is declared")
    CONFIGURATION.write_text(json.dumps(settings, indent=2))
    words = ["Orthanc"]
    if os.environ.get("TRACE_ENABLED") == "true":
        words.append("--trace")
    elif os.environ.get("VERBOSE_ENABLED") == "true":
        words.append("--verbose")
    if os.environ.get("NO_JOBS") == "true":
        words.append("--no-jobs")
    # See orthweb.local.openssl for what is there and why.
    variables = {"LD_LIBRARY_PATH": OPENSSL_NAMES, "MALLOC_ARENA_MAX": "5"}
    os.execvpe(words[0], [*words, *arguments], {**variables, **os.environ})  # noqa: S606


def end(line: str, status: int = 1) -> NoReturn:
    print(f"ERROR: {line}", file=sys.stderr, flush=True)
    raise SystemExit(status)


def host_id() -> None:
    """DCMTK asks for it when it makes a UID, and without this file the answer may take the resolver's time-out."""
    path, wanted = Path("/etc/hostid"), os.environ.get("GENERATE_HOST_ID_IF_MISSING")
    text = os.environ.get("FORCE_HOST_ID")
    if not text and wanted in (None, "", "true") and (not path.exists() or path.read_text().strip() == "not-generated"):
        text = f"{random.randrange(1 << 28, 1 << 32):x}"
    if text:
        try:
            path.write_text(f"{text}\n")
        except OSError as error:
            end(f"{path}: {error.strerror}")


def merged() -> dict[str, Any]:
    """The configuration from all its places, the later ones first."""
    settings: dict[str, Any] = {}
    for folder in (Path("/etc/orthanc"), SECRETS):
        for path in sorted(folder.glob("*.json")):
            merge(settings, parsed(path.read_text(), str(path)), str(path))
    files: dict[str, str] = {}
    switched = set()
    for name, value in os.environ.items():
        if name == "ORTHANC_JSON":
            merge(settings, parsed(value, name, variables=False), name)
        elif name.endswith("_SECRET"):
            files[value] = name.removesuffix("_SECRET")
        elif name.startswith("ORTHANC__"):
            merge(settings, nested(name, value), name)
        elif name in SWITCHES and value != "false":
            switched.add(SWITCHES[name])
    for path in sorted(SECRETS.glob("*")):
        name = files.get(str(path.relative_to(SECRETS)), path.name)
        if path.is_file() and name.startswith("ORTHANC__"):
            merge(settings, nested(name, path.read_text().rstrip("\n")), str(path))
    return {**DEFAULTS, **with_plugins(settings, switched)}


def with_plugins(settings: dict[str, Any], switched: set[str]) -> dict[str, Any]:
    """Put the plugins in place whose section is there."""
    if "AwsS3Storage" in settings:
        settings.setdefault("PythonScript", S3_PLUGIN)
    target = FOLDERS[0] if FOLDERS[0].is_dir() else FOLDERS[1]
    for section, (libraries, defaults) in PLUGINS.items():
        if section not in settings and section not in switched:
            continue
        if isinstance(settings.get(section, {}), dict):
            settings[section] = {**defaults, **settings.get(section, {})}
        for library in libraries:
            source, copy = AVAILABLE / f"lib{library}.so", target / f"lib{library}.so"
            if not copy.is_file():
                try:
                    shutil.copy(source, copy)
                except OSError as error:
                    end(f"failed to install {copy}: {error.strerror}")
    settings.setdefault("Plugins", [str(folder) for folder in FOLDERS if folder.is_dir()])
    return settings


def parsed(text: str, where: str, variables: bool = True) -> dict[str, Any]:
    """Read JSON with comments; in files `$NAME`, `${NAME}` and `${NAME:-default}` stand for variables first."""
    text = _VARIABLE.sub(replaced, text) if variables else text
    try:
        return dict(json.loads(_COMMENT.sub(lambda match: match[1] or " ", text)))
    except ValueError as error:
        end(f"{where}: {error}")


def replaced(match: re.Match[str]) -> str:
    name, kind, default, simple = match.groups()
    value = os.environ.get(name or simple)
    missing = value is None or (kind == ":-" and not value)
    return (default or "") if missing else str(value)


def nested(name: str, value: str) -> dict[str, Any]:
    """Give what a variable says: a double underscore leads into a section, and the value may be JSON."""
    try:
        content: Any = json.loads(value)
    except ValueError:
        content = value
    for word in reversed(name.removeprefix("ORTHANC__").split("__")):
        key = ODD_WORDS.get(word) or "".join(part[:1] + part[1:].lower() for part in word.split("_"))
        content = {key: content}
    return dict(content)


def merge(first: dict[str, Any], second: Mapping[str, Any], where: str) -> None:
    for key, value in second.items():
        if isinstance(value, dict) and isinstance(first.get(key), dict):
            merge(first[key], value, where)
            continue
        if key in first:
            print(f"WARNING: {key} has already been defined; it will be overwritten by {where}", flush=True)
        first[key] = value


main(sys.argv[1:])

"""Checks that the Orthanc servers are configured alike, but for what each has to have of its own."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from orthweb.validation.check import check
from orthweb.validation.checks.replica_clients import ANSWER, differences, read_each, restart, several
from orthweb.validation.look import Look

_OWN = {"Name", "HttpPort", "DicomPort", "DatabaseServerIdentifier"}
# What the check of versions looks at.
_VERSIONS = {"Version", "ApiVersion", "DatabaseVersion", "DatabaseBackendPlugin", "StorageAreaPlugin"}
_IDENTIFIER = "DatabaseServerIdentifier"
_MAYBE_SECRET = re.compile(
    r"pass|secret|token|key|credential|user|auth|ur[il]|peer|server|licen[cs]e|header", re.IGNORECASE
)
_LONGEST = 80
# Of this run alone, so that nobody learns a value by trying.
_SALT = secrets.token_bytes(16)


@check(
    "replicas.configuration",
    "Every Orthanc server has the same configuration, but for name, ports and identifier.",
    needs=(ANSWER,),
    inside=True,
)
def CONFIGURATION(look: Look) -> str:
    replicas = several(look)
    written = {replica.name: dict(options(replica.configuration)) for replica in replicas}
    count = max(map(len, written.values()))
    systems = read_each(look, "/system")
    running = {
        name: {f"{key} as it runs": _shown(key, value) for key, value in system.items() if key not in _OWN | _VERSIONS}
        for name, system in systems.items()
    }
    modalities = {
        name: {f"modality {key} as it runs": value for key, value in options(known)}
        for name, known in read_each(look, "/modalities?expand").items()
    }
    told = {name: {**written[name], **running[name], **modalities[name]} for name in written}
    look.saw("compared", f"{count} options, {len(running[replicas[0].name])} of what runs, and the modalities")
    for difference in differences(told):
        look.wrong(difference, restart())
    return f"{count} options are the same at {', '.join(written)}"


@check(
    "replicas.identifier",
    "Every Orthanc server has a DatabaseServerIdentifier of its own in the shared index.",
    needs=(ANSWER,),
    inside=True,
)
def IDENTIFIER(look: Look) -> str:
    replicas = several(look)
    systems = read_each(look, "/system")
    # Orthanc tells it since 1.11.1; before that only its configuration does.
    found = {
        replica.name: str(systems[replica.name].get(_IDENTIFIER) or replica.configuration.get(_IDENTIFIER) or "")
        for replica in replicas
    }
    look.saw(_IDENTIFIER, "\n".join(f"{name}: {identifier or 'not set'}" for name, identifier in found.items()))
    names: dict[str, list[str]] = {}
    for name, identifier in found.items():
        names.setdefault(identifier, []).append(name)
    for identifier, sharing in names.items():
        if not identifier:
            look.warn(
                f"{', '.join(sharing)}: {_IDENTIFIER} is not set, and Orthanc makes one of its address and ports",
                f"set it: a container gets another address with each start; {restart()}",
            )
        elif len(sharing) > 1:
            look.wrong(
                f"{' and '.join(sharing)} have the same {_IDENTIFIER}, {identifier}: each undoes the other's state",
                f"give each its own; {restart()}",
            )
    return f"{len(names)} servers, {len(names)} identifiers"


def options(configuration: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Every option of a configuration by its path, as text that may be shown; what a server has of its own left out."""
    for key, value in configuration.items():
        path = f"{before}{key}"
        if path in _OWN:
            continue
        if isinstance(value, Mapping) and value:
            yield from options(value, f"{path}.")
        else:
            yield path, _shown(path, value)


def _shown(path: str, value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    # Two values that may not be shown still have to differ in what is shown.
    if _MAYBE_SECRET.search(path):
        return f"a value that is not shown ({_mark(value)})"
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({_mark(value)})"


def _mark(value: Any) -> str:
    return hashlib.sha256(_SALT + str(value).encode()).hexdigest()[:8]

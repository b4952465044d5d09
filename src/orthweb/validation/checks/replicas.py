"""Checks of the Orthanc servers behind the proxy: each answers, and all see the same study in the same version."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from orthweb.validation.check import check
from orthweb.validation.checks import dicom, replica_options, replica_sessions
from orthweb.validation.checks.dicomweb import judge_file
from orthweb.validation.checks.replica_clients import ANSWER, ask_each, differences, read_each, restart, several
from orthweb.validation.look import Look
from orthweb.validation.probes.web_client import Answer

_VERSIONS = ("Version", "ApiVersion", "DatabaseVersion", "DatabaseBackendPlugin", "StorageAreaPlugin")
_NO_FILE = "no file"


@check(
    "replicas.study",
    "Every Orthanc server sees the same study and reads its file.",
    needs=(ANSWER, dicom.STORE),
    inside=True,
)
def STUDY(look: Look) -> str:
    data = look.data
    instance = data.orthanc_instance(data.ct)
    studies = ask_each(look, f"/studies/{data.orthanc_study}")
    instances = ask_each(look, f"/instances/{instance}")
    blind = [name for name in studies if {studies[name].status, instances[name].status} != {200}]
    for name in blind:
        statuses = studies[name].status, instances[name].status
        look.saw(name, f"study {statuses[0]}, instance {statuses[1]}")
        if 404 in statuses:
            look.wrong(
                f"{name} does not see the test study: it is on another database",
                f"compare the section PostgreSQL of its configuration with the others'; {restart(name)}",
            )
        else:
            look.wrong(f"{name} answers {max(statuses)} for the test study", f"see 'orthweb logs {name}'")
    if blind:
        return ""
    files = ask_each(look, f"/instances/{instance}/file")
    told = ask_each(look, f"/instances/{instance}/attachments/dicom/md5")
    for name, file in files.items():
        _judge_file(look, name, file, told[name])
    md5s = {name: _md5(file) for name, file in files.items()}
    look.saw("MD5 of the file", "\n".join(f"{name}: {md5}" for name, md5 in md5s.items()))
    if len(set(md5s.values()) - {_NO_FILE}) > 1:
        look.wrong("the Orthanc servers give different files for one instance", f"see their storage; {restart()}")
    return f"{len(studies)} Orthanc servers see it, with the same MD5"


def _judge_file(look: Look, name: str, file: Answer, told: Answer) -> None:
    if file.status != 200:
        look.wrong(
            f"{name} knows the test image and cannot read it (it answers {file.status}): it has another storage",
            f"compare StorageDirectory and the plugins of its configuration with the others'; {restart(name)}",
        )
        return
    known = told.body.decode(errors="replace").strip() if told.status == 200 else ""
    # Empty where StoreMD5ForAttachments is off.
    if known and known != _md5(file):
        look.wrong(f"{name} gives a file whose MD5 is not that of its index", f"see the disk and the logs of {name}")
    judge_file(look, name, look.data.ct, file.body)


def _md5(file: Answer) -> str:
    return hashlib.md5(file.body, usedforsecurity=False).hexdigest() if file.status == 200 else _NO_FILE


@check(
    "replicas.version", "Every Orthanc server has the same version and the same plugins.", needs=(ANSWER,), inside=True
)
def VERSION(look: Look) -> str:
    names = [replica.name for replica in several(look)]
    systems = read_each(look, "/system")
    plugins = _plugins(look, names)
    versions: dict[str, Mapping[str, Any]] = {
        name: {key: system[key] for key in _VERSIONS if key in system} | plugins[name]
        for name, system in systems.items()
    }
    for name, found in versions.items():
        look.saw(name, "\n".join(f"{what}: {version}" for what, version in found.items()))
    for difference in differences(versions):
        look.wrong(difference, f"install the same packages for all and restart them: {restart()}")
    first = next(iter(systems.values()))
    return f"{len(systems)} Orthanc servers {first.get('Version', '')} with the same plugins"


def _plugins(look: Look, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Versions of the plugins by server."""
    found: dict[str, dict[str, str]] = {name: {} for name in names}
    listed = read_each(look, "/plugins", list)
    for plugin in sorted({str(name) for some in listed.values() for name in some if not str(name).endswith(".js")}):
        for name, answer in ask_each(look, f"/plugins/{quote(plugin)}").items():
            try:
                version = str(answer.json().get("Version")) if answer.status == 200 else "not there"
            except (ValueError, AttributeError):
                version = "not told"
            found[name][f"plugin {plugin}"] = version
    return found


CHECKS = (
    ANSWER,
    STUDY,
    VERSION,
    replica_options.CONFIGURATION,
    replica_options.IDENTIFIER,
    replica_sessions.AFFINITY,
    replica_sessions.SPREAD,
)

"""Asks every Orthanc server behind the proxy by itself, as the proxy does, and compares what they say."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from orthweb.validation.check import check
from orthweb.validation.checks.web_login import silence
from orthweb.validation.look import Look
from orthweb.validation.probes.web_client import Answer, WebClient
from orthweb.validation.target import ReplicaAddress

_MOST_AT_ONCE = 4


@check("replicas.answer", "Every Orthanc server behind the proxy answers.", inside=True)
def ANSWER(look: Look) -> str:
    if look.target.web.credentials is None:
        look.skip("no user of the web page was given, as whom to ask them")
    replicas = look.inside.replicas
    if not replicas:
        look.skip("no Orthanc server behind the proxy is known")
    for replica, answer in zip(replicas, _all(look, "/system"), strict=True):
        if isinstance(answer, OSError):
            look.saw(replica.name, silence(answer))
            look.wrong(
                f"{replica.name} does not answer: {silence(answer)}",
                f"see 'orthweb logs {replica.name}'; 'orthweb up' starts what is stopped, and {restart(replica.name)}",
            )
        else:
            look.saw(replica.name, answer.status)
            if answer.status != 200:
                look.wrong(f"{replica.name} answers {answer.status} to the site's user", restart(replica.name))
    return f"{len(replicas)} of {len(replicas)} Orthanc servers answer"


def ask_each(look: Look, path: str) -> dict[str, Answer]:
    """What every server answers, by its name; fails the check when one gives no answer."""
    found = {}
    for replica, answer in zip(look.inside.replicas, _all(look, path), strict=True):
        if isinstance(answer, OSError):
            look.fail(f"{replica.name} does not answer: {silence(answer)}", restart(replica.name))
        found[replica.name] = answer
    return found


def read_each(look: Look, path: str, kind: type = dict) -> dict[str, Any]:
    """What every server answers as JSON, by its name; fails the check when it is not of this kind."""
    found = {}
    for name, answer in ask_each(look, path).items():
        try:
            found[name] = answer.json() if answer.status == 200 else None
        except ValueError:
            found[name] = None
        if not isinstance(found[name], kind):
            look.fail(f"{name} answers {answer.status} to {path}, and not in JSON", f"see 'orthweb logs {name}'")
    return found


def differences(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Where servers differ, a sentence each: what it is, and who has what."""
    sentences = []
    for key in sorted({key for one in found.values() for key in one}):
        having: dict[str, list[str]] = {}
        for name, one in found.items():
            having.setdefault(str(one.get(key, "not there")), []).append(name)
        if len(having) > 1:
            # What most have comes first.
            parts = sorted(having.items(), key=lambda part: -len(part[1]))
            sentences.append(f"{key} is " + ", and ".join(f"{value} at {', '.join(names)}" for value, names in parts))
    return sentences


def several(look: Look) -> tuple[ReplicaAddress, ...]:
    """The servers, where there is more than one; else the check is skipped."""
    if len(look.inside.replicas) < 2:
        look.skip("the site has one Orthanc server")
    return look.inside.replicas


def restart(name: str = "") -> str:
    """What brings the configuration of a server, or of all, back."""
    return f"'orthweb up' writes their configuration anew, and '{f'orthweb restart {name}'.strip()}' has it taken up"


def _all(look: Look, path: str) -> list[Answer | OSError]:
    """What every server answers; all are asked at the same time, so that those that hang cost no more than one."""
    credentials, timeout = look.target.web.credentials, look.remaining()

    def ask(replica: ReplicaAddress) -> Answer | OSError:
        try:
            return WebClient.of_replica(replica, credentials).get(path, timeout=timeout)
        except OSError as error:
            return error

    with ThreadPoolExecutor(_MOST_AT_ONCE) as pool:
        return list(pool.map(ask, look.inside.replicas))

"""Checks of how the proxy shares out the web port's sessions: each stays where it is, and every server gets some."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orthweb.validation.check import check
from orthweb.validation.checks.replica_clients import ANSWER, read_each, several
from orthweb.validation.checks.web_login import LOGIN, OUR_PROXY, ask, read_json
from orthweb.validation.look import Look
from orthweb.validation.probes.web_client import Answer, WebClient

# A proxy without affinity sends as many to one of two servers once in 500,000 times.
_REQUESTS = 20
# One of sixteen is missed by so many for each once in 20 million times.
_TRIES_EACH = 20


@check(
    "replicas.affinity",
    "A browser's session stays on one Orthanc server.",
    needs=(ANSWER, LOGIN),
    inside=True,
)
def AFFINITY(look: Look) -> str:
    several(look)
    who = _names(look)
    client = WebClient.of_door(look.target.web)
    first = ask(look, client, "/system")
    cookies = _cookies(first)
    # The value of a session's cookie is nobody's business.
    look.saw("cookies of the first answer", ", ".join(sorted(cookies)) or "none")
    answered = []
    for _ in range(_REQUESTS):
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())} if cookies else {}
        answer = ask(look, client, "/system", headers=sent)
        cookies |= _cookies(answer)
        answered.append(who(answer))
    look.saw("answered by", ", ".join(answered))
    servers = sorted(set(answered))
    if len(servers) > 1:
        without = "" if cookies else " (the site gives no cookie)"
        look.fail(
            f"{_REQUESTS} requests of one session were answered by {', '.join(servers)}{without}",
            f"have the proxy keep a session on its server with a cookie; {OUR_PROXY}",
        )
    return f"{_REQUESTS} requests of one session, all answered by {servers[0]}"


@check("replicas.spread", "The proxy gives new sessions to every Orthanc server.", needs=(ANSWER, LOGIN), inside=True)
def SPREAD(look: Look) -> str:
    replicas = several(look)
    who = _names(look)
    client = WebClient.of_door(look.target.web)
    left = {replica.name for replica in replicas}
    tries = _TRIES_EACH * len(replicas)
    for number in range(1, tries + 1):
        left.discard(who(ask(look, client, "/system")))
        if not left:
            look.saw("new sessions", number)
            return f"every Orthanc server was reached, after {number} new sessions"
    for name in sorted(left):
        look.warn(
            f"the proxy gave none of {tries} new sessions to {name}",
            f"see 'orthweb status' and whether the proxy's configuration lists {name}; {OUR_PROXY}",
        )
    return ""


def _names(look: Look) -> Callable[[Answer], str]:
    """Make what tells which server an answer of /system came from."""
    known = {_identity(system): name for name, system in read_each(look, "/system").items()}
    if len(known) < len(look.inside.replicas):
        look.skip("the Orthanc servers have the same Name and ports, so that their answers look alike")

    def who(answer: Answer) -> str:
        return known.get(_identity(read_json(look, answer, "/system", dict)), "a server that is not known here")

    return who


def _identity(system: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(system.get(key)) for key in ("Name", "HttpPort", "DicomPort"))


def _cookies(answer: Answer) -> dict[str, str]:
    pairs = (cookie.partition(";")[0].partition("=") for cookie in answer.set_cookies)
    return {name.strip(): value.strip() for name, _, value in pairs}

"""Checks of what the web port must refuse: no login, wrong and well-known passwords, odd methods and paths."""

from __future__ import annotations

import json
import re
import secrets

from orthweb.validation.check import check
from orthweb.validation.checks.dicomweb import USUAL_ROOT, find_root
from orthweb.validation.checks.web_login import ANSWERS, GUIDE, LOGIN, OUR_PROXY, ask, silence
from orthweb.validation.look import Look
from orthweb.validation.probes.web_client import Answer, WebClient
from orthweb.validation.target import Credentials

_AUTHENTICATION = (
    "set AuthenticationEnabled to true in Orthanc's configuration, or have the proxy ask for a login; on a site of "
    "Orthweb's 'orthweb up' writes it anew and 'orthweb restart' has it taken up"
)
_USERS = (
    "take this user out of Orthanc's RegisteredUsers or give it another password; on a site of Orthweb's "
    "'orthweb up' and 'orthweb restart' bring its own users back"
)
_GETS = (
    "/system",
    "/patients",
    "/studies",
    "/series",
    "/instances",
    "/changes",
    "/statistics",
    "/modalities",
    "/plugins",
    "/jobs",
    "/app/explorer.html",
    "/wado?requestType=WADO",
)
_STATES_REFUSAL = {401, 403, 429}
# Not there at all, or not with this method.
_NOTHING_THERE = {404, 405, 501}

# From Orthanc's documentation, its configuration template, and the samples of its container images.
_WELL_KNOWN = (
    ("orthanc", "orthanc"),
    ("orthanc", "change-me"),
    ("admin", "admin"),
    ("admin", "password"),
    ("admin", "orthanc"),
    ("admin", "change-me"),
    ("demo", "demo"),
    ("alice", "alicePassword"),
    ("alice", "orthanctest"),
    ("alice", "bob"),
    ("bob", "alice"),
    ("doctor", "doctor"),
    ("doctor", "change-me"),
    ("share-user", "change-me"),
    ("test", "test"),
    ("user", "user"),
    ("user", "password"),
    ("root", "root"),
)


@check("web.anonymous", "Who does not log in gets no data, no page, and can store nothing.", needs=(ANSWERS,))
def ANONYMOUS(look: Look) -> str:
    client = WebClient.of_door(look.target.web)
    dicomweb = {USUAL_ROOT}
    if client.credentials is not None:
        dicomweb.add(find_root(look, client) or USUAL_ROOT)
    query = json.dumps({"Level": "Study", "Query": {"StudyInstanceUID": look.data.study}}).encode()
    # Nothing here could be stored: Orthanc refuses what is no DICOM file, once it has let somebody in.
    asked: list[tuple[str, str, bytes | None]] = [("GET", path, None) for path in _GETS]
    asked += [("POST", "/instances", b"no DICOM"), ("POST", "/tools/find", query)]
    for root in sorted(dicomweb):
        asked += [("GET", f"{root}studies", None), ("POST", f"{root}studies", b"no DICOM")]
    refused = 0
    with client.keeping() as kept:
        for method, path, body in asked:
            answer = ask(look, kept, path, method, body=body, credentials=False)
            look.saw(f"{method} {path}", answer.status)
            refused += _refuses(look, f"{method} {path}", answer)
    return f"{refused} requests without a login refused"


def _refuses(look: Look, request: str, answer: Answer) -> bool:
    # A redirection leads to a page for logging in, or to where the same is asked again.
    if answer.status in _STATES_REFUSAL or 300 <= answer.status < 400:
        return True
    if answer.status >= 500 and answer.status not in _NOTHING_THERE:
        look.wrong(f"{request} without a login is answered with {answer.status}", "see 'orthweb logs'")
    elif answer.status not in _NOTHING_THERE:
        look.wrong(f"{request} is answered with {answer.status} to somebody who has not logged in", _AUTHENTICATION)
    return False


@check(
    "web.wrong-password", "A wrong password is refused, and so are an empty one and the user's name.", needs=(LOGIN,)
)
def WRONG_PASSWORD(look: Look) -> str:
    client = WebClient.of_door(look.target.web)
    user = client.credentials.user if client.credentials is not None else ""
    usual = _refusal(look, client, user)
    # With the made-up one three and no more: some proxies lock a user out after five.
    tries = {
        f"{user} with an empty password": Credentials(user, ""),
        f"{user} with its own name as password": Credentials(user, user),
        "somebody without name and password": Credentials("", ""),
    }
    for who, credentials in tries.items():
        refused = not _gets_in(look, client, credentials, usual)
        look.saw(who, "refused" if refused else "gets in")
        if not refused:
            look.wrong(f"{who} gets in", f"change the password; {_USERS}")
    return f"{user} gets in with the right password only"


@check(
    "web.well-known-logins",
    "Logins from Orthanc's documentation and container images are refused.",
    needs=(ANSWERS,),
    guide=GUIDE,
)
def WELL_KNOWN(look: Look) -> str:
    # Behind the proxy one server may know users that the others don't.
    replicas = look.target.inside.replicas if look.target.inside is not None else ()
    clients = {"the web port": WebClient.of_door(look.target.web)}
    clients |= {replica.name: WebClient.of_replica(replica, None) for replica in replicas}
    found: dict[str, list[str]] = {}
    for where, client in clients.items():
        try:
            with client.keeping() as kept:
                for user in _known_at(look, kept, where):
                    found.setdefault(user, []).append(where)
        except OSError as error:
            if client is clients["the web port"]:
                raise
            # Whether it answers at all, another check tells.
            look.saw(where, f"no answer: {silence(error)}")
    for user, places in found.items():
        look.wrong(
            f"{user} gets in with a password that everybody can read in Orthanc's documentation ({', '.join(places)})",
            _USERS,
        )
    return f"{len(_WELL_KNOWN)} logins refused by {', '.join(clients)}"


def _known_at(look: Look, client: WebClient, where: str) -> list[str]:
    """The users that get in with a well-known password, each once."""
    usual = _refusal(look, client, f"nobody-{secrets.token_hex(4)}")
    found = [user for user, password in _WELL_KNOWN if _gets_in(look, client, Credentials(user, password), usual)]
    look.saw(where, f"{len(_WELL_KNOWN)} logins tried, {len(found)} got in")
    return list(dict.fromkeys(found))


def _refusal(look: Look, client: WebClient, user: str) -> int:
    """How this site refuses: the status with which it answers a made-up password."""
    made_up = Credentials(user, secrets.token_urlsafe(24))
    answer = client.get("/system", credentials=made_up, timeout=look.remaining())
    look.saw(f"{user} with a made-up password", answer.status)
    if answer.status >= 500:
        look.fail(f"a wrong login is answered with {answer.status}", "see 'orthweb logs'")
    if answer.status not in _STATES_REFUSAL and not 300 <= answer.status < 400:
        look.fail(f"{user} gets in with a made-up password", _AUTHENTICATION)
    return answer.status


def _gets_in(look: Look, client: WebClient, credentials: Credentials, usual: int) -> bool:
    answer = client.get("/system", credentials=credentials, timeout=look.remaining())
    # 401 for wrong logins and 403 for this one means: known, and not allowed to see this.
    return answer.status not in (usual, 429)


@check("web.methods", "TRACE, CONNECT and methods that nobody knows are refused.", needs=(ANSWERS,))
def METHODS(look: Look) -> str:
    client = WebClient.of_door(look.target.web)
    methods = {"TRACE": "/system", "TRACK": "/system", "DEBUG": "/system", "ORTHWEB": "/system"}
    methods["CONNECT"] = f"{client.host}:{client.port}"
    for method, path in methods.items():
        try:
            answer = client.request(method, path, credentials=False, timeout=look.remaining(3))
        except OSError as error:
            look.saw(method, f"no answer: {error}")
            continue
        look.saw(method, answer.status)
        if answer.status < 300:
            look.wrong(
                f"{method} is answered with {answer.status}, without a login",
                f"have the proxy refuse all but the usual methods; {OUR_PROXY}",
            )
    return f"{', '.join(methods)} refused"


_TRAVERSALS = (
    "/../../../../../../etc/passwd",
    "/app/../../../../../../etc/passwd",
    "/app/..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/app/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/app/....//....//....//....//....//....//etc/passwd",
    "/app/images/..%5c..%5c..%5c..%5c..%5c..%5cetc%5cpasswd",
    "/app//etc/passwd",
)
# The line of root in passwd(5).
_ROOT = re.compile(rb"^root:[^:\n]*:0:0:", re.MULTILINE)


@check("web.traversal", "No address leads out of the web pages to the machine's own files.", needs=(ANSWERS,))
def TRAVERSAL(look: Look) -> str:
    client = WebClient.of_door(look.target.web)
    with client.keeping() as kept:
        for path in _TRAVERSALS:
            answer = ask(look, kept, path)
            look.saw(f"GET {path}", answer.status)
            if _ROOT.search(answer.body):
                look.wrong(
                    f"GET {path} gives a file of the machine",
                    f"take the site off the network, then see what serves this path; {OUR_PROXY}",
                )
    return f"{len(_TRAVERSALS)} addresses that try to are refused"

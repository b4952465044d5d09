"""Checks of what a person and a load balancer see first: Orthanc's own web page with all its parts, and /healthz."""

from __future__ import annotations

from html.parser import HTMLParser

from orthweb.validation.check import check
from orthweb.validation.checks.web_login import ANSWERS, GUIDE, LOGIN, OUR_PROXY, ask, join
from orthweb.validation.look import Look
from orthweb.validation.probes.web_client import Answer, WebClient

_MOST_REDIRECTS = 5
_FRONT_PAGES = ("/", "/app/explorer.html")
# WHATWG MIME Sniffing 4.6; with nosniff a browser runs nothing else.
_SCRIPT_TYPES = ("javascript", "ecmascript")
_PAGE = "see 'orthweb logs', and LuaScripts in Orthanc's configuration; an Orthanc without its pages: install it anew"


@check("web.explorer", "The web page comes with all its scripts and styles.", needs=(LOGIN,), guide=GUIDE)
def EXPLORER(look: Look) -> str:
    with WebClient.of_door(look.target.web).keeping() as client:
        path, page = _front_page(look, client)
        parts = _Parts()
        parts.feed(page.body.decode(errors="replace"))
        base = join(f"{client.address}{path}", parts.base)
        count = 0
        for kind, address in parts.found:
            url = join(base, address)
            if url.startswith(f"{client.address}/"):
                _judge_part(look, client, kind, url.removeprefix(client.address))
                count += 1
            else:
                look.saw(f"{kind} from elsewhere, left alone", url or address)
    if not count:
        look.fail(f"{path} has no scripts and styles: it is not Orthanc's page", _PAGE)
    return f"{path} and its {count} scripts and styles"


def _front_page(look: Look, client: WebClient) -> tuple[str, Answer]:
    """The page that a browser ends at, and its path."""
    answers = []
    for front in _FRONT_PAGES:
        path, answer = _follow(look, client, front)
        if answer.status == 200 and "html" in answer.headers.get("content-type", ""):
            return path, answer
        answers.append(f"{path} answers {answer.status}")
    look.fail(f"there is no web page: {', '.join(answers)}", _PAGE)


def _follow(look: Look, client: WebClient, path: str) -> tuple[str, Answer]:
    for _ in range(_MOST_REDIRECTS):
        answer = ask(look, client, path)
        location = answer.headers.get("location", "")
        look.saw(f"GET {path}", f"{answer.status} {location}".strip())
        url = join(f"{client.address}{path}", location)
        if not 300 <= answer.status < 400 or not url.startswith(f"{client.address}/"):
            break
        path = url.removeprefix(client.address).partition("#")[0]
    return path, answer


def _judge_part(look: Look, client: WebClient, kind: str, path: str) -> None:
    answer = ask(look, client, path)
    media = answer.headers.get("content-type", "").lower()
    look.saw(f"{kind} {path}", f"{answer.status} {media}, {len(answer.body)} bytes")
    if answer.status != 200:
        look.wrong(f"the {kind} {path} of the web page answers {answer.status}", _PAGE)
    elif "nosniff" in answer.headers.get("x-content-type-options", "").lower():
        wanted = _SCRIPT_TYPES if kind == "script" else ("text/css",)
        if not any(word in media for word in wanted):
            look.wrong(f"browsers leave out the {kind} {path}, because its type is {media or 'not told'}", _PAGE)


class _Parts(HTMLParser):
    """Collects what a page loads to work: scripts and styles, each once."""

    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Hear one element of the page."""
        told = {name: value or "" for name, value in attrs}
        part = None
        if tag == "base":
            self.base = told.get("href", "")
        elif tag == "script" and told.get("src"):
            part = ("script", told["src"])
        elif tag == "link" and "stylesheet" in told.get("rel", "").lower().split() and told.get("href"):
            part = ("style", told["href"])
        if part is not None and part not in self.found:
            self.found.append(part)


@check("web.healthz", "/healthz answers load balancers without a login.", needs=(ANSWERS,))
def HEALTHZ(look: Look) -> str:
    client = WebClient.of_door(look.target.web)
    answer = ask(look, client, "/healthz", credentials=False)
    look.saw("GET /healthz without a login", answer.status)
    if answer.status == 200:
        return "/healthz answers 200"
    if answer.status == 503:
        look.fail(
            "/healthz answers 503: no Orthanc server is well and reaches its database",
            "see 'orthweb status' and 'orthweb logs'",
        )
    if client.credentials is not None and ask(look, client, "/healthz").status == 200:
        look.fail(
            f"/healthz answers {answer.status} without a login, and load balancers have none",
            f"let it answer without one; {OUR_PROXY}",
        )
    # It is Orthweb's own: a proxy of somebody else's has none, or another.
    if look.target.inside is None:
        look.skip(f"/healthz, which is Orthweb's own, is not there: it answers {answer.status}")
    look.fail(f"/healthz answers {answer.status}", OUR_PROXY)

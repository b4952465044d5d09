"""Checks of how the web port speaks: plain HTTP leads to HTTPS, and answers have the headers that protect a browser."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable, Mapping

from orthweb.validation.check import check
from orthweb.validation.checks.web_login import ANSWERS, OUR_PROXY, ask, join
from orthweb.validation.look import Look
from orthweb.validation.probes.web_client import Answer, WebClient
from orthweb.validation.target import WebDoor

_PATH = "/app/explorer.html?orthweb=validation"
_REDIRECTS = (301, 302, 303, 307, 308)
_HALF_A_YEAR = 182 * 24 * 3600


@check("web.redirect", "Plain HTTP leads to HTTPS and gets no data.", needs=(ANSWERS,))
def REDIRECT(look: Look) -> str:
    door = look.target.web
    if door.plain:
        look.skip("the web port speaks HTTP without TLS")
    seen = []
    refused = _redirected(look, door, door.port)
    if refused:
        seen.append(f"port {door.port} refuses plain HTTP")
        # Whoever types host and port into a browser asks in plain HTTP first; port 443 is asked in HTTPS.
        if door.port != 443:
            look.warn(
                f"plain HTTP on port {door.port} is not redirected to HTTPS: {refused}",
                f"redirect it, for those who type the address without https; {OUR_PROXY}",
            )
    else:
        seen.append(f"port {door.port} redirects plain HTTP")
    if door.redirect_port is not None:
        refused = _redirected(look, door, door.redirect_port)
        if refused:
            look.wrong(
                f"port {door.redirect_port} does not redirect to HTTPS: {refused}",
                f"see web.redirect_port, its allowed_cidrs and firewalls; {OUR_PROXY}",
            )
        seen.append(f"port {door.redirect_port} redirects to HTTPS")
    return ", ".join(seen)


def _redirected(look: Look, door: WebDoor, port: int) -> str:
    """Ask a port in plain HTTP, and tell why there was no redirection; empty when there was."""
    plain = WebClient(door.host, port, None)
    try:
        answer = plain.get(_PATH, credentials=False, timeout=look.remaining(3))
    except OSError as error:
        look.saw(f"plain HTTP on port {port}", f"no answer: {error}")
        return "it gives no answer"
    location = answer.headers.get("location", "")
    look.saw(f"plain HTTP on port {port}", f"{answer.status} {location}")
    if answer.status in _REDIRECTS:
        _judge_location(look, door, port, location)
        return ""
    if answer.status < 300 or answer.status == 401:
        look.wrong(
            f"port {port} answers plain HTTP with {answer.status}, so that passwords and images cross the network open",
            f"have it redirect to HTTPS; {OUR_PROXY}",
        )
        return ""
    return f"it answers {answer.status}"


def _judge_location(look: Look, door: WebDoor, port: int, location: str) -> None:
    if location == f"{door.address}{_PATH}":
        return
    plain = WebDoor(door.host, port, plain=True).address
    found = urllib.parse.urlsplit(join(f"{plain}{_PATH}", location))
    remedy = f"have it lead to {door.address}; {OUR_PROXY}"
    if found.scheme != "https":
        look.wrong(f"port {port} redirects plain HTTP to {location or 'nowhere'}, which is no HTTPS", remedy)
    elif found.hostname == door.host.lower() and (found.port or 443) != door.port:
        look.wrong(f"port {port} redirects to port {found.port or 443}, where the web port is {door.port}", remedy)
    elif f"{found.path}?{found.query}" != _PATH:
        look.warn(f"port {port} redirects to {location}: the page that was asked for is lost", remedy)


def protects_frames(headers: Mapping[str, str]) -> bool:
    """Whether no page of somebody else's may show this one inside its own."""
    told = headers.get("x-frame-options", "").strip().upper() in ("DENY", "SAMEORIGIN")
    return told or "frame-ancestors" in headers.get("content-security-policy", "").lower()


def stays_https(headers: Mapping[str, str]) -> bool:
    """Whether a browser is told for half a year at least to use HTTPS alone (RFC 6797)."""
    # RFC 6797 6.1.1: the value may stand in quotes.
    found = re.search(r"(?:^|;)\s*max-age\s*=\s*\"?(\d+)", headers.get("strict-transport-security", ""), re.IGNORECASE)
    return found is not None and int(found[1]) >= _HALF_A_YEAR


def keeps_addresses(headers: Mapping[str, str]) -> bool:
    """Whether a browser keeps the addresses of the site's pages from others."""
    policies = [policy.strip().lower() for policy in headers.get("referrer-policy", "").split(",")]
    # A browser takes the last that it knows. An address names studies and patients.
    return policies[-1] not in ("", "unsafe-url", "no-referrer-when-downgrade")


_HEADERS: tuple[tuple[str, str, Callable[[Mapping[str, str]], bool]], ...] = (
    ("strict-transport-security", "of at least half a year", stays_https),
    (
        "x-content-type-options",
        "nosniff",
        lambda headers: headers.get("x-content-type-options", "").strip().lower() == "nosniff",
    ),
    ("x-frame-options", "or frame-ancestors in content-security-policy", protects_frames),
    ("referrer-policy", "that keeps addresses to the site", keeps_addresses),
)


@check("web.headers", "Every answer has the headers that protect a browser, and names no version.", needs=(ANSWERS,))
def HEADERS(look: Look) -> str:
    client = WebClient.of_door(look.target.web)
    answers = {
        "/system": ask(look, client, "/system"),
        "/app/explorer.html": ask(look, client, "/app/explorer.html"),
        "/system without a login": ask(look, client, "/system", credentials=False),
        "a page that is not there": ask(look, client, "/orthweb-validation-no-such-page"),
        "a malformed address": ask(look, client, "/%00"),
    }
    for what, answer in answers.items():
        heads = "\n".join(f"{name}: {value}" for name, value in answer.headers.items() if name != "set-cookie")
        look.saw(what, f"{answer.status}\n{heads}")
    for name, wanted, holds in _HEADERS:
        # RFC 6797 7.2: never over plain HTTP.
        if name == "strict-transport-security" and look.target.web.plain:
            continue
        lacking = {what: answer for what, answer in answers.items() if not holds(answer.headers)}
        _tell(look, name, wanted, lacking)
    for name in ("server", "x-powered-by"):
        named = {answer.headers[name] for answer in answers.values() if re.search(r"\d", answer.headers.get(name, ""))}
        if named:
            look.warn(
                f"the header {name} tells everybody a version: {', '.join(sorted(named))}",
                f"have the proxy leave it out; {OUR_PROXY}",
            )
    return f"{len(_HEADERS)} headers on {len(answers)} answers, errors among them"


def _tell(look: Look, name: str, wanted: str, lacking: Mapping[str, Answer]) -> None:
    if not lacking:
        return
    message = f"the header {name} ({wanted}) is missing or weak in the answer to {', '.join(lacking)}"
    remedy = f"have the proxy add it to every answer; {OUR_PROXY}"
    if any(answer.status < 400 for answer in lacking.values()):
        look.wrong(message, remedy)
    else:
        look.warn(message, remedy)

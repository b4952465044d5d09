"""Checks of the web port that all others build on: it answers, and the site's user logs in."""

from __future__ import annotations

import ssl
from typing import Any, TypeVar
from urllib.parse import quote, urljoin, urlsplit

from orthweb.validation.check import check
from orthweb.validation.checks import network
from orthweb.validation.look import Look
from orthweb.validation.probes.web_client import Answer, WebClient

_Kind = TypeVar("_Kind")

GUIDE = "User Validation: the web page"
OUR_PROXY = "on a site of Orthweb's 'orthweb up' and 'orthweb restart envoy' bring the proxy's configuration back"
"""The end of every remedy for what the proxy should do and doesn't."""

# Its identifier: its version's name in the report.
_PLUGINS = {
    "dicom-web": "DICOMweb plugin",
    "postgresql-index": "PostgreSQL plugin",
    "python": "Python plugin",
    "aws-s3-storage": "AWS S3 plugin",
    "orthanc-explorer-2": "Orthanc Explorer 2",
}


@check(
    "web.answers",
    "The web port answers requests, with a certificate that is trusted.",
    needs=(network.WEB,),
    guide=GUIDE,
)
def ANSWERS(look: Look) -> str:
    client = WebClient.of_door(look.target.web)
    answer = ask(look, client, "/", credentials=False)
    look.saw("GET / without a login", answer.status)
    if answer.status in (502, 503, 504):
        look.fail(
            f"{client.address} answers {answer.status}: the proxy finds no Orthanc server that is well",
            "see 'orthweb status' and 'orthweb logs'",
        )
    return f"{client.address} answers"


@check("web.login", "A user of the site logs in with name and password.", needs=(ANSWERS,), guide=GUIDE)
def LOGIN(look: Look) -> str:
    credentials = look.target.web.credentials
    if credentials is None:
        look.skip("no user of the web page was given")
    client = WebClient.of_door(look.target.web)
    answer = ask(look, client, "/system")
    look.saw("GET /system", f"{answer.status} as {credentials.user}")
    if answer.status != 200:
        look.fail(
            f"{client.address}/system answers {answer.status} to {credentials.user}",
            "bring .orthweb/secrets back from a backup, or see 'orthweb logs web'; elsewhere correct the credentials",
        )
    version = read_json(look, answer, "/system", dict).get("Version")
    if version is None:
        look.fail(f"{client.address}/system names no version: this is no Orthanc", "give the address of an Orthanc")
    look.exhibits.add_version("Orthanc", str(version))
    _add_plugins(look, client)
    return f"Orthanc {version} answers {credentials.user}"


def ask(look: Look, client: WebClient, path: str, method: str = "GET", **options: Any) -> Answer:
    """Ask, or fail the check with words for a person when there is no answer; the options are those of `request`."""
    options.setdefault("timeout", look.remaining())
    try:
        return client.request(method, path, **options)
    except OSError as error:
        look.fail(f"{client.address}{path} gives no answer: {silence(error)}", _silence_remedy(error))


def read_json(look: Look, answer: Answer, what: str, kind: type[_Kind]) -> _Kind:
    """The answer's body as JSON of a kind, such as `dict`, or fail the check."""
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, kind):
        look.saw(what, answer.body[:200].decode(errors="replace"))
        look.fail(
            f"the answer to {what} is not the JSON that Orthanc sends",
            "see what stands before Orthanc, and 'orthweb logs web'",
        )
    return found


def join(base: str, address: str) -> str:
    """The address that a link leads to, seen from a page; empty when it is none."""
    try:
        url = urljoin(base, address)
        # The parts are looked at only when they are asked for.
        return url if urlsplit(url).port != 0 else ""
    except ValueError:
        return ""


def silence(error: OSError) -> str:
    """Why there was no answer, in words."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted here ({error.verify_message})"
        case ssl.SSLError() if error.reason == "WRONG_VERSION_NUMBER":
            return "it does not speak TLS"
        case ssl.SSLError():
            return f"no TLS connection comes about ({error.reason or error.strerror})"
        case TimeoutError():
            return "nothing came in time"
    return error.strerror or str(error) or type(error).__name__


def _silence_remedy(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "see what the tls checks say; trust the authority that signed the site's certificate"
    return "see 'orthweb status' and 'orthweb logs'"


def _add_plugins(look: Look, client: WebClient) -> None:
    """Tell the report the versions of the plugins, where this user may see them."""
    with client.keeping() as kept:
        listed = ask(look, kept, "/plugins")
        for name in map(str, read_json(look, listed, "/plugins", list) if listed.status == 200 else ()):
            # Among the plugins stands the script that they bring to the web page.
            if name.endswith(".js"):
                continue
            answer = ask(look, kept, f"/plugins/{quote(name)}")
            described = read_json(look, answer, f"/plugins/{name}", dict) if answer.status == 200 else {}
            look.exhibits.add_version(_PLUGINS.get(name, f"{name} plugin"), str(described.get("Version", "not told")))

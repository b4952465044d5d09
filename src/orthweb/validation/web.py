"""Checks of the web port as a browser and a script use it: login, pages, DICOMweb, and what must be refused."""

from __future__ import annotations

from orthweb.validation import network
from orthweb.validation.check import check
from orthweb.validation.look import Look
from orthweb.validation.web_client import WebClient


@check(
    "web.login",
    "A user of the site logs in with name and password.",
    needs=(network.WEB,),
    guide="User Validation: the web page",
)
def LOGIN(look: Look) -> str:
    credentials = look.target.web.credentials
    if credentials is None:
        look.skip("no user of the web page was given")
    answer = WebClient.of_door(look.target.web).get("/system", timeout=look.remaining())
    look.saw("GET /system", f"{answer.status} as {credentials.user}")
    if answer.status != 200:
        look.fail(
            f"{look.target.web.address}/system answers {answer.status} to {credentials.user}",
            "bring .orthweb/secrets back from a backup, or see 'orthweb logs web'",
        )
    version = str(answer.json()["Version"])
    look.exhibits.add_version("Orthanc", version)
    return f"Orthanc {version} answers {credentials.user}"


CHECKS = (LOGIN,)

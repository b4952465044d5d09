"""Checks of the web port as a browser and a script use it: login, pages, DICOMweb, and what must be refused."""

from __future__ import annotations

from orthweb.validation.checks import dicomweb, web_page, web_refusals, web_transport
from orthweb.validation.checks.web_login import ANSWERS, LOGIN

__all__ = ["CHECKS", "LOGIN"]

CHECKS = (
    ANSWERS,
    web_transport.REDIRECT,
    LOGIN,
    web_refusals.ANONYMOUS,
    web_refusals.WRONG_PASSWORD,
    web_refusals.WELL_KNOWN,
    web_refusals.METHODS,
    web_refusals.TRAVERSAL,
    web_page.EXPLORER,
    dicomweb.QIDO,
    dicomweb.WADO,
    dicomweb.RENDERED,
    web_transport.HEADERS,
    web_page.HEALTHZ,
)

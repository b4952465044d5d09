"""Builds a page of elements, so that whatever a site says of itself stays text."""

from __future__ import annotations

import base64
import hashlib
import re
from xml.etree import ElementTree

from orthweb.validation.reports.text import visible

Element = ElementTree.Element
Child = Element | str | None


def node(tag: str, *children: Child, **attributes: str) -> Element:
    """Make an element.

    Parameters
    ----------
    children:
        Elements and text in their order; None is nothing.
    attributes:
        `class_` stands for `class` and `aria_label` for `aria-label`.
    """
    names = {name.rstrip("_").replace("_", "-"): visible(value) for name, value in attributes.items()}
    made = Element(tag, names)
    last: Element | None = None
    for child in children:
        if isinstance(child, Element):
            made.append(child)
            last = child
        elif child is not None and last is None:
            made.text = (made.text or "") + visible(child)
        elif child is not None and last is not None:
            last.tail = (last.tail or "") + visible(child)
    return made


def table(columns: tuple[str, ...], rows: list[Element], **attributes: str) -> Element:
    """Make a table of rows, with a heading for each column."""
    head = node("tr", *(node("th", name, scope="col") for name in columns))
    return node("table", node("thead", head), node("tbody", *rows), **attributes)


def anchor(kind: str, name: str) -> str:
    """The `id` of a part of the page, the same for the same name and another for any other."""
    return f"{kind}-{re.sub('[^A-Za-z0-9.-]', lambda found: f'_{ord(found[0]):x}_', name)}"


def page(title: str, style: str, *body: Element) -> str:
    """Make the whole page: it loads nothing, runs nothing and sends nothing, and the browser is told to see to that.

    Parameters
    ----------
    style:
        The style sheet; nothing else on the page may bring one, so no element has a `style` attribute.
    """
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    allowed = {"default-src": "'none'", "img-src": "data:", "style-src": f"'sha256-{digest}'"}
    allowed |= {"base-uri": "'none'", "form-action": "'none'"}
    policy = "; ".join(f"{what} {where}" for what, where in allowed.items())
    head = node(
        "head",
        node("meta", charset="utf-8"),
        node("meta", http_equiv="Content-Security-Policy", content=policy),
        node("meta", name="viewport", content="width=device-width, initial-scale=1"),
        node("meta", name="color-scheme", content="light dark"),
        node("meta", name="referrer", content="no-referrer"),
        # Without it a browser asks the server that the page lies on for an icon.
        node("link", rel="icon", href="data:,"),
        node("title", title),
        node("style", style),
    )
    whole = node("html", head, node("body", *body), lang="en")
    return "<!DOCTYPE html>\n" + ElementTree.tostring(whole, encoding="unicode", method="html") + "\n"

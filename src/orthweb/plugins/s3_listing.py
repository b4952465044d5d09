"""Reads what an S3-compatible server lists of a bucket (ListObjectsV2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote_plus, urlencode
from xml.etree import ElementTree

_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Entry:
    """An object of a list, or what begins the keys of several (`shared`, with the delimiter at the end).

    Parameters
    ----------
    size:
        In bytes.
    md5:
        The ETag where it looks like an MD5. Under SSE-KMS it looks so and is none: it proves an object only when it is
        the one that is expected.
    """

    key: str
    size: int = 0
    md5: str = ""
    shared: bool = False


@dataclass(frozen=True)
class Page:
    """A part of a list; `token` asks for the next one and is empty at the end."""

    entries: tuple[Entry, ...]
    token: str


def question(prefix: str, start_after: str, token: str) -> str:
    """Make the query of a request for a page.

    Parameters
    ----------
    prefix:
        What all keys begin with; keys with a further slash come as one for each beginning.
    start_after:
        The keys after this one, in their order.
    token:
        Of the page before.
    """
    asked: Mapping[str, str] = {
        "list-type": "2",
        "delimiter": "/",
        # XML knows no control characters, and keys do.
        "encoding-type": "url",
        "prefix": prefix,
        **({"continuation-token": token} if token else {"start-after": start_after} if start_after else {}),
    }
    return urlencode(sorted(asked.items()), quote_via=quote, safe="~")


def read_page(answer: bytes) -> Page:
    """Read the answer.

    Raises
    ------
    ValueError
        It is no list.
    """
    try:
        # From the site's own storage, over TLS; and expat since 2.4.1 bounds what entities grow to.
        root = ElementTree.fromstring(answer)  # noqa: S314
    except ElementTree.ParseError as error:
        raise ValueError(f"no list but something else came: {error}") from None
    namespace = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""

    def text(element: ElementTree.Element, name: str) -> str:
        return element.findtext(namespace + name) or ""

    if root.tag != f"{namespace}ListBucketResult":
        raise ValueError(f"no list but {root.tag.removeprefix(namespace)} came")
    encoded = text(root, "EncodingType") == "url"

    def key(written: str) -> str:
        return unquote_plus(written) if encoded else written

    entries = [Entry(key(text(each, "Prefix")), shared=True) for each in root.iter(f"{namespace}CommonPrefixes")]
    for each in root.iter(f"{namespace}Contents"):
        etag = text(each, "ETag").strip('"').lower()
        entries.append(Entry(key(text(each, "Key")), int(text(each, "Size")), etag if _MD5.fullmatch(etag) else ""))
    truncated = text(root, "IsTruncated") == "true"
    token = text(root, "NextContinuationToken")
    if truncated and not token:
        raise ValueError("a list came that goes on, and does not say where")
    return Page(tuple(sorted(entries, key=lambda entry: entry.key)), token if truncated else "")

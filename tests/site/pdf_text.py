"""The text of a PDF that Chromium made, without the spaces, which it sets as distances."""

from __future__ import annotations

import re
import zlib

_OBJECT = re.compile(rb"(\d+) 0 obj\n(.*?)\nendobj", re.DOTALL)
_STREAM = re.compile(rb"stream\r?\n(.*)\r?\nendstream", re.DOTALL)
_SHOWN = re.compile(rb"/F(\d+) [\d.]+ Tf|<([0-9A-Fa-f]+)>")


def pdf_text(pdf: bytes) -> str:
    """Return all that is printed, in the order in which it is (ISO 32000-1, 9.4 and 9.10)."""
    objects = {int(number): body for number, body in _OBJECT.findall(pdf)}
    # Skia calls a font by the number of its object, in whatever stream uses it.
    fonts = {
        number: _unicode(_content(objects[int(found[1])]))
        for number, body in objects.items()
        if b"/Font" in body and (found := re.search(rb"/ToUnicode (\d+) 0 R", body))
    }
    printed: list[str] = []
    for body in objects.values():
        content = _content(body)
        if b" Tf" in content:
            printed += _printed(content, fonts)
    return "".join("".join(printed).split())


def _content(body: bytes) -> bytes:
    found = _STREAM.search(body)
    if found is None:
        return b""
    return zlib.decompress(found[1]) if b"/FlateDecode" in body else found[1]


def _unicode(cmap: bytes) -> dict[int, str]:
    """Which text each glyph stands for (Adobe Technical Note 5411)."""
    meaning: dict[int, str] = {}
    for block in re.findall(rb"beginbfchar(.*?)endbfchar", cmap, re.DOTALL):
        for glyph, text in re.findall(rb"<(\w+)>\s*<(\w+)>", block):
            meaning[int(glyph, 16)] = bytes.fromhex(text.decode()).decode("utf-16-be")
    for block in re.findall(rb"beginbfrange(.*?)endbfrange", cmap, re.DOTALL):
        for first, last, text in re.findall(rb"<(\w+)>\s*<(\w+)>\s*<(\w+)>", block):
            for step in range(int(last, 16) - int(first, 16) + 1):
                meaning[int(first, 16) + step] = chr(int(text, 16) + step)
    return meaning


def _printed(content: bytes, fonts: dict[int, dict[int, str]]) -> list[str]:
    found: list[str] = []
    font: dict[int, str] = {}
    for number, glyphs in _SHOWN.findall(content):
        if number:
            font = fonts.get(int(number), {})
        else:
            found += [font.get(int(glyphs[at : at + 4], 16), "") for at in range(0, len(glyphs), 4)]
    return found

"""Text that came from a site, as a page and XML can hold it."""

from __future__ import annotations

import re

_CONTROLS = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"}
_CONTROLS[0x7F] = "\u2421"
_CONTROLS |= {code: f"\\x{code:02x}" for code in range(0x80, 0xA0)}
# What is no character, and the two that turn the text around them back to front, which nobody needs to write a name.
_ESCAPED = re.compile("[\u202d\u202e\ud800-\udfff\ufffe\uffff]")


def visible(text: str) -> str:
    """Spell out the characters that a page or XML may not hold, or that would deceive a reader; the others stay.

    Control characters become their pictures (U+2400 and on), others an escape as in Python. Tabs and line feeds stay;
    a line that ends as in HTTP, with CR and LF, ends with LF.

    Source: XML 1.0, 2.2 (Char); HTML, 13.2.3.5 (preprocessing the input stream).
    """
    text = text.replace("\r\n", "\n").translate(_CONTROLS)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)

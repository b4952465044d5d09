"""Hands out the ready-made pixels of the test images: small valid bit streams, one for each way to compress them.

Orthweb has no encoders. `scripts/bitstreams.py` made the streams with those of others and packed them into a ZIP file.
"""

from __future__ import annotations

import zipfile
from functools import cache
from pathlib import Path

ARCHIVE = Path(__file__).with_name("bitstreams.zip")
SIDE = 64
"""Rows and columns of the still pictures."""
RAW, RAW_12 = "raw", "raw-12"
"""Names of the picture without compression: 8 bits a pixel, and 12 bits in two bytes, little endian."""


@cache
def streams() -> dict[str, bytes]:
    """All of them, by the UID of their transfer syntax, or by the names above."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        return {name: archive.read(name) for name in archive.namelist()}

"""Draws the picture of the synthetic CT: a head phantom, a grey scale wedge, and words that say that it is a test."""

from __future__ import annotations

import math
import random
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from orthweb.validation.samples import bitmap_font

SIDE = 512
"""Rows and columns."""
INTERCEPT = -1024
"""Rescale Intercept: a stored value of 0 is so many Hounsfield units."""
WEDGE = tuple(range(-1000, 1001, 200))
"""Hounsfield units of the wedge's steps, from the left."""

_AIR, _TEXT = -1000, 1000
_NOISE = 12.0
_CENTRE_X, _CENTRE_Y, _RADIUS = 256, 236, 172
_WEDGE_TOP, _WEDGE_BOTTOM, _STEP = 434, 466, 42
_TITLES = ((12, 4, "ORTHWEB TEST"), (46, 2, "NOT A PATIENT"))
_CAPTION_TOP, _CAPTION_SCALE = 482, 2
# Longer than a row by some, so that rows that begin at different places in it look alike to nobody.
_STRIP = 2048


@dataclass(frozen=True)
class _Ellipse:
    """Centre and half axes in units of the phantom's radius, y upwards; degrees against the clock; Hounsfield units."""

    value: int
    x: float
    y: float
    a: float
    b: float
    degrees: float = 0.0


# After L. A. Shepp and B. F. Logan, "The Fourier reconstruction of a head section", IEEE Trans. Nucl. Sci. 21 (1974),
# painted one over the other, with values that can be told apart in the window of the wedge.
_ELLIPSES = (
    _Ellipse(950, 0, 0, 0.72, 0.95),
    _Ellipse(60, 0, -0.0184, 0.6624, 0.874),
    _Ellipse(-320, 0.22, 0, 0.11, 0.31, -18),
    _Ellipse(-320, -0.22, 0, 0.16, 0.41, 18),
    _Ellipse(240, 0, 0.35, 0.21, 0.25),
    _Ellipse(480, 0, 0.1, 0.046, 0.046),
    _Ellipse(480, 0, -0.1, 0.046, 0.046),
    _Ellipse(400, -0.08, -0.605, 0.046, 0.023),
    _Ellipse(400, 0, -0.605, 0.023, 0.023),
    _Ellipse(400, 0.06, -0.605, 0.023, 0.046),
)


def draw(caption: str) -> bytes:
    """Draw it: 512 by 512 pixels of 16 bits, little endian, unsigned.

    Parameters
    ----------
    caption:
        A line of capital letters, digits and `-+:` below the picture.
    """
    # The same noise each time: whoever compares two test images should see them differ in their caption only.
    chance = random.Random(1974)  # noqa: S311
    strips = {value: _strip(value, chance) for value in {_AIR, *(ellipse.value for ellipse in _ELLIPSES)}}
    rows = [_some(strips[_AIR], SIDE, chance) for _ in range(SIDE)]
    for ellipse in _ELLIPSES:
        for y, first, last in _chords(ellipse):
            rows[y][first:last] = _some(strips[ellipse.value], last - first, chance)
    _draw_wedge(rows)
    for top, scale, text in (*_TITLES, (_CAPTION_TOP, _CAPTION_SCALE, caption)):
        _write(rows, top, scale, text)
    picture = array("H")
    for row in rows:
        picture.extend(row)
    if sys.byteorder == "big":
        picture.byteswap()
    return picture.tobytes()


def _stored(value: float) -> int:
    """The stored value for so many Hounsfield units, within the 12 bits that a scanner has."""
    return min(4095, max(0, round(value) - INTERCEPT))


def _strip(value: int, chance: random.Random) -> array[int]:
    return array("H", (_stored(chance.gauss(value, _NOISE)) for _ in range(_STRIP)))


def _some(strip: array[int], length: int, chance: random.Random) -> array[int]:
    start = int(chance.random() * (_STRIP - length))
    return strip[start : start + length]


def _chords(ellipse: _Ellipse) -> Iterator[tuple[int, int, int]]:
    """Where the rows of the picture cross an ellipse: row, first column, column after the last."""
    sine, cosine = math.sin(math.radians(ellipse.degrees)), math.cos(math.radians(ellipse.degrees))
    a, b = ellipse.a * _RADIUS, ellipse.b * _RADIUS
    # With y measured from its centre, a row crosses it where square * x^2 + 2 * half * x + rest = 0.
    square = (cosine / a) ** 2 + (sine / b) ** 2
    centre_x, centre_y = _CENTRE_X + ellipse.x * _RADIUS, _CENTRE_Y - ellipse.y * _RADIUS
    reach = math.hypot(a * sine, b * cosine)
    for row in range(math.ceil(centre_y - reach), math.floor(centre_y + reach) + 1):
        y = centre_y - row
        half = y * sine * cosine * (1 / a**2 - 1 / b**2)
        rest = y**2 * ((sine / a) ** 2 + (cosine / b) ** 2) - 1
        root = math.sqrt(max(0.0, half**2 - square * rest))
        first, last = (centre_x + (-half + sign * root) / square for sign in (-1, 1))
        yield row, math.ceil(first), math.floor(last) + 1


def _draw_wedge(rows: list[array[int]]) -> None:
    left = (SIDE - _STEP * len(WEDGE)) // 2
    steps = array("H")
    for value in WEDGE:
        steps.extend(array("H", [_stored(value)]) * _STEP)
    frame = array("H", [_stored(_TEXT)]) * (len(steps) + 2)
    for y in range(_WEDGE_TOP, _WEDGE_BOTTOM):
        rows[y][left : left + len(steps)] = steps
        rows[y][left - 1] = rows[y][left + len(steps)] = frame[0]
    for y in (_WEDGE_TOP - 1, _WEDGE_BOTTOM):
        rows[y][left - 1 : left + len(steps) + 1] = frame


def _write(rows: list[array[int]], top: int, scale: int, text: str) -> None:
    """Write a line in the middle of the picture."""
    left = (SIDE - bitmap_font.width(text) * scale) // 2
    ink = array("H", [_stored(_TEXT)])
    for row, column, length in bitmap_font.runs(text):
        first = left + column * scale
        for y in range(top + row * scale, top + (row + 1) * scale):
            rows[y][first : first + length * scale] = ink * (length * scale)

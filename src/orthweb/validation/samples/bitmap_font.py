"""Letters of 5 by 7 dots, to burn a line of text into an image without any library."""

from __future__ import annotations

from collections.abc import Iterator

HEIGHT = 7
ADVANCE = 6
"""Dots from one letter to the next; the last of them is empty."""

# A byte a row from the top, its five low bits the dots from the left.
_ROWS = {
    "A": "0E 11 11 11 1F 11 11",
    "B": "1E 11 11 1E 11 11 1E",
    "C": "0E 11 10 10 10 11 0E",
    "D": "1E 11 11 11 11 11 1E",
    "E": "1F 10 10 1E 10 10 1F",
    "F": "1F 10 10 1E 10 10 10",
    "G": "0E 11 10 17 11 11 0F",
    "H": "11 11 11 1F 11 11 11",
    "I": "0E 04 04 04 04 04 0E",
    "J": "07 02 02 02 02 12 0C",
    "K": "11 12 14 18 14 12 11",
    "L": "10 10 10 10 10 10 1F",
    "M": "11 1B 15 15 11 11 11",
    "N": "11 11 19 15 13 11 11",
    "O": "0E 11 11 11 11 11 0E",
    "P": "1E 11 11 1E 10 10 10",
    "Q": "0E 11 11 11 15 12 0D",
    "R": "1E 11 11 1E 14 12 11",
    "S": "0F 10 10 0E 01 01 1E",
    "T": "1F 04 04 04 04 04 04",
    "U": "11 11 11 11 11 11 0E",
    "V": "11 11 11 11 11 0A 04",
    "W": "11 11 11 15 15 15 0A",
    "X": "11 11 0A 04 0A 11 11",
    "Y": "11 11 11 0A 04 04 04",
    "Z": "1F 01 02 04 08 10 1F",
    "0": "0E 11 13 15 19 11 0E",
    "1": "04 0C 04 04 04 04 0E",
    "2": "0E 11 01 02 04 08 1F",
    "3": "1F 02 04 02 01 11 0E",
    "4": "02 06 0A 12 1F 02 02",
    "5": "1F 10 1E 01 01 11 0E",
    "6": "06 08 10 1E 11 11 0E",
    "7": "1F 01 02 04 08 08 08",
    "8": "0E 11 11 0E 11 11 0E",
    "9": "0E 11 11 0F 01 02 0C",
    "-": "00 00 00 1F 00 00 00",
    "+": "00 04 04 1F 04 04 00",
    ":": "00 0C 0C 00 0C 0C 00",
    " ": "00 00 00 00 00 00 00",
}
_GLYPHS = {letter: bytes.fromhex(rows) for letter, rows in _ROWS.items()}


def width(text: str) -> int:
    """Dots from the first column of a line of text to its last."""
    return len(text) * ADVANCE - 1


def runs(text: str) -> Iterator[tuple[int, int, int]]:
    """The dots of a line of text: row, first column and number of columns of each unbroken run; raises KeyError."""
    for number, letter in enumerate(text):
        for row, dots in enumerate(_GLYPHS[letter]):
            # A dot that is off ends each letter, so the runs of neighbours never touch.
            for column, run in _unbroken(f"{dots:05b}"):
                yield row, number * ADVANCE + column, run


def _unbroken(dots: str) -> Iterator[tuple[int, int]]:
    at = dots.find("1")
    while at >= 0:
        end = dots.find("0", at)
        end = len(dots) if end < 0 else end
        yield at, end - at
        at = dots.find("1", end)

"""Libraries that are compiled for the Orthanc processes can be loaded by every C library."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path

from orthweb.local.native import compiled, with_plain_stack

_GNU_STACK, _EXECUTABLE = 0x6474E551, 1


def _segments(library: bytes) -> dict[int, int]:
    """The flags of each kind of segment (elf(5))."""
    (table,) = struct.unpack_from("<Q", library, 32)
    size, number = struct.unpack_from("<HH", library, 54)
    return dict(struct.unpack_from("<II", library, table + size * index) for index in range(number))


def test_a_compiled_library_asks_for_no_executable_stack_and_loads(tmp_path: Path) -> None:
    library = compiled("int answer(void) { return 42; }", [])
    assert not _segments(library)[_GNU_STACK] & _EXECUTABLE
    path = tmp_path / "answer.so"
    path.write_bytes(library)
    assert ctypes.CDLL(str(path)).answer() == 42


def test_a_library_that_says_so_already_stays_as_it_is() -> None:
    library = compiled("int answer(void) { return 42; }", [])
    assert with_plain_stack(library) == library

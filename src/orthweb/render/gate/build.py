"""Assembles the gate's WebAssembly text; needs `wasmtime`, which the development dependencies have."""

from __future__ import annotations

import sys

from orthweb.render.gate import GATE_WASM, GATE_WAT


def assemble() -> bytes:
    """Assemble the gate's source.

    Raises
    ------
    wasmtime.WasmtimeError
        The source is wrong; the message names the line.
    """
    from wasmtime import wat2wasm

    return bytes(wat2wasm(GATE_WAT.read_text(encoding="utf-8")))


def main() -> None:
    """Write the assembled filter beside its source."""
    wasm = assemble()
    GATE_WASM.write_bytes(wasm)
    sys.stdout.write(f"{GATE_WASM}: {len(wasm)} bytes\n")


if __name__ == "__main__":
    main()

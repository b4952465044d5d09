"""The proxy's WebAssembly filter that lets only a whole A-ASSOCIATE-RQ reach a DICOM server."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

GATE_WAT: Path = Path(str(files(__name__) / "associate_gate.wat"))
"""Its source; `python -m orthweb.render.gate.build` assembles it."""
GATE_WASM: Path = Path(str(files(__name__) / "associate_gate.wasm"))
"""The assembled filter, as Envoy loads it."""
LONGEST_REQUEST = 6 + 262144
"""Bytes of the longest A-ASSOCIATE-RQ that it lets through: a connection's buffer has to hold as many."""
DEADLINES_MS = range(100, 600_001)
"""What its configuration may be: milliseconds that the request, and then the server's answer, may take."""

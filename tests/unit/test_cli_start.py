"""The first moments of a command."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["orthweb.cli.main", "typer", "orthweb.site.load"])
def test_an_interruption_while_the_command_loads_is_a_line_and_no_traceback(module: str) -> None:
    code = f"""
import sys
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
sys.argv = ["orthweb", "status", "-C", "/nonexistent"]
from orthweb.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 130
    assert done.stderr == "orthweb: interrupted: the same command goes on from here\n"

"""How Terraform is run: it is heard while it works, and ends well whatever happens to us.

The Terraform here is a script that does what the test needs, such as being slow or killed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from harness import eventually

from orthweb.aws.program import Program, find_program
from orthweb.aws.running import run
from orthweb.errors import Failure

_LONG = 30.0


def _program(folder: Path, text: str) -> Program:
    path = folder / "terraform"
    path.write_text(f"#!{sys.executable}\nimport json, os, signal, sys, time\n{text}\n")
    path.chmod(0o755)
    return Program(str(path), "Terraform", "1.11.4")


def test_each_event_is_heard_in_its_order(tmp_path: Path) -> None:
    program = _program(tmp_path, "for n in range(500): print(json.dumps({'n': n}))")
    heard: list[Any] = []
    done = run(program, tmp_path, ["plan"], tmp_path / "logs" / "terraform.log", heard.append)
    assert (done.status, done.interrupted) == (0, False)
    assert [event["n"] for event in heard] == list(range(500))


def test_an_event_that_comes_in_pieces_is_one(tmp_path: Path) -> None:
    pieces = "for piece in ('{\"n\"', ': 1', '}'):\n    sys.stdout.write(piece); sys.stdout.flush(); time.sleep(0.2)"
    heard: list[Any] = []
    run(_program(tmp_path, pieces), tmp_path, ["plan"], tmp_path / "log", heard.append)
    assert heard == [{"n": 1}]


def test_what_is_heard_is_kept_and_earlier_runs_are_not_heard_again(tmp_path: Path) -> None:
    program = _program(tmp_path, "print(json.dumps({'words': sys.argv[1:]}))")
    for word in ("plan", "apply"):
        heard: list[Any] = []
        run(program, tmp_path, [word], tmp_path / "log", heard.append)
        assert heard == [{"words": [word]}]
    kept = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(line)["words"] for line in kept] == [["plan"], ["apply"]]


def test_the_last_words_of_a_crash_are_given(tmp_path: Path) -> None:
    program = _program(
        tmp_path, "print(json.dumps({'n': 1}))\nprint('panic: out of luck', file=sys.stderr)\nsys.exit(7)"
    )
    done = run(program, tmp_path, ["apply"], tmp_path / "log", lambda event: None)
    assert (done.status, done.last_words) == (7, ["panic: out of luck"])


def test_one_that_is_killed_is_told_from_one_that_ends(tmp_path: Path) -> None:
    done = run(_program(tmp_path, "os.kill(os.getpid(), 9)"), tmp_path, ["apply"], tmp_path / "log", lambda event: None)
    assert done.status == -signal.SIGKILL


def test_an_interruption_lets_it_write_its_state(tmp_path: Path) -> None:
    """Ctrl-C comes twice; the program is asked once, and is waited for."""
    program = _program(
        tmp_path,
        """
asked = 0
def stop(*_):
    global asked
    asked += 1
signal.signal(signal.SIGINT, stop)
print(json.dumps({'type': 'ready'}), flush=True)
while not asked:
    time.sleep(0.01)
time.sleep(1)
open('state', 'w').write(str(asked))
sys.exit(1)
""",
    )
    heard: list[str] = []

    def hear(event: dict[str, Any]) -> None:
        heard.append(event["type"])
        # Once when it works, and once more while it ends.
        if len(heard) < 3:
            threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        done = run(program, tmp_path, ["apply"], tmp_path / "log", hear)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (done.interrupted, done.status) == (True, 1)
    assert heard == ["ready", "interrupted"]
    assert (tmp_path / "state").read_text() == "1"


def test_it_goes_on_when_we_are_killed(tmp_path: Path) -> None:
    text = "print('{}', flush=True)\ntime.sleep(1)\nprint('x' * 100000, flush=True)\nopen('state', 'w').write('whole')"
    program = _program(tmp_path, text)
    code = """
import sys
from pathlib import Path
from orthweb.aws.program import Program
from orthweb.aws.running import run
folder = Path(sys.argv[2])
run(Program(sys.argv[1], "", ""), folder, [], folder / "log", lambda event: print("x", flush=True))
"""
    us = subprocess.Popen([sys.executable, "-c", code, program.path, str(tmp_path)], stdout=subprocess.PIPE)
    assert us.stdout is not None
    assert us.stdout.read(1) == b"x"
    us.kill()
    us.communicate()
    eventually(
        lambda: (tmp_path / "state").exists() and (tmp_path / "state").read_text() == "whole", _LONG, "its state"
    )


def test_options_of_a_persons_shell_do_not_change_what_is_run(tmp_path: Path) -> None:
    program = _program(tmp_path, "print(json.dumps({k: v for k, v in os.environ.items() if k.startswith('TF_')}))")
    heard: list[Any] = []
    given = {"PATH": os.environ["PATH"], "TF_CLI_ARGS_apply": "-destroy", "TF_VAR_pubkey_data": "mine"}
    run(program, tmp_path, ["apply"], tmp_path / "log", heard.append, given)
    (seen,) = heard
    assert seen == {"TF_VAR_pubkey_data": "mine", "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('print(\'{"terraform_version": "1.10.5"}\')', "Terraform 1.10.5 is too old"),
        ("print('Terraform v0.11')", "does not say its version"),
        ("sys.exit(1)", "does not say its version"),
    ],
)
def test_a_program_that_will_not_do_is_told_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.setenv("ORTHWEB_TERRAFORM", _program(tmp_path, text).path)
    with pytest.raises(Failure, match=said) as raised:
        find_program()
    assert "https://developer.hashicorp.com/terraform/install" in raised.value.remedy


def test_opentofu_serves_where_there_is_no_terraform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(_program(tmp_path, 'print(\'{"terraform_version": "1.11.2"}\')').path)
    path.rename(tmp_path / "tofu")
    monkeypatch.delenv("ORTHWEB_TERRAFORM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_program()
    assert (found.product, found.version) == ("OpenTofu", "1.11.2")
    (tmp_path / "tofu").unlink()
    with pytest.raises(Failure, match="Terraform is not installed"):
        find_program()

"""The folder in which Terraform works for one site: `.orthweb/terraform`."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orthweb
from orthweb.aws.changes import CREATE, DESTROY, Change, change_of, with_attributes
from orthweb.aws.program import Program
from orthweb.aws.running import Event, Run, run
from orthweb.aws.state import place_in_use
from orthweb.aws.troubles import Trouble, explain, trouble_of
from orthweb.errors import Failure, InputError
from orthweb.render.terraform import VALUES_FILE, terraform_root
from orthweb.site.files import ensure_folder, write_file
from orthweb.site.model import Site
from orthweb.site.paths import SitePaths

MODULES = Path(orthweb.__file__).parent / "terraform"
_PLAN = "plan.tfplan"
_PREPARED = "prepared"
_LOG = "terraform.log"
_NO_STATE = "No state file was found"

Heard = Callable[[Event], None]


@dataclass(frozen=True)
class Plan:
    """What Terraform is about to do, kept in a file that is what gets applied.

    Attributes
    ----------
    deleted:
        Addresses of what was deleted since the last apply, by somebody's hand.
    finished:
        The site was applied to its end before. Until then its secrets are empty, so nobody can have stored anything.
    """

    changes: list[Change]
    deleted: list[str] = field(default_factory=list)
    warnings: list[Trouble] = field(default_factory=list)
    destroys: bool = False
    finished: bool = True

    @property
    def steps(self) -> int:
        """How many times Terraform will say that something is done."""
        return sum(change.steps for change in self.changes)

    @property
    def losses(self) -> list[Change]:
        """What would cost data."""
        return [change for change in self.changes if change.loses and (self.finished or not change.half_made)]


class Workspace:
    """Terraform's folder of a site.

    Parameters
    ----------
    step:
        Told what is being done, in a few words.
    environment:
        Variables that Terraform sees; this process's when None.
    """

    def __init__(
        self,
        site: Site,
        paths: SitePaths,
        program: Program,
        step: Callable[[str], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._site = site
        self._paths = paths
        self._program = program
        self._step = step
        self._environment = environment

    @property
    def log(self) -> Path:
        """All that Terraform has said, one JSON object a line."""
        return self._paths.logs / _LOG

    def prepare(self, values: dict[str, Any]) -> None:
        """Write the root and let Terraform fetch what it needs; quick when both are there.

        Raises
        ------
        Failure
            Terraform cannot prepare the folder, such as when it finds no provider.
        """
        ensure_folder(self._paths.terraform)
        ensure_folder(self._paths.logs)
        source = os.path.relpath(MODULES, self._paths.terraform)
        source = source if source.startswith("..") else f"./{source}"
        files = terraform_root(self._site, source, orthweb.__version__, values)
        for name, text in files.items():
            path = self._paths.terraform / name
            if not path.exists() or path.read_text() != text:
                write_file(path, text)
        mark = self._paths.terraform / _PREPARED
        wanted = self._fingerprint()
        if mark.exists() and mark.read_text() == wanted:
            return
        self._step("Terraform fetches what it needs")
        # Where the state has moved in orthweb.yaml, it moves here too; the old one stays as a backup.
        before, _ = place_in_use(self._paths)
        words = ["init", "-input=false", "-no-color", *(["-migrate-state", "-force-copy"] if before else [])]
        mark.unlink(missing_ok=True)
        done = self._run(words, lambda event: None)
        if done.status != 0:
            raise Failure(
                f"Terraform cannot prepare {self._paths.terraform}: {_tail(done)}", f"the whole text is in {self.log}"
            )
        write_file(mark, wanted)

    def plan(self, heard: Heard, destroy: bool = False, finished: bool = True, targets: Sequence[str] = ()) -> Plan:
        """Find out what would change, and keep that as what gets applied.

        Parameters
        ----------
        destroy:
            Take everything away.
        targets:
            Addresses of resources and modules: of these alone, and of what depends on them; of all when empty.
        finished:
            As of `Plan`.

        Raises
        ------
        OrthwebError
            It cannot be found out; the first thing that Terraform complains about.
        KeyboardInterrupt
            It was interrupted, and has ended.
        """
        self._step("comparing with what is on AWS")
        changes: list[Change] = []
        deleted: list[str] = []
        warnings: list[Trouble] = []

        def hear(event: Event) -> None:
            change = change_of(event)
            if change is not None:
                changes.append(change)
            # What AWS itself adds to a resource is drift to Terraform as well, so only what is gone is told.
            if event.get("type") == "resource_drift" and event["change"]["action"] == "delete":
                deleted.append(event["change"]["resource"]["addr"])
            trouble = trouble_of(event)
            if trouble is not None and trouble.severity == "warning":
                warnings.append(trouble)
            heard(event)

        words = ["plan", "-json", "-input=false", f"-out={_PLAN}", *(["-destroy"] if destroy else [])]
        words += [f"-target={address}" for address in targets]
        self._carry_out(words, hear)
        if any(change.action not in (CREATE, DESTROY) for change in changes):
            changes = with_attributes(changes, self._json(["show", "-json", _PLAN]))
        return Plan(changes, [] if destroy else sorted(deleted), warnings, destroy, finished)

    def apply(self, plan: Plan, heard: Heard) -> None:
        """Carry out the plan that was made last; raises as `plan` does."""
        self._step("removing" if plan.destroys else "making")
        try:
            self._carry_out(["apply", "-json", "-input=false", _PLAN], heard)
        finally:
            # It fits the state of that moment and no other; it also holds what the state holds.
            (self._paths.terraform / _PLAN).unlink(missing_ok=True)

    def outputs(self) -> dict[str, Any]:
        """Read what the last apply has put out; empty before the first one. Raises Failure."""
        return {name: held["value"] for name, held in self._json(["output", "-json"]).items()}

    def resources(self) -> list[str]:
        """The addresses of all that the state knows, without what is only read; raises Failure."""
        done = self._collect(["state", "list"], _NO_STATE)
        return [line for line in done.splitlines() if line and not line.startswith("data.") and ".data." not in line]

    def forget(self, addresses: Sequence[str]) -> None:
        """Drop resources from the state and leave them on AWS; raises Failure."""
        self._collect(["state", "rm", *addresses])

    def forget_outputs(self) -> None:
        """Drop the outputs of a state that knows no resources any more; raises as `plan` does.

        Raises
        ------
        Failure
            It does know some, which somebody has made meanwhile.
        """
        if made := self.resources():
            raise Failure(f"{made[0]} was made meanwhile", "look with 'orthweb plan'")
        self._carry_out(
            ["apply", "-json", "-input=false", "-auto-approve", "-destroy", "-refresh=false"], lambda _: None
        )

    def unlock_command(self) -> str:
        """The command that takes away a lock nobody holds any more, without its identifier."""
        return shlex.join([self._program.path, f"-chdir={self._paths.terraform}", "force-unlock"])

    def _carry_out(self, words: list[str], heard: Heard) -> None:
        errors: list[Trouble] = []

        def hear(event: Event) -> None:
            trouble = trouble_of(event)
            if trouble is not None and trouble.severity == "error":
                errors.append(trouble)
            heard(event)

        done = self._run(words, hear)
        if done.interrupted:
            raise KeyboardInterrupt
        if done.status == 0:
            return
        if not errors:
            raise Failure(f"Terraform ended with {done.status}: {_tail(done)}", f"the whole text is in {self.log}")
        told = [explain(error, self.unlock_command()) for error in _first_of_each(errors)]
        kind = InputError if all(isinstance(each, InputError) for each in told) else Failure
        raise kind("\n".join(map(str, told)))

    def _run(self, words: list[str], heard: Heard) -> Run:
        return run(self._program, self._paths.terraform, words, self.log, heard, self._environment)

    def _collect(self, words: list[str], nothing: str | None = None) -> str:
        """Run what answers with one text; its answer is no part of the log, for it may hold values.

        Parameters
        ----------
        nothing:
            A complaint that means that there is nothing to answer.
        """
        environment = dict(os.environ if self._environment is None else self._environment)
        done = subprocess.run(
            [self._program.path, *words], cwd=self._paths.terraform, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL, env={**environment, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"},
        )  # fmt: skip
        if done.returncode != 0:
            if nothing is not None and nothing in done.stderr:
                return ""
            words_of_it = " ".join(done.stderr.replace("\u2502", " ").split())
            raise Failure(f"terraform {words[0]}: {words_of_it}", "see that the state can be read")
        return done.stdout

    def _json(self, words: list[str]) -> dict[str, Any]:
        found = json.loads(self._collect(words))
        return found if isinstance(found, dict) else {}

    def _fingerprint(self) -> str:
        """What Terraform has to be prepared anew for: the root but for its values, the modules, the program itself."""
        digest = hashlib.sha256(f"{self._program.path} {self._program.version}".encode())
        roots = [path for path in self._paths.terraform.glob("*.tf*") if path.name not in (VALUES_FILE, _PLAN)]
        for path in [*sorted(roots), *sorted(MODULES.rglob("versions.tf"))]:
            if path.is_file() and "tfstate" not in path.name:
                digest.update(str(path).encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()


def holds_resources(paths: SitePaths) -> bool:
    """Whether the local state of a site knows of anything on AWS."""
    try:
        return bool(json.loads((paths.terraform / "terraform.tfstate").read_text())["resources"])
    except (FileNotFoundError, ValueError, LookupError):
        return False


def _first_of_each(errors: list[Trouble]) -> list[Trouble]:
    """Terraform repeats an error for each instance of a resource; once is enough."""
    return list({(error.summary, error.detail, error.code): error for error in reversed(errors)}.values())[::-1]


def _tail(done: Run) -> str:
    return " ".join(" ".join(done.last_words).replace("\u2502", " ").split()) or f"exit status {done.status}"

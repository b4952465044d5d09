"""Looks at the Terraform modules with `terraform fmt` and checkov, as they are written and as they are planned.

`PYTHONPATH=tests/terraform:tests/site python scripts/compliance_scan.py`, a part of `make lint`. The plan is that of
`examples/complete`, made by the real provider against the emulator of the tests: without AWS and without credentials.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import tools
from emulator import AMI, Emulator, emulator

from orthweb.aws.program import find_program
from orthweb.errors import Failure, OrthwebError
from orthweb.site.files import write_file

ROOT = Path(__file__).parent.parent
MODULES = ROOT / "src" / "orthweb" / "terraform"

_EXAMPLE = Path("examples", "complete")
_SECONDS = 300.0
_KEPT, _KEPT_SECONDS = ROOT / "build" / "findings", 3600.0
# A key that isn't there yet has no name in a plan, and checkov would take that for no key. So the modules are told one,
# as it is from the second plan on.
_KEY = "arn:aws:kms:ca-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Finding:
    """What checkov says of one resource.

    Parameters
    ----------
    scanned:
        `source` or `plan`.
    result:
        `passed`, `failed` or `skipped`.
    check:
        Identifier of the check, and `title` its name in words.
    resource:
        As `storage.aws_s3_bucket.this`; a data source is named as a resource is.
    file:
        Where it is written, below the modules.
    reason:
        Why it is skipped, as the comment beside the resource says.
    """

    scanned: str
    result: str
    check: str
    title: str
    resource: str
    file: str
    reason: str


def findings() -> list[Finding]:
    """Scan both, or give what a scan of the same modules found within the hour: `make lint` and the tests ask alike.

    Raises
    ------
    Failure
        Terraform is missing, or it or checkov does not do its work.
    """
    kept = _KEPT / f"{_key()}.json"
    if kept.exists() and time.time() - kept.stat().st_mtime < _KEPT_SECONDS:
        return [Finding(**each) for each in json.loads(kept.read_text())]
    found = _scan()
    _KEPT.mkdir(parents=True, exist_ok=True)
    write_file(kept, json.dumps([asdict(each) for each in found]))
    return found


def _key() -> str:
    """Tell these modules, this way of scanning and this checkov from others."""
    parts = [path for path in MODULES.rglob("*") if path.is_file() and ".terraform" not in path.parts]
    digest = hashlib.sha256()
    for path in sorted([*parts, Path(__file__), ROOT / "requirements-checkov.lock"]):
        digest.update(f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:16]


def _scan() -> list[Finding]:
    """Scan the modules and a plan of them, side by side."""
    program = find_program().path
    with (
        tempfile.TemporaryDirectory(prefix="ow-") as folder,
        _checkov("-d", MODULES, "--framework", "terraform", "--skip-path", "/examples/") as source,
    ):
        planned = _plan(program, Path(folder))
        enriched = ("--repo-root-for-plan-enrichment", MODULES)  # where the reasons of skips are
        with _checkov("-f", planned, "--framework", "terraform_plan", *enriched) as plan:
            return [*_result(source, "source"), *_result(plan, "plan")]


@contextlib.contextmanager
def _checkov(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A scan that goes on while the body runs, and ends with it."""
    command = [str(ROOT / "scripts" / "checkov.sh"), *map(str, arguments), "--output", "json"]
    scan = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        yield scan
    finally:
        scan.kill()
        scan.communicate()


def _result(scan: subprocess.Popen[str], scanned: str) -> list[Finding]:
    said, _ = scan.communicate(timeout=_SECONDS)
    # 1 means that a check failed, which is said below.
    if scan.returncode not in (0, 1):
        raise Failure(f"checkov ended with {scan.returncode}", "see the lines above")
    report = json.loads(said)
    if report["summary"]["parsing_errors"]:
        raise Failure(
            f"checkov cannot read {', '.join(report['results']['parsing_errors'])}", "run: terraform validate"
        )
    return list(_read(report, scanned))


def _read(report: Mapping[str, Mapping[str, Sequence[Mapping[str, object]]]], scanned: str) -> Iterator[Finding]:
    for result in ("passed", "failed", "skipped"):
        for one in report["results"][f"{result}_checks"]:
            told = one["check_result"]
            reason = told.get("suppress_comment", "") if isinstance(told, dict) else ""
            yield Finding(
                scanned, result, str(one["check_id"]), str(one["check_name"]), _short(str(one["resource"])),
                str(one["file_path"]).lstrip("/"), str(reason or ""),
            )  # fmt: skip


def _short(resource: str) -> str:
    return re.sub(r"\[.*?\]", "", resource).removeprefix("module.orthweb.").removeprefix("module.")


def _plan(program: str, folder: Path) -> Path:
    """Plan the example, and give the plan as a file of JSON."""
    modules = folder / "modules"
    shutil.copytree(MODULES, modules, ignore=shutil.ignore_patterns(".terraform*"))
    example = modules / _EXAMPLE
    # The emulator knows no image of Debian's, and none for Graviton.
    given = {"module": {"orthweb": {"ami_id": AMI, "instance_type": "m7i.large"}}}
    (example / "emulator_override.tf.json").write_text(json.dumps(given))
    with_key = [
        path.parent.name
        for path in modules.glob("modules/*/variables.tf")
        if 'variable "kms_key_arn"' in path.read_text()
    ]
    known = {"module": {name: {"kms_key_arn": _KEY} for name in with_key}}
    (modules / "key_override.tf.json").write_text(json.dumps(known))
    with emulator() as aws:
        variables = _environment(folder, aws)
        _run([program, "init", "-backend=false", "-input=false", "-no-color"], example, variables)
        _run([program, "plan", "-input=false", "-no-color", f"-out={folder / 'plan'}"], example, variables)
        planned = folder / "plan.json"
        planned.write_text(_run([program, "show", "-json", str(folder / "plan")], example, variables))
    return planned


def _environment(home: Path, aws: Emulator) -> dict[str, str]:
    mirror = tools.mirror()
    variables = tools.environment(home, mirror)
    variables |= {
        "AWS_ENDPOINT_URL": aws.address,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    if mirror is None:
        # The provider is large: it is fetched once, and not at every call.
        cache = ROOT / "build" / "terraform"
        cache.mkdir(parents=True, exist_ok=True)
        variables |= {"TF_PLUGIN_CACHE_DIR": str(cache), "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE": "true"}
    return variables


def _unformatted(program: str) -> list[str]:
    listed = _run(
        [program, "fmt", "-check", "-recursive", "-no-color"], MODULES, {**os.environ, "CHECKPOINT_DISABLE": "1"}
    )
    return listed.split()


def _run(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    # 3 is that of fmt for files that it lists.
    if done.returncode not in (0, 3):
        raise Failure(f"terraform {command[1]} ended with {done.returncode}", done.stderr.strip())
    return done.stdout


def main() -> int:
    """Print what is to be mended, or a line that nothing is."""
    try:
        odd = _unformatted(find_program().path)
        found = findings()
    except OrthwebError as error:
        print(f"compliance: {error}", file=sys.stderr)
        return 1
    for path in odd:
        print(f"{MODULES.relative_to(ROOT) / path}: not formatted: run 'terraform fmt' on it")
    failed = [one for one in found if one.result == "failed"]
    for one in failed:
        print(f"{one.file}: {one.resource}: {one.check} failed on the {one.scanned}: {one.title}")
    if not odd and not failed:
        passed = {
            what: sum(one.scanned == what and one.result == "passed" for one in found) for what in ("source", "plan")
        }
        skipped = sum(one.scanned == "source" and one.result == "skipped" for one in found)
        print(
            f"checkov: {passed['source']} checks passed on the modules and {passed['plan']} on a plan, none failed; "
            f"{skipped} skipped, each with its reason beside the resource"
        )
    return 1 if odd or failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""The Terraform modules: valid, tested by themselves, planned offline, documented and shipped."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import tools

_ROOT = Path(__file__).parent.parent.parent
_TESTS = sorted(path.name for path in tools.MODULES.glob("tests/*.tftest.hcl"))
_EXAMPLES = sorted(path.name for path in (tools.MODULES / "examples").iterdir())


@pytest.fixture(scope="session")
def provider() -> Path | None:
    return tools.mirror()


@pytest.fixture(scope="session")
def variables(tmp_path_factory: pytest.TempPathFactory, provider: Path | None) -> dict[str, str]:
    return tools.environment(tmp_path_factory.mktemp("home"), provider)


@pytest.fixture(scope="session")
def modules(tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]) -> Path:
    return tools.working_copy(tmp_path_factory.mktemp("terraform") / "modules", variables)


@pytest.mark.slow
def test_the_modules_are_valid(modules: Path, variables: dict[str, str]) -> None:
    tools.run(modules, variables, ["validate", "-no-color"])


@pytest.mark.slow
@pytest.mark.parametrize("example", _EXAMPLES)
def test_the_examples_are_valid(modules: Path, variables: dict[str, str], example: str) -> None:
    folder = modules / "examples" / example
    tools.run(folder, variables, ["init", "-backend=false", "-input=false", "-no-color"])
    tools.run(folder, variables, ["validate", "-no-color"])


@pytest.mark.slow
@pytest.mark.parametrize("file", _TESTS)
def test_terraforms_own_tests_pass(modules: Path, variables: dict[str, str], file: str) -> None:
    said = tools.run(modules, variables, ["test", f"-filter=tests/{file}", "-no-color"])
    assert re.search(r"[1-9]\d* passed, 0 failed", said), said


@pytest.mark.slow
def test_the_default_key_is_taken_where_there_is_one(modules: Path, tmp_path: Path, provider: Path | None) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_rsa.pub").write_text("ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB home\n")
    variables = tools.environment(tmp_path, provider)
    said = tools.run(modules, variables, ["test", "-filter=tests/default_key.tftest.hcl", "-no-color"])
    assert "1 passed, 0 failed" in said, said


def test_every_refusal_of_a_variable_is_tested() -> None:
    expected = (tools.MODULES / "tests" / "refusals.tftest.hcl").read_text()
    for path in [tools.MODULES / "variables.tf", *tools.MODULES.glob("modules/*/variables.tf")]:
        runs = expected.split("\nrun ")[1:]
        own = [
            run
            for run in runs
            if (f'"./modules/{path.parent.name}"' in run) or (path.parent == tools.MODULES and "module {" not in run)
        ]
        for name, body in re.findall(r'^variable "([^"]+)" \{\n(.*?)^\}', path.read_text(), re.MULTILINE | re.DOTALL):
            if "validation {" in body:
                assert any(re.search(rf"\bvar\.{name}\b", run.split("expect_failures")[1]) for run in own), (path, name)


def test_no_module_asks_for_a_secret_or_another_provider() -> None:
    for path in tools.MODULES.rglob("*.tf"):
        text = path.read_text()
        assert "secretsmanager_secret_version" not in text, f"{path}: a secret's value would be in the state"
        assert not re.search(r"^\s+(password|secret_string|private_key\w*)\s+=", text, re.MULTILINE), path
        assert set(re.findall(r'source\s+= "([^".]+/[^".]+)"', text)) <= {"hashicorp/aws"}, path


def test_the_modules_pages_are_current() -> None:
    pages: dict[Path, str] = runpy.run_path(str(_ROOT / "scripts" / "terraform_docs.py"))["pages"]()
    assert len(pages) == 8
    for path, text in pages.items():
        assert path.read_text() == text, "run: python scripts/terraform_docs.py"
        assert " |  |" not in text, f"{path}: a description is missing"


@pytest.mark.slow
def test_a_wheel_holds_every_module_and_no_test(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(_ROOT / name, source)
    shutil.copytree(
        _ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", ".terraform*")
    )
    build = "from setuptools.build_meta import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=source, check=True, capture_output=True, timeout=120
    )
    (wheel,) = tmp_path.glob("*.whl")
    held = {
        name.removeprefix("orthweb/terraform/") for name in zipfile.ZipFile(wheel).namelist() if "/terraform/" in name
    }
    wanted = {
        path.relative_to(tools.MODULES).as_posix()
        for kind in ("*.tf", "*.md", "boot/*")
        for path in tools.MODULES.rglob(kind)
        if ".terraform" not in path.parts
    }
    assert held == wanted


def test_without_terraform_a_test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORTHWEB_TERRAFORM", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(pytest.fail.Exception, match=r"developer\.hashicorp\.com/terraform/install.*ORTHWEB_TERRAFORM"):
        tools.terraform()


def test_a_mirror_that_is_named_goes_before_any_that_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "registry.terraform.io" / "hashicorp" / "aws").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ORTHWEB_TERRAFORM_MIRROR", str(tmp_path / "named"))
    assert tools.mirror() == tmp_path / "named"

"""The bundle: the same bytes from the same parts, installed without a network, refused where it cannot be right."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import people
import pytest

import orthweb
from orthweb.bundle.build import Bundle, build_bundle
from orthweb.bundle.lock import host_pins
from orthweb.bundle.own_wheel import package_files, write_wheel
from orthweb.bundle.target import Target, target
from orthweb.errors import Failure, InputError
from orthweb.site.voice import Voice

_QUIET = Voice(say=lambda _: None, warn=lambda _: None, step=lambda _: None)
_HERE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
_NO_WHEELS = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": os.devnull}


def _this_machine() -> Target:
    return target(_HERE, sys.version_info[:2])


def _orthweb(*words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orthweb", *map(str, words)], env={**os.environ, **variables}, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels for hosts and for this machine, which pip fetched once."""
    folder = tmp_path_factory.mktemp("wheels")
    build_bundle(folder / "first.tar.gz", _this_machine(), _QUIET, folder)
    build_bundle(folder / "second.tar.gz", target("amd64"), _QUIET, folder)
    return folder


@pytest.fixture(scope="module")
def bundle(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build_bundle(tmp_path_factory.mktemp("bundle") / "b.tar.gz", _this_machine(), _QUIET, wheels)


@pytest.mark.slow
def test_two_bundles_are_the_same_bytes_wherever_whenever_and_by_whomever_they_are_built(
    wheels: Path, tmp_path: Path
) -> None:
    first = build_bundle(tmp_path / "first.tar.gz", target("amd64"), _QUIET, wheels)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(Path(orthweb.__file__).parent, elsewhere / "orthweb")
    for path in elsewhere.rglob("*"):
        os.utime(path, (time.time() + 1e6, time.time() + 1e6))
        path.chmod(0o755)
    (elsewhere / "orthweb" / "left~").touch()
    (elsewhere / "orthweb" / "__pycache__").mkdir(exist_ok=True)
    (elsewhere / "orthweb" / "__pycache__" / "x.cpython-313.pyc").touch()
    copied = tmp_path / "other wheels"
    copied.mkdir()
    for path in reversed(sorted(wheels.glob("*.whl"))):
        shutil.copyfile(path, copied / path.name)
    said = subprocess.run(
        ["sh", "-c", 'umask 077; exec "$0" -m orthweb bundle --output "$1" --wheels "$2"', sys.executable,
         tmp_path / "second.tar.gz", copied],
        env={**os.environ, "PYTHONPATH": str(elsewhere), "TZ": "Pacific/Auckland", "LC_ALL": "C",
             "PYTHONHASHSEED": "7", **_NO_WHEELS},
        cwd=elsewhere, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert first.path.read_bytes() == (tmp_path / "second.tar.gz").read_bytes()
    assert first.sha256 in said.stdout


def test_a_bundle_holds_wheels_their_hashes_and_nothing_else(bundle: Bundle) -> None:
    assert bundle.sha256 == hashlib.sha256(bundle.path.read_bytes()).hexdigest()
    assert bundle.size == bundle.path.stat().st_size
    with tarfile.open(bundle.path) as archive:
        names = archive.getnames()
        data = {name: archive.extractfile(name).read() for name in names}  # type: ignore[union-attr]  # all are files
    required = data.pop("requirements.txt").decode().splitlines()
    assert len(required) == len(data) == len(host_pins()) + 1
    assert all(name.startswith("wheels/") and name.endswith(".whl") for name in data)
    sums = {hashlib.sha256(wheel).hexdigest() for wheel in data.values()}
    assert {line.partition(" --hash=sha256:")[2] for line in required} == sums
    assert f"orthweb=={orthweb.__version__} " in "\n".join(required)


def test_the_wheel_of_orthweb_says_truly_what_it_holds(tmp_path: Path) -> None:
    with zipfile.ZipFile(write_wheel(tmp_path, host_pins())) as wheel:
        names = wheel.namelist()
        record = list(csv.reader(io.StringIO(wheel.read(f"orthweb-{orthweb.__version__}.dist-info/RECORD").decode())))
        assert [row[0] for row in record] == names
        assert all(int(row[2]) == len(wheel.read(row[0])) for row in record[:-1])
    assert {"orthweb/cli/main.py", "orthweb/py.typed", "orthweb/bundle/host.lock"} & set(names) >= {
        "orthweb/cli/main.py", "orthweb/bundle/host.lock",
    }  # fmt: skip
    assert "orthweb/terraform/boot/orthweb-boot" in names
    assert not [name for name in names if re.search(r"__pycache__|\.pyc$|~$|\.tf$|\.terraform", name)]
    assert dict(package_files()).keys() == {name for name in names if name.startswith("orthweb/")}


@pytest.mark.slow
def test_a_host_is_installed_without_a_network(bundle: Bundle, tmp_path: Path) -> None:
    people.need_root("cutting the network off")
    subprocess.run(["tar", "-xzf", bundle.path, "-C", tmp_path], check=True, timeout=60)
    python = tmp_path / "environment" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True, timeout=120)

    def alone(*command: object) -> str:
        done = subprocess.run(
            ["unshare", "--net", *map(str, command)], capture_output=True, text=True, timeout=200, check=False,
            env={"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": os.devnull}, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    alone(
        python, "-m", "pip", "install", "--no-compile", "--no-index", "--no-deps", "--require-hashes", "--find-links",
        tmp_path / "wheels", "-r", tmp_path / "requirements.txt",
    )  # fmt: skip
    assert "No broken requirements" in alone(python, "-m", "pip", "check")
    assert alone(python.parent / "orthweb", "--version") == f"orthweb {orthweb.__version__}\n"
    assert "bundle" in alone(python.parent / "orthweb", "--help")
    alone(python, "-c", "import botocore.session, cryptography.x509, psycopg, pydantic, rich, ruamel.yaml, typer")
    alone(python, "-c", "import orthweb.site.load, orthweb.pki, orthweb.render.orthanc, orthweb.render.envoy")


def test_a_wheel_that_was_tampered_with_is_not_taken(wheels: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(wheels, tmp_path / "wheels")
    victim = next(copied.glob("six-*.whl"))
    victim.write_bytes(victim.read_bytes() + b"!")
    done = _orthweb("bundle", "--wheels", copied, "--output", tmp_path / "b.tar.gz", **_NO_WHEELS)
    assert done.returncode == 1
    assert re.fullmatch(r"orthweb: could not download the wheels of the hosts: .*six.*--wheels\n", done.stderr), done
    assert not (tmp_path / "b.tar.gz").exists()


def test_without_wheels_and_without_a_network_one_line_says_so(tmp_path: Path) -> None:
    people.need_root("cutting the network off")
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "orthweb", "bundle", "--output", tmp_path / "b.tar.gz"],
        env={**os.environ, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", "PIP_FIND_LINKS": os.devnull,
             "PIP_INDEX_URL": "https://192.0.2.1/simple"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert re.fullmatch(r"orthweb: could not download .*Network is unreachable: see that pip .*\n", done.stderr), done
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--architecture", "sparc"], "--architecture: 'sparc': write amd64 or arm64"),
        (["--output", "/nowhere/b.tar.gz"], "--output: /nowhere is not a folder: make it first"),
        (["--output", "/tmp"], "--output: /tmp is a folder: name a file"),
        (["--wheels", "/dev/null"], "--wheels: /dev/null: File exists: name a folder"),
        (["--images", "--site", "/nowhere"], "/nowhere/orthweb.yaml"),
    ],
)
def test_what_cannot_be_right_is_refused_in_one_line(words: list[str], said: str) -> None:
    done = _orthweb("bundle", *words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"orthweb: {said}") and done.stderr.count("\n") == 1, done.stderr


def test_images_need_docker(wheels: Path, tmp_path: Path) -> None:
    (tmp_path / "orthweb.yaml").write_text("name: clinic\n")
    words = ("bundle", "--images", "--site", tmp_path, "--wheels", wheels, "--output", tmp_path / "b.tar.gz")
    done = _orthweb(*words, PATH="/nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("orthweb: docker is not on this machine, and the images of a bundle come from it: ")
    stand_in = tmp_path / "bin" / "docker"
    stand_in.parent.mkdir()
    stand_in.write_text('#!/bin/sh\necho "Error response from daemon: No such image: $5" >&2\nexit 1\n')
    stand_in.chmod(0o755)
    done = _orthweb(*words, PATH=f"{stand_in.parent}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert re.fullmatch(
        r"orthweb: docker does not have envoyproxy/envoy:(\S+): docker pull envoyproxy/envoy:\1\n",
        done.stderr,
    )
    stand_in.write_text("#!/bin/sh\necho sha256:1 arm64\n")
    done = _orthweb(*words, PATH=f"{stand_in.parent}:{os.environ['PATH']}")
    assert done.returncode == 2
    assert "is for arm64 here, and the bundle is for amd64: docker pull --platform linux/amd64 " in done.stderr
    (tmp_path / "orthweb.yaml").write_text(f"name: clinic\nenvoy: {{image: 'envoyproxy/envoy@sha256:{'0' * 64}'}}\n")
    done = _orthweb(*words, PATH=f"{stand_in.parent}:{os.environ['PATH']}")
    assert done.returncode == 2
    assert "is named by its digest, which 'docker save' does not keep: name it by a tag" in done.stderr
    assert not (tmp_path / "b.tar.gz").exists()


def test_a_full_disk_is_one_line_and_leaves_nothing(wheels: Path, tmp_path: Path) -> None:
    people.need_root("mounting a disk")
    small = tmp_path / "small"
    small.mkdir()
    script = 'mount -t tmpfs -o size=4m tmpfs "$1" && "$0" -m orthweb bundle --wheels "$2" --output "$1/b"; ls -A "$1"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, sys.executable, small, wheels], capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.stderr == f"orthweb: {small}/b: No space left on device\n"
    assert done.stdout == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_interrupts_it_finds_no_half_file(number: signal.Signals, tmp_path: Path) -> None:
    # An index that answers nobody, so that pip is waited for.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = subprocess.Popen(
            [sys.executable, "-m", "orthweb", "bundle", "--output", tmp_path / "b.tar.gz"],
            env={**os.environ, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", "PIP_FIND_LINKS": os.devnull,
                 "PIP_INDEX_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/simple", "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            silent.settimeout(60)
            connection, _ = silent.accept()
            with connection:
                assert list(tmp_path.iterdir()), "it works in a folder of its own"
                process.send_signal(number)
                _, err = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 130
    assert err == "orthweb: interrupted: the same command goes on from here\n"
    assert list(tmp_path.iterdir()) == []


def test_this_machines_python_gets_other_wheels_than_a_host(wheels: Path, tmp_path: Path) -> None:
    if sys.version_info[:2] == (3, 13):
        assert _this_machine() == target(_HERE)
        return
    assert build_bundle(tmp_path / "a", _this_machine(), _QUIET, wheels).sha256 != (
        build_bundle(tmp_path / "b", target("amd64"), _QUIET, wheels).sha256
    )


def test_a_folder_without_the_wheels_is_filled_by_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _NO_WHEELS.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Failure, match="could not download the wheels"):
        build_bundle(tmp_path / "b", target("arm64"), _QUIET, tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(InputError, match=r"wheels: .*No such file"):
        build_bundle(tmp_path / "b", target("arm64"), _QUIET, tmp_path / "no" / "such")

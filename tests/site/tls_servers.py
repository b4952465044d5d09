"""Servers that speak TLS in the tests, each wrong in its way, as both ports of a site that validation looks at."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from breaking import assert_found
from doors import ANYTHING, keep
from harness import free_port, run, serving
from looking import results

from orthweb.dicom.tls import TlsFiles
from orthweb.pki import Issued
from orthweb.validation import Result, Status
from orthweb.validation.target import DicomDoor, Target, WebDoor

DOORS = ("web", "dicom")
"""Names of the two ports in the identifiers of the checks of TLS."""
HERE = ["localhost", "127.0.0.1"]
LAX = ("-cipher", ANYTHING)
"""OpenSSL's option for every suite that it was built with, and old versions and weak keys."""


def on_both(*checks: str) -> pytest.MarkDecorator:
    """The mark of a test that sees these checks fail on both ports."""
    return pytest.mark.twin(*(f"tls.{door}.{check}" for check in checks for door in DOORS))


def target(
    folder: Path, port: int, trusted: Path | None = None, host: str = "localhost", names: tuple[str, ...] = ()
) -> Target:
    """A site whose web and DICOM port are the same one."""
    return Target(
        name="test",
        names=names or (host,),
        web=WebDoor(host, port, ca=trusted),
        dicom=DicomDoor(host, port, "ORTHANC", tls=TlsFiles(trusted)),
        state=folder / "state",
    )


def assert_on_both(
    site: Target, check: str, message: str, remedy: str, status: Status = Status.FAILED
) -> dict[str, Result]:
    """Check that a check fails on both ports, with a finding that the patterns match."""
    found = results(site, *(f"tls.{door}.{check}" for door in DOORS))
    for door in DOORS:
        assert_found(found[f"tls.{door}.{check}"], status, message, remedy)
    return found


@contextlib.contextmanager
def openssl_server(folder: Path, shown: Issued | TlsFiles | None, *options: str | Path) -> Iterator[int]:
    """OpenSSL's server, which takes one client after another and waits for each as long as it likes."""
    port = free_port()
    certificate: list[str | Path] = ["-nocert"]
    if isinstance(shown, Issued):
        key, path = keep(shown, folder, f"shown-{port}")
        certificate = ["-key", key, "-cert", path]
    elif shown is not None and shown.key and shown.certificate:
        certificate = ["-key", shown.key, "-cert", shown.certificate]
    with serving(["openssl", "s_server", "-accept", str(port), "-www", *certificate, *options], port):
        yield port


@contextlib.contextmanager
def java_server(folder: Path, shown: Issued) -> Iterator[int]:
    """Java's, which has what OpenSSL no longer has: SSL 3.0, RC4, DES, and keys of 40 bits."""
    port, store, allowed = free_port(), folder / "store.p12", folder / "allowed.properties"
    key, path = keep(shown, folder, "java")
    made = run(["openssl", "pkcs12", "-export", "-in", path, "-inkey", key, "-out", store, "-passout", "pass:secret"])
    assert made.status == 0, made.all
    allowed.write_text(
        "".join(f"jdk.{which}Algorithms=\n" for which in ("tls.disabled", "tls.legacy", "certpath.disabled"))
    )
    source = Path(__file__).with_name("WeakTls.java")
    with serving(
        ["java", "-XX:TieredStopAtLevel=1", f"-Djava.security.properties={allowed}", source, str(port), store], port
    ):
        yield port


def weak_pair(folder: Path) -> TlsFiles:
    """A certificate with a key of 1024 bits, signed with SHA-1 by itself, as it was usual once."""
    certificate, key = folder / "weak.crt", folder / "weak.key"
    command = "openssl req -x509 -nodes -newkey rsa:1024 -sha1 -days 100 -subj /CN=localhost"
    names = ("-addext", "subjectAltName=DNS:localhost", "-addext", "extendedKeyUsage=serverAuth")
    made = run([*command.split(), *names, "-out", certificate, "-keyout", key])
    assert made.status == 0, made.all
    return TlsFiles(certificate, certificate, key)


@contextlib.contextmanager
def swapped(watched: Path, text: str) -> Iterator[None]:
    """A file that the proxy watches with another content while the body runs, renamed over as it wants it."""

    def swap(content: str) -> None:
        fresh = watched.with_suffix(".fresh")
        fresh.write_text(content)
        shutil.copymode(watched, fresh)
        owner = watched.stat()
        os.chown(fresh, owner.st_uid, owner.st_gid)
        fresh.rename(watched)

    before = watched.read_text()
    swap(text)
    try:
        yield
    finally:
        swap(before)

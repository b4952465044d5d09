"""`orthweb validate`, the network of another machine: its usual ports, and who it is that answers on a port."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from breaking import assert_found
from dicom_lines import Line, line
from dicom_peers import plain_orthanc
from harness import CLIENT_ENVIRONMENT, TestSite, eventually, free_port, serving
from looking import closed, open_administration
from tls_servers import target

from orthweb.validation import Status
from orthweb.validation.probes.who_answers import Kind, who_answers

# Without an inside view -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _there(far: Line, command: Sequence[str | Path], port: int) -> Iterator[None]:
    """A server on the other machine, until the body ends."""
    words = ["ip", "netns", "exec", far.namespace, *map(str, command)]
    silent = subprocess.DEVNULL
    process = subprocess.Popen(words, env=CLIENT_ENVIRONMENT, stdin=silent, stdout=silent, stderr=silent)
    try:
        eventually(lambda: who_answers(far.there, port, 2), 20, f"{command[0]} to listen on port {port}")
        yield
    finally:
        process.kill()
        process.wait()


@pytest.mark.twin("network.closed")
def test_the_usual_ports_of_another_machine_are_looked_at(folder: Path) -> None:
    settings = {
        "Name": "open",
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "RemoteAccessAllowed": True,
        "AuthenticationEnabled": False,
        "Plugins": [],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with line() as far:
        here = target(folder, 443, host=far.there)
        with _there(far, ["Orthanc", folder / "orthanc.json"], 8042):
            found = closed(here)
            assert_found(
                found, Status.FAILED, f"Orthanc's web server answers others on {far.there} port 8042", "firewall"
            )
            assert_found(found, Status.FAILED, f"a DICOM service answers others on {far.there} port 4242", "firewall")
            # Unless they are what was asked for.
            doors = dataclasses.replace(here.web, port=8042), dataclasses.replace(here.dicom, port=4242)
            found = closed(dataclasses.replace(here, web=doors[0], dicom=doors[1]))
            assert (found.status, found.message) == (Status.PASSED, "nothing of the site answers on 2 ports"), found
        found = closed(here)
        assert (found.status, found.message) == (Status.PASSED, "nothing of the site answers on 4 ports"), found
        with _there(far, [sys.executable, "-m", "http.server", "--directory", folder, "5432"], 5432):
            assert f"{far.there} port 5432 is somebody else's (a web server)" in closed(here).message
        far.cut()
        assert closed(here).status is Status.PASSED


def test_on_loopback_the_usual_ports_say_nothing(folder: Path) -> None:
    found = closed(target(folder, 443))
    assert found.status is Status.SKIPPED
    assert "call the site by an address that others use" in found.message


# Who answers ----------------------------------------------------------------------------------------------------


def test_what_answers_on_a_port_is_told_by_its_answers(site: TestSite, folder: Path) -> None:
    ports = json.loads((site.state / "ports.json").read_text())
    web = free_port()
    with (
        open_administration(folder) as administration,
        plain_orthanc(folder / "orthanc") as plain,
        serving([sys.executable, "-m", "http.server", "--directory", folder, str(web)], web),
    ):
        found = {
            port: who_answers("127.0.0.1", port, 2)
            for port in (
                ports["postgresql"], ports["orthanc-1/http"], ports["orthanc-1/dicom"], administration, plain.port,
                plain.dicom_port, site.dicom_port, web, free_port(),
            )
        }  # fmt: skip
    assert list(found.values()) == [
        Kind.POSTGRESQL, Kind.TLS, Kind.TLS, Kind.ENVOY, Kind.ORTHANC, Kind.DICOM, Kind.TLS, Kind.WEB, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\xff" * 70000,
        b"\x07",
        b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 70000,
        b'HTTP/1.0 200 OK\r\n\r\n{"version": 1}',
    ],
)
def test_odd_answers_are_no_trouble(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    with client, contextlib.suppress(OSError):
                        client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            found = who_answers("127.0.0.1", server.getsockname()[1], 2)
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert found is (Kind.WEB if answer.startswith(b"HTTP/") else Kind.UNKNOWN)

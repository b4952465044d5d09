"""What `orthweb echo` says when nobody answers, or one side does not trust the other: one line, and what to do."""

from __future__ import annotations

import contextlib
import datetime
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from doors import keep, site_authority
from harness import Done, TestSite, free_port, orthweb, serving
from odd_archive import Peer as PlainPeer
from odd_archive import odd_archive
from pynetdicom import AE
from refusals import refused

from orthweb.dicom.errors import AssociationAborted
from orthweb.dicom.limits import Limits
from orthweb.dicom.requestor import Peer, Requestor
from orthweb.dicom.tls import TlsFiles, client_context
from orthweb.dicom.troubles import explain
from orthweb.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from orthweb.pki import Authority, Issued, ensure_authority

LONG_AGO = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=400)


@pytest.fixture
def authority(folder: Path) -> Authority:
    """An authority of the test's own."""
    return ensure_authority(folder / "authority", "test authority")


@contextlib.contextmanager
def receiver(folder: Path, shown: Issued, clients: Sequence[str | Path] = ("-ic",), *more: str) -> Iterator[int]:
    """DCMTK's storescp over TLS, with this certificate and these options about the clients' certificates."""
    key, certificate = keep(shown, folder, "server")
    port = free_port()
    with serving(["storescp", *more, "+tls", key, certificate, *clients, str(port)], port):
        yield port


def call(port: int, *words: str | Path, host: str = "localhost") -> Done:
    """Run `echo` outside of any site."""
    return orthweb("echo", "--to", f"{host}:{port}", "--called", "ANY", *words)


def shown(issued: Issued, folder: Path) -> list[str | Path]:
    """The options that show a certificate."""
    key, certificate = keep(issued, folder, "client")
    return ["--certificate", certificate, "--key", key]


# The peer's certificate ---------------------------------------------------------------------------------------------


def test_a_peer_with_a_good_certificate_answers(folder: Path, authority: Authority) -> None:
    with receiver(folder, authority.issue_server(["localhost"])) as port:
        done = call(port, "--ca", folder / "authority/ca.crt")
        assert done.status == 0, done.all
        assert "TLSv1." in done.out


def test_a_peer_of_an_unknown_authority_is_not_trusted(folder: Path, authority: Authority) -> None:
    other = ensure_authority(folder / "other", "another authority")
    with receiver(folder, other.issue_server(["localhost"])) as port:
        done = call(port, "--ca", folder / "authority/ca.crt")
        refused(done, "ANY at localhost", "of an authority that is not trusted here", "--ca", status=1)
        refused(call(port), "of an authority that is not trusted here", "--ca", status=1)


def test_a_peer_with_an_expired_certificate_is_not_trusted(folder: Path, authority: Authority) -> None:
    with receiver(folder, authority.issue_server(["localhost"], days=30, now=LONG_AGO)) as port:
        refused(call(port, "--ca", folder / "authority/ca.crt"), "its certificate has expired", "renewed", status=1)


def test_a_peer_with_another_name_is_not_trusted_unless_that_name_is_given(folder: Path, authority: Authority) -> None:
    ca: list[str | Path] = ["--ca", folder / "authority/ca.crt"]
    with receiver(folder, authority.issue_server(["pacs.example.org"])) as port:
        refused(call(port, *ca), "its certificate is not for localhost", "--server-name", status=1)
        refused(call(port, *ca, host="127.0.0.1"), "its certificate is not for 127.0.0.1", status=1)
        done = call(port, *ca, "--server-name", "pacs.example.org")
        assert done.status == 0, done.all


# Our certificate ----------------------------------------------------------------------------------------------------


def test_a_site_refuses_who_shows_no_certificate(site: TestSite) -> None:
    done = call(site.dicom_port, "--ca", site.ca)
    refused(done, "it wants a certificate, and none was shown", "--certificate and --key", status=1)


def test_a_site_refuses_who_shows_a_certificate_of_another_authority(
    site: TestSite, folder: Path, authority: Authority
) -> None:
    done = call(site.dicom_port, "--ca", site.ca, *shown(authority.issue_client("stranger"), folder))
    refused(done, "it does not know the authority of the certificate that was shown", status=1)


def test_a_site_refuses_who_shows_an_expired_certificate(site: TestSite, folder: Path) -> None:
    old = site_authority(site).issue_client("old", days=1, now=LONG_AGO)
    done = call(site.dicom_port, "--ca", site.ca, *shown(old, folder))
    refused(done, "it says that the certificate that was shown has expired", status=1)


@pytest.mark.parametrize("own", ["none", "another authority's"])
def test_dcmtk_refuses_a_wrong_certificate(folder: Path, authority: Authority, own: str) -> None:
    other = ensure_authority(folder / "other", "another authority").issue_client("stranger")
    options = shown(other, folder) if own != "none" else []
    trusted: list[str | Path] = ["+cf", folder / "authority/ca.crt", "-rc"]
    with receiver(folder, authority.issue_server(["localhost"]), trusted) as port:
        refused(call(port, "--ca", folder / "authority/ca.crt", *options), "certificate", "--certificate", status=1)


def test_the_alert_is_told_also_when_it_comes_after_the_handshake(folder: Path, authority: Authority) -> None:
    key, certificate = keep(authority.issue_server(["localhost"]), folder, "server")
    port = free_port()
    server: list[str | Path] = [
        "openssl",
        "s_server",
        "-www",
        "-accept",
        str(port),
        "-key",
        key,
        "-cert",
        certificate,
        "-Verify",
        "1",
    ]
    for version in ("-tls1_3", "-tls1_2"):
        with serving([*server, version, "-CAfile", folder / "authority/ca.crt", "-verify_return_error"], port):
            done = call(port, "--ca", folder / "authority/ca.crt")
            refused(done, "certificate", "none was shown" if version == "-tls1_3" else "no certificate", status=1)


# No TLS, no answer --------------------------------------------------------------------------------------------------


def test_a_peer_without_tls_is_told_from_one_with(site: TestSite) -> None:
    port = free_port()
    with serving(["storescp", str(port)], port):
        refused(call(port), "TLS", "--plain", status=1)
        assert call(port, "--plain").status == 0
    with odd_archive() as peer:
        refused(call(peer.port), "TLS", "--plain", status=1)
    refused(call(site.dicom_port, "--plain"), "it speaks TLS on this port", "leave out --plain", status=1)


def test_a_web_server_is_no_archive(site: TestSite) -> None:
    done = call(site.web_port, "--ca", site.ca)
    refused(done, "ANY at localhost", status=1)


def test_nobody_there_is_told(site: TestSite) -> None:
    refused(call(free_port(), "--plain"), "nobody listens there: connection refused", status=1)


def test_a_title_that_the_peer_does_not_take_is_told() -> None:
    entity = AE("ODD")
    entity.require_called_aet, entity.require_calling_aet = True, ["ORTHWEB"]
    entity.add_supported_context(VERIFICATION)
    server = entity.start_server(("127.0.0.1", 0), block=False)
    assert server is not None and server.socket is not None
    try:
        peer = PlainPeer(server.socket.getsockname()[1], "ODD")
        assert peer("echo").status == 0
        refused(peer("echo", "--calling", "STRANGER"), "does not know the AE title 'STRANGER'", "--calling", status=1)
        refused(PlainPeer(peer.port, "EVEN")("echo"), "by the AE title 'EVEN'", "--called", status=1)
    finally:
        server.shutdown()


@pytest.mark.parametrize("secure", [True, False])
def test_a_peer_that_takes_the_connection_and_says_nothing_is_given_up(
    folder: Path, authority: Authority, secure: bool
) -> None:
    tls = client_context(TlsFiles(folder / "authority/ca.crt")) if secure else None
    with socket.create_server(("127.0.0.1", 0)) as silent:
        limits = Limits(handshake_seconds=0.5, request_seconds=0.5)
        peer = Peer("127.0.0.1", silent.getsockname()[1], "SILENT", tls=tls, limits=limits)
        with pytest.raises((TimeoutError, AssociationAborted)) as caught:
            Requestor(peer, [(VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,))])
        message, _ = explain(caught.value, peer)
    assert ("did not answer the TLS handshake" in message) if secure else ("after 0.5 s" in message)


def test_a_peer_that_hangs_up_in_the_handshake_is_told(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as rude:

        def hang_up() -> None:
            connection, _ = rude.accept()
            connection.recv(1)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        refused(call(rude.getsockname()[1]), "it hung up during the TLS handshake", "--plain", status=1)
        thread.join()

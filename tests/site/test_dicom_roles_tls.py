"""Both roles over TLS: who is trusted and who is not, what is said of it, and a certificate replaced while running."""

from __future__ import annotations

import contextlib
import re
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dicom_circle import Circle, new_circle
from dicom_local_user import CT_STORAGE
from dicom_peers import LIMITS, peer, pynetdicom_server, receiving, storescp
from dicom_samples import Sample, dataset, dataset_digest, elements, make, storescu_profile, uid_of
from doors import Stalled, half_client_hello
from harness import run
from pynetdicom import AE, evt

from orthweb.dicom.errors import DicomError
from orthweb.dicom.folder import into_folder
from orthweb.dicom.reception import Sink, StoreRequest
from orthweb.dicom.requestor import Peer
from orthweb.dicom.store import Storer
from orthweb.dicom.tls import client_context, server_context
from orthweb.dicom.transport import connect, now
from orthweb.dicom.troubles import explain
from orthweb.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

KEYS = [(VERIFICATION, IMPLICIT_VR_LITTLE_ENDIAN), (CT_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN)]


@pytest.fixture
def circle(tmp_path: Path) -> Circle:
    return new_circle(tmp_path / "pki")


@pytest.fixture
def stranger(tmp_path: Path) -> Circle:
    return new_circle(tmp_path / "other")


@pytest.fixture
def one(tmp_path: Path) -> Sample:
    return make(tmp_path, "one", elements("one", bytes(range(256)) * 8192), EXPLICIT_VR_LITTLE_ENDIAN)


def store(called: Peer, one: Sample) -> int:
    with Storer(called, KEYS) as storer:
        return storer.store(one.path)


def trouble(called: Peer) -> str:
    """Why there is no association, as a person is told it."""
    with pytest.raises((OSError, DicomError)) as raised:
        Storer(called, KEYS)
    return explain(raised.value, called)[0]


def test_a_dataset_arrives_byte_for_byte_and_the_receiver_knows_whose_it_is(
    circle: Circle, folder: Path, one: Sample
) -> None:
    senders = []
    kept = into_folder(folder)

    def open_sink(request: StoreRequest) -> Sink | int:
        senders.append(request.sender)
        return kept(request)

    device = circle.client()
    with receiving(open_sink, tls=server_context(circle.server())) as server:
        assert store(peer(server.port, tls=client_context(device)), one) == 0
    assert dataset_digest(folder / f"{uid_of('one')}.dcm") == one.digest
    assert device.certificate is not None
    assert [sender.certificate for sender in senders] == [ssl.PEM_cert_to_DER_cert(device.certificate.read_text())]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("who", "words"),
    [
        ("nobody", "it wants a certificate, and none was shown|no certificate was shown, or one that it does not take"),
        ("stranger", "it does not know the authority of the certificate that was shown"),
        ("expired", "it says that the certificate that was shown has expired"),
        ("server", "it cannot use the kind of certificate that was shown"),
    ],
)
def test_a_device_that_the_server_does_not_take_is_told_why(
    circle: Circle, stranger: Circle, who: str, words: str, version: ssl.TLSVersion
) -> None:
    shown = {
        "nobody": lambda: circle.files(None, "nobody"),
        "stranger": lambda: replace(stranger.client(), authority=circle.trusted),
        "expired": lambda: circle.client(days_ago=10),
        "server": lambda: replace(circle.server(), authority=circle.trusted),
    }
    context = client_context(shown[who]())
    context.maximum_version = version
    with receiving(lambda _: 0, tls=server_context(circle.server())) as server:
        # With TLS 1.3 it is told while the request for an association is on its way: either may be first.
        for _ in range(10):
            assert re.search(words, trouble(peer(server.port, tls=context)))


@pytest.mark.parametrize(
    ("who", "words"),
    [
        ("expired", "its certificate has expired"),
        ("stranger", "its certificate is of an authority that is not trusted here"),
        ("other name", "its certificate is not for 127.0.0.1"),
    ],
)
def test_a_server_that_cannot_be_trusted_is_not_sent_to(circle: Circle, stranger: Circle, who: str, words: str) -> None:
    shown = {
        "expired": lambda: circle.server(days_ago=10),
        "stranger": lambda: replace(stranger.server(), authority=circle.trusted),
        "other name": lambda: circle.server(["archive.example"]),
    }
    with receiving(lambda _: 0, tls=server_context(shown[who]())) as server:
        called = peer(server.port, tls=client_context(circle.client()))
        assert trouble(called) == words
        if who == "other name":
            with Storer(replace(called, server_name="archive.example"), KEYS) as storer:
                assert storer.requestor.echo() == 0


def test_a_plain_client_on_a_port_with_tls_and_the_reverse_are_told_so(circle: Circle) -> None:
    with receiving(lambda _: 0, tls=server_context(circle.server())) as server:
        assert trouble(peer(server.port)).startswith("the connection was lost")
    with receiving(lambda _: 0) as server:
        assert trouble(peer(server.port, tls=client_context(circle.client()))) == "it speaks no TLS on this port"


def test_old_versions_of_tls_are_not_spoken(circle: Circle) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(circle.trusted)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLS"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with receiving(lambda _: 0, tls=server_context(circle.server())) as server:
        assert trouble(peer(server.port, tls=old)) == "it speaks no TLS that is safe"


def test_slow_handshakes_hold_nobody_else(circle: Circle, folder: Path, one: Sample) -> None:
    limits = replace(LIMITS, handshake_seconds=1.5)
    with (
        receiving(into_folder(folder), limits, tls=server_context(circle.server())) as server,
        contextlib.ExitStack() as stack,
    ):
        # Half of them say nothing, and half say half of a hello.
        stalled = Stalled(stack, server.port, 30, half_client_hello())
        assert store(peer(server.port, tls=client_context(circle.client())), one) == 0
        assert stalled.still_open() == 30
        stalled.wait_closed(15)


def test_a_certificate_is_replaced_while_associations_go_on(
    circle: Circle, stranger: Circle, folder: Path, one: Sample
) -> None:
    first, second = circle.server(), stranger.server()
    old, new = client_context(circle.client()), client_context(stranger.client())
    with (
        receiving(into_folder(folder), tls=server_context(first)) as server,
        Storer(peer(server.port, tls=old), KEYS) as storer,
    ):
        assert storer.store(one.path) == 0
        server.replace_tls(server_context(second))
        assert trouble(peer(server.port, tls=old)) == "its certificate is of an authority that is not trusted here"
        assert store(peer(server.port, tls=new), one) == 0
        assert shown_by(server.port, new) == (stranger.folder / "server.crt").read_text()
        assert storer.store(one.path) == 0


def shown_by(port: int, context: ssl.SSLContext) -> str:
    """The certificate that a server shows, PEM."""
    channel, _ = connect("127.0.0.1", port, context, now() + 10)
    shown = channel.peer_certificate()
    channel.close()
    assert shown is not None
    return ssl.DER_cert_to_PEM_cert(shown)


def test_a_connection_that_is_interrupted_stays_encrypted(circle: Circle) -> None:
    with receiving(lambda _: 0, tls=server_context(circle.server())) as server:
        channel, _ = connect("127.0.0.1", server.port, client_context(circle.client()), now() + 10)
        version = channel.tls_version()
        # From another thread as a rule, while the one that uses it may be about to send.
        channel.interrupt()
        assert channel.tls_version() == version
        channel.close()


def test_dcmtk_and_we_speak_tls_both_ways(circle: Circle, folder: Path, one: Sample) -> None:
    device, server_files = circle.client(), circle.server()
    (folder / "profile").write_text(storescu_profile([one.key]))
    options = ["+tls", str(device.key), str(device.certificate), "+cf", str(circle.trusted), "-rc"]
    (folder / "ours").mkdir()
    with receiving(into_folder(folder / "ours"), tls=server_context(server_files)) as server:
        command = ["storescu", "-v", *options, "-xf", str(folder / "profile"), "All", "localhost", str(server.port)]
        done = run([*command, one.path])
    assert done.status == 0, done.all
    shown = ["+tls", str(server_files.key), str(server_files.certificate), "+cf", str(circle.trusted)]
    with storescp(folder / "theirs", *shown) as port:
        assert store(peer(port, tls=client_context(device)), one) == 0
    for name in ("ours", "theirs"):
        assert [dataset_digest(path) for path in (folder / name).iterdir()] == [one.digest]


def test_pynetdicom_and_we_speak_tls_both_ways(circle: Circle, folder: Path, one: Sample) -> None:
    device, server_files = client_context(circle.client()), server_context(circle.server())
    with receiving(into_folder(folder), tls=server_files) as server:
        entity = AE()
        entity.add_requested_context(*one.key)
        association = entity.associate("localhost", server.port, tls_args=(device, "localhost"))
        assert association.send_c_store(one.path).Status == 0
        association.release()
    assert dataset_digest(folder / f"{uid_of('one')}.dcm") == one.digest
    received: list[bytes] = []

    def taken(event: Any) -> int:
        received.append(event.request.DataSet.getvalue())
        return 0

    entity = AE()
    entity.add_supported_context(*one.key)
    with pynetdicom_server(entity, [(evt.EVT_C_STORE, taken)], server_files) as port:
        assert store(peer(port, tls=device), one) == 0
    assert received == [dataset(one.path)]

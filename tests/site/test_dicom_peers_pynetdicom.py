"""Our two roles against pynetdicom, in this process: it sends to us and receives from us, plain and over TLS."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from dicom_peers import descriptors, peer, pynetdicom_server, receiving
from dicom_samples import Sample, dataset_digest, made_up, packaged, rounds, sample, uid_of
from harness import eventually
from pynetdicom import AE, _config, evt
from pynetdicom.pdu_primitives import UserIdentityNegotiation

from orthweb.dicom.errors import AssociationRejected
from orthweb.dicom.folder import into_folder
from orthweb.dicom.requestor import Requestor
from orthweb.dicom.store import ContextKey, Storer, grouped
from orthweb.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION

# Several of these files are there because they are odd.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
def all_samples(tmp_path: Path) -> list[Sample]:
    return [*packaged(), *made_up(tmp_path)]


@pytest.fixture(autouse=True)
def _liberal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pynetdicom send the bytes of a file instead of what it makes of them, and take any storage class."""
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)
    monkeypatch.setattr(_config, "UNRESTRICTED_STORAGE_SERVICE", True)


class Entity:
    """pynetdicom as a receiver, and what it received: (SOP class, transfer syntax) and digest by SOP instance UID."""

    def __init__(self, keys: list[ContextKey], maximum_length: int = 16382) -> None:
        self.entity = AE(ae_title="PYNETDICOM")
        self.entity.maximum_pdu_size = maximum_length
        self.entity.add_supported_context(VERIFICATION)
        for sop_class in {sop_class for sop_class, _ in keys}:
            self.entity.add_supported_context(sop_class, sorted({syntax for same, syntax in keys if same == sop_class}))
        self.received: dict[str, tuple[ContextKey, str]] = {}
        self.handlers = [(evt.EVT_C_STORE, self._store)]

    def _store(self, event: Any) -> int:
        request, context = event.request, event.context
        digest = hashlib.sha256(request.DataSet.getvalue()).hexdigest()
        key = str(context.abstract_syntax), str(context.transfer_syntax)
        self.received[str(request.AffectedSOPInstanceUID)] = key, digest
        return 0x0000


# 0 is no limit.
@pytest.mark.parametrize("maximum_length", [0, 16382])
def test_what_pynetdicom_takes_of_us_arrives_byte_for_byte(all_samples: list[Sample], maximum_length: int) -> None:
    receiver = Entity([one.key for one in all_samples], maximum_length)
    with pynetdicom_server(receiver.entity, receiver.handlers) as port:
        for batch in rounds(all_samples):
            receiver.received.clear()
            for keys in grouped(one.key for one in batch):
                with Storer(peer(port), keys) as storer:
                    assert storer.requestor.association.layer.peer_maximum == maximum_length
                    for one in batch:
                        assert one.key not in keys or storer.store(one.path) == 0
            assert receiver.received == {one.head.sop_instance: (one.key, one.digest) for one in batch}


def test_what_pynetdicom_sends_is_kept_byte_for_byte(folder: Path, all_samples: list[Sample]) -> None:
    # It takes its time, so one of each transfer syntax; and it finds no dataset in a file with one byte of it.
    by_syntax = {one.head.transfer_syntax: one for one in all_samples if one.path.stem != "one-byte"}
    samples = [*by_syntax.values(), *(one for one in all_samples if one.path.stem in ("odd-length", "deflated-odd"))]
    with receiving(into_folder(folder, durable=False)) as server:
        for keys in grouped(one.key for one in samples):
            entity = AE(ae_title="PYNETDICOM")
            for sop_class, syntax in keys:
                entity.add_requested_context(sop_class, syntax)
            association = entity.associate("127.0.0.1", server.port)
            assert association.is_established
            for one in samples:
                if one.key in keys:
                    assert association.send_c_store(one.path).Status == 0
                    kept = sample(folder / f"{one.head.sop_instance}.dcm")
                    assert kept.key == one.key
                    assert dataset_digest(kept.path) == dataset_digest(one.path), one.path
            association.release()
            assert association.is_released


def test_echo_goes_both_ways() -> None:
    receiver = Entity([])
    with (
        pynetdicom_server(receiver.entity, []) as port,
        Requestor(peer(port), [(VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,))]) as requestor,
    ):
        assert [requestor.echo() for _ in range(3)] == [0, 0, 0]
    with receiving(lambda _: 0) as server:
        entity = AE()
        entity.add_requested_context(VERIFICATION)
        association = entity.associate("127.0.0.1", server.port)
        assert [association.send_c_echo().Status for _ in range(3)] == [0, 0, 0]
        association.release()


def test_a_context_that_is_not_accepted_does_not_hinder_the_others() -> None:
    with receiving(lambda _: 0) as server:
        entity = AE()
        # A query, which our server does not answer.
        entity.add_requested_context("1.2.840.10008.5.1.4.1.2.2.1")
        entity.add_requested_context(VERIFICATION)
        association = entity.associate("127.0.0.1", server.port)
        assert [context.abstract_syntax for context in association.rejected_contexts] == ["1.2.840.10008.5.1.4.1.2.2.1"]
        assert association.send_c_echo().Status == 0
        association.release()


def test_a_user_identity_and_roles_are_passed_over() -> None:
    identity = UserIdentityNegotiation()
    identity.user_identity_type = 2
    identity.positive_response_requested = True
    identity.primary_field, identity.secondary_field = b"user", b"password"
    with receiving(lambda _: 0) as server:
        entity = AE()
        entity.add_requested_context(VERIFICATION)
        association = entity.associate("127.0.0.1", server.port, ext_neg=[identity])
        assert association.send_c_echo().Status == 0
        association.release()


def test_an_abort_of_either_side_is_heard(folder: Path) -> None:
    before = descriptors()
    aborted: list[int] = []
    receiver = Entity([])
    with pynetdicom_server(receiver.entity, [(evt.EVT_ABORTED, lambda event: aborted.append(1))]) as port:
        requestor = Requestor(peer(port), [(VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,))])
        requestor.association.abort("enough")
        eventually(lambda: aborted, 10, "pynetdicom to hear of the abort")
    with receiving(into_folder(folder)) as server:
        entity = AE()
        entity.add_requested_context(VERIFICATION)
        entity.associate("127.0.0.1", server.port).abort()
    eventually(lambda: descriptors() <= before, 10, "all file descriptors to be closed")


def test_an_entity_that_wants_to_be_called_by_its_name_says_so(tmp_path: Path) -> None:
    one = next(one for one in made_up(tmp_path) if one.path.stem == "private")
    receiver = Entity([one.key])
    receiver.entity.require_called_aet = True
    with pynetdicom_server(receiver.entity, receiver.handlers) as port:
        with pytest.raises(AssociationRejected, match="called AE title not recognized"):
            Storer(peer(port, called_ae_title="SOMEBODY"), [one.key])
        with Storer(peer(port, called_ae_title="PYNETDICOM", calling_ae_title="A MODALITY"), [one.key]) as storer:
            assert storer.store(one.path) == 0
    assert list(receiver.received) == [uid_of("private")]

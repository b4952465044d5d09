"""Checks of what the DICOM port must refuse on an association: AE titles, and services that an archive doesn't give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pydicom.uid import UID, CTImageStorage

from orthweb.dicom.errors import AssociationAborted, AssociationRejected, DicomError, OperationFailed
from orthweb.dicom.keys import identifier
from orthweb.dicom.query import find, find_proposal
from orthweb.dicom.requestor import Peer, Proposal, Requestor
from orthweb.dicom.retrieve import MOVE_PROPOSAL, get, getting, move
from orthweb.dicom.statuses import NOT_AUTHORIZED, SOP_CLASS_NOT_SUPPORTED, words
from orthweb.dicom.store import Storer
from orthweb.dicom.tls import client_context
from orthweb.validation.check import check
from orthweb.validation.checks.dicom_services import ECHO
from orthweb.validation.look import Look
from orthweb.validation.probes.dicom_calls import (
    ECHO_PROPOSAL,
    UNCOMPRESSED,
    fail,
    nobody,
    peer_of,
    refusal,
    refusing_peer_of,
    remedy,
)

_FIND, _GET, _MOVE, _STORE = "C-FIND", "C-GET", "C-MOVE", "C-STORE"
_GUARDS = {
    _FIND: "DicomAlwaysAllowFind",
    _GET: "DicomAlwaysAllowGet",
    _MOVE: "DicomAlwaysAllowMove",
    _STORE: "DicomAlwaysAllowStore",
}
_REFUSALS = {SOP_CLASS_NOT_SUPPORTED, NOT_AUTHORIZED}
# Of all that PS3.4 knows, what a device would wait for in vain: nothing in an archive prints or keeps a schedule.
_NOT_GIVEN = (
    "1.2.840.10008.5.1.1.9",  # Basic Grayscale Print Management Meta
    "1.2.840.10008.5.1.1.18",  # Basic Color Print Management Meta
    "1.2.840.10008.5.1.1.33",  # Media Creation Management
    "1.2.840.10008.3.1.2.3.3",  # Modality Performed Procedure Step
    "1.2.840.10008.5.1.4.33",  # Instance Availability Notification
    "1.2.840.10008.5.1.4.34.6.1",  # Unified Procedure Step - Push
)
# Orthanc gives them, the second with a plugin.
_MAY_BE_GIVEN = (
    "1.2.840.10008.1.20.1",  # Storage Commitment Push Model
    "1.2.840.10008.5.1.4.31",  # Modality Worklist Information Model - FIND
)


@check(
    "dicom.called-ae-title",
    "Who calls the archive by an AE title that it does not have is refused.",
    needs=(ECHO,),
)
def CALLED_AE_TITLE(look: Look) -> str:
    peer = replace(peer_of(look.target.dicom), called_ae_title=nobody())
    said = _refused(look, peer)
    look.saw(f"association with {peer.called_ae_title}", said or "accepted")
    if said is None:
        look.fail(
            f"it takes an association that is meant for {peer.called_ae_title}",
            remedy(
                look,
                "leave DicomCheckCalledAet out of orthanc.settings in orthweb.yaml, then 'orthweb up'",
                "set DicomCheckCalledAet to true for every Orthanc server",
            ),
        )
    return f"refused: {said}"


@check(
    "dicom.own-ae-title",
    "Only the holder of Orthweb's own certificate may call by its AE title, which may query.",
    needs=(ECHO,),
    inside=True,
)
def OWN_AE_TITLE(look: Look) -> str:
    # Only sites of Orthweb's have an inside view; the title is theirs, whatever title is called by here.
    from orthweb.site.model import OWN_AE_TITLE

    device = look.inside.device
    if device is None:
        look.skip("no certificate of another device can be made here")
    peer = replace(peer_of(look.target.dicom), tls=client_context(device))
    # The certificate itself has to be good, or it would be refused under every title.
    other = replace(peer, calling_ae_title=nobody())
    look.saw(f"a device calls as {other.calling_ae_title}", _refused(look, other) or "accepted")
    # Orthanc compares titles without regard to case and to spaces around them.
    for spelled in (OWN_AE_TITLE, OWN_AE_TITLE.lower(), f" {OWN_AE_TITLE}"):
        said = _refused(look, replace(peer, calling_ae_title=spelled))
        look.saw(f"a device calls as {spelled!r}", said or "accepted")
        if said is None:
            look.fail(
                f"a device with a certificate of its own is let in as {spelled!r}, and may query all patients as that",
                "'orthweb up' writes the proxy's configuration anew, with the gate that ties the title to the "
                "certificate; then 'orthweb restart envoy'",
            )
    return f"another device is refused as {OWN_AE_TITLE}"


@check(
    "dicom.unlisted-ae-title",
    "A device that is not listed may not query or retrieve, nor store where no certificate is asked for.",
    needs=(ECHO,),
    limit=30,
)
def UNLISTED_AE_TITLE(look: Look) -> str:
    door = look.target.dicom
    peer = replace(refusing_peer_of(door), calling_ae_title=nobody())
    # Only the test study is named, so that no patient's data come when it is not refused.
    keys = identifier("STUDY", {"StudyInstanceUID": look.data.study}, returned=False)

    def find_it() -> None:
        with Requestor(peer, [find_proposal()]) as requestor:
            list(find(requestor, keys))

    def get_it() -> None:
        with getting(peer, [(str(CTImageStorage), UNCOMPRESSED)]) as requestor:
            get(requestor, keys, lambda request: NOT_AUTHORIZED, lambda progress, size: None)

    def move_it() -> None:
        with Requestor(peer, [MOVE_PROPOSAL]) as requestor:
            move(requestor, keys, peer.calling_ae_title, lambda progress, size: None)

    services = {_FIND: find_it, _GET: get_it, _MOVE: move_it}
    if not door.asks_certificates or door.plaintext_port is not None:
        if look.target.web.credentials is not None:
            services[_STORE] = lambda: _store(look, peer)
        else:
            look.saw(_STORE, "not tried: without a user of the web page it could not be removed again")
    for service, attempt in services.items():
        _judge(look, service, attempt, peer)
    return f"{', '.join(services)} refused to {peer.calling_ae_title}"


def _store(look: Look, peer: Peer) -> None:
    instance = look.data.ct
    with Storer(peer, [(instance.sop_class, instance.transfer_syntax)]) as storer:
        refused: AssociationAborted | None = None
        status = 0
        with look.data.store(storer.interrupt):
            try:
                status = storer.store(instance.path)
            except AssociationAborted as error:
                # An answer as well, when it is the peer's.
                if refusal(error) is None:
                    raise
                refused = error
        if refused is not None:
            raise refused
        if status:
            raise OperationFailed(words(status), status)


def _judge(look: Look, service: str, attempt: Callable[[], None], peer: Peer) -> None:
    title = peer.calling_ae_title
    try:
        attempt()
        said = "done"
    except OperationFailed as error:
        look.saw(f"{service} as {title}", error)
        if error.status in _REFUSALS:
            return
        said = f"tried: {error}"
    except DicomError as error:
        look.saw(f"{service} as {title}", error)
        if refusal(error) is None:
            fail(look, service, error, peer)
        return
    except OSError as error:
        fail(look, service, error, peer)
    look.wrong(
        f"{service} is {said} for {title}, which is not listed",
        remedy(
            look,
            f"leave {_GUARDS[service]} out of orthanc.settings in orthweb.yaml, list in orthanc.modalities who may, "
            "then 'orthweb up'",
            f"set {_GUARDS[service]} to false for every Orthanc server, and list in DicomModalities who may",
        ),
    )


@check(
    "dicom.services",
    "Services that an archive does not give, such as printing, are refused, so that no device waits for them in vain.",
    needs=(ECHO,),
)
def SERVICES(look: Look) -> str:
    peer = peer_of(look.target.dicom)
    proposals: list[Proposal] = [(service, UNCOMPRESSED) for service in (*_NOT_GIVEN, *_MAY_BE_GIVEN)]
    try:
        with Requestor(peer, proposals) as requestor:
            taken = {abstract for abstract, _ in requestor.contexts.values()}
    except AssociationRejected as error:
        look.saw("association", error)
        return f"refused: {error}"
    except (DicomError, OSError) as error:
        fail(look, "an association", error, peer)
    for service, _ in proposals:
        look.saw(str(UID(service).name), "taken" if service in taken else "refused")
    wrong = [str(UID(service).name) for service in _NOT_GIVEN if service in taken]
    if wrong:
        look.fail(
            f"it takes {', '.join(wrong)}",
            "see that the proxy leads to Orthanc: another server seems to answer on this port",
        )
    return f"{len(_NOT_GIVEN)} services refused"


def _refused(look: Look, peer: Peer) -> str | None:
    """How an association is refused; None when it is accepted. What is neither fails."""
    try:
        with Requestor(peer, [ECHO_PROPOSAL]):
            return None
    except DicomError as error:
        said = refusal(error)
        if said is None:
            fail(look, "an association", error, peer)
        return said
    except OSError as error:
        fail(look, "an association", error, peer)

"""Checks of what the DICOM port is there for: C-ECHO, C-STORE, C-FIND and C-GET."""

from __future__ import annotations

from typing import NoReturn

from pydicom import Dataset, dcmread

from orthweb.dicom.errors import AssociationAborted, DicomError
from orthweb.dicom.keys import identifier, text_of, values_of
from orthweb.dicom.query import find, find_proposal
from orthweb.dicom.requestor import Peer, Requestor
from orthweb.dicom.statuses import SUCCESS, words
from orthweb.dicom.storage_contexts import USUAL_SYNTAXES
from orthweb.dicom.store import Storer
from orthweb.validation.check import check
from orthweb.validation.checks import network
from orthweb.validation.look import Look
from orthweb.validation.probes.dicom_calls import ECHO_PROPOSAL, LOGS, fail, peer_of, refusal, refusing_peer_of
from orthweb.validation.probes.dicom_retrieval import bring, differences
from orthweb.validation.probes.web_client import WebClient
from orthweb.validation.samples.test_data import TestInstance

# What a query of each level tells of the test image; its counts may change while other checks store.
_STUDY = ("PatientName", "PatientID", "PatientSex", "StudyDate", "StudyDescription", "StudyID")
_IMAGE = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "InstanceNumber")
_STORAGE = "see the free disk, and whether Orthanc may write to its storage: 'orthweb logs' says why it does not"
_CHANGED = "see what changes images: IngestTranscoding, LuaScripts, PythonScript and plugins of Orthanc; the disk"


@check(
    "dicom.echo",
    "A device with a certificate of the site gets an answer to C-ECHO.",
    needs=(network.DICOM,),
    guide="DICOM Validation: echoscu",
)
def ECHO(look: Look) -> str:
    peer = peer_of(look.target.dicom)
    try:
        with Requestor(peer, [ECHO_PROPOSAL]) as requestor:
            status = requestor.echo()
            version = requestor.tls_version or "no TLS"
    except (DicomError, OSError) as error:
        fail(look, "C-ECHO", error, peer)
    look.saw("association", f"{peer.calling_ae_title} calls {peer.called_ae_title} over {version}")
    look.saw("C-ECHO-RSP", f"status {status:04X}H")
    if status != SUCCESS:
        look.fail(f"C-ECHO was answered with status {status:04X}H: {words(status)}", LOGS)
    return f"status 0000H over {version}"


@check(
    "dicom.store",
    "A synthetic CT slice is stored with C-STORE.",
    needs=(ECHO,),
    guide="DICOM Validation: storescu",
    limit=30,
)
def STORE(look: Look) -> str:
    if look.target.web.credentials is None:
        look.skip("without a user of the web page the test image could not be removed again")
    instance, peer = look.data.ct, peer_of(look.target.dicom)
    key = (instance.sop_class, instance.transfer_syntax)
    try:
        with Storer(peer, [key]) as storer:
            if not storer.takes(key):
                look.fail("CT images are not taken, not even uncompressed", LOGS)
            with look.data.store(storer.interrupt):
                status = storer.store(instance.path)
    except (DicomError, OSError) as error:
        fail(look, "C-STORE", error, peer, _STORAGE)
    look.saw("sent", f"{instance.sop_instance}, {len(instance.dataset)} bytes, patient {look.data.patient_id}")
    look.saw("C-STORE-RSP", f"status {status:04X}H")
    if status != SUCCESS:
        look.fail(f"C-STORE was answered with status {status:04X}H: {words(status)}", _STORAGE)
    _see_on_the_web(look, instance)
    return f"{len(instance.dataset)} bytes stored, status 0000H"


def _see_on_the_web(look: Look, instance: TestInstance) -> None:
    """What the web port doesn't have could not be removed through it."""
    path = f"/instances/{look.data.orthanc_instance(instance)}"
    answer = WebClient.of_door(look.target.web).get(path, timeout=look.remaining())
    look.saw(f"GET {path}", answer.status)
    if answer.status == 404:
        look.fail(
            f"it was stored, and the web page does not have it: patient {look.data.patient_id} may be left behind",
            "web page and DICOM port have to lead to the same archive, and its Orthanc servers to the same database",
        )
    if answer.status != 200:
        look.fail(f"it was stored, and {path} answers {answer.status} on the web port", LOGS)


@check(
    "dicom.find",
    "C-FIND finds the stored study and its image, by UID and by patient, with the attributes that were sent.",
    needs=(STORE,),
    limit=30,
)
def FIND(look: Look) -> str:
    data, peer = look.data, refusing_peer_of(look.target.dicom)
    sent = dcmread(data.ct.path, stop_before_pixels=True)
    image = {"StudyInstanceUID": data.study, "SeriesInstanceUID": data.series, "SOPInstanceUID": data.ct.sop_instance}
    queries = [
        ("the study by its UID", identifier("STUDY", {"StudyInstanceUID": data.study, "StudyID": ""}), _STUDY),
        ("the study by its patient", identifier("STUDY", {"PatientID": data.patient_id, "StudyID": ""}), _STUDY),
        ("the image by its UID", identifier("IMAGE", image), _IMAGE),
    ]
    try:
        with Requestor(peer, [find_proposal()]) as requestor:
            for what, keys, told in queries:
                _judge_match(look, what, list(find(requestor, keys)), sent, told)
    except DicomError as error:
        _refused(look, "C-FIND", error, peer)
    except OSError as error:
        fail(look, "C-FIND", error, peer)
    return "found by StudyInstanceUID, PatientID and SOPInstanceUID"


def _judge_match(look: Look, what: str, matches: list[Dataset], sent: Dataset, told: tuple[str, ...]) -> None:
    look.saw(f"C-FIND: {what}", "\n\n".join(str(match) for match in matches) or "no match")
    if len(matches) != 1:
        look.wrong(
            f"C-FIND tells {len(matches)} matches of 1 for {what}",
            "the Orthanc servers have to share one database: see the checks of replicas and database",
        )
        return
    for keyword in told:
        found, wanted = text_of(matches[0], keyword), text_of(sent, keyword)
        if found != wanted:
            look.wrong(f"C-FIND tells {keyword} {found!r} for {what}, and {wanted!r} was sent", _CHANGED)
    modalities = values_of(matches[0], "ModalitiesInStudy")
    if told is _STUDY and sent.Modality not in modalities:
        look.wrong(f"C-FIND tells the modalities {', '.join(modalities) or 'none'} for {what}, without CT", _CHANGED)


@check(
    "dicom.get",
    "C-GET brings the stored image back, with every byte of its pixel data as it was sent.",
    needs=(STORE,),
    limit=30,
)
def GET(look: Look) -> str:
    data, peer = look.data, refusing_peer_of(look.target.dicom)
    # Every transfer syntax, so that it comes in the one that it is kept in.
    contexts = [(data.ct.sop_class, (syntax,)) for syntax in USUAL_SYNTAXES]
    image = {"StudyInstanceUID": data.study, "SeriesInstanceUID": data.series, "SOPInstanceUID": data.ct.sop_instance}
    try:
        received = bring(peer, contexts, identifier("IMAGE", image, returned=False))
    except DicomError as error:
        _refused(look, "C-GET", error, peer)
    except OSError as error:
        fail(look, "C-GET", error, peer)
    found = received.get(data.ct.sop_instance)
    if found is None:
        look.fail("C-GET brings nothing for the stored image", LOGS)
    same = found.dataset == data.ct.dataset
    look.saw("received", f"{len(found.dataset)} bytes in {found.transfer_syntax}")
    look.saw("the dataset", "byte for byte as it was sent" if same else "not the same bytes as were sent")
    for difference in differences(data.ct, found):
        look.wrong(f"the image comes back changed: {difference}", _CHANGED)
    return f"{len(data.ct.pixel_data)} bytes of pixel data as they were sent"


def _refused(look: Look, what: str, error: DicomError, peer: Peer) -> NoReturn:
    if refusal(error) is None or not isinstance(error, AssociationAborted):
        fail(look, what, error, peer)
    # How Orthanc refuses a query to those that it does not know.
    title = peer.calling_ae_title
    if look.target.inside is None:
        look.skip(f"{title} may not query here ({error}): have it listed in DicomModalities, or say --calling")
    look.fail(
        f"{what} as {title} is refused: {error}",
        f"{title} has to be in DicomModalities of every Orthanc server, with AllowFind and AllowGet: "
        "'orthweb up' writes that anew",
    )

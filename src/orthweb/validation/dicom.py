"""Checks of the DICOM port as a modality uses it: C-ECHO, C-STORE, C-FIND, C-GET, and what must be refused."""

from __future__ import annotations

from orthweb.dicom.errors import DicomError
from orthweb.dicom.requestor import Peer, Proposal, Requestor
from orthweb.dicom.store import Storer
from orthweb.dicom.tls import client_context
from orthweb.dicom.troubles import explain
from orthweb.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from orthweb.validation import network
from orthweb.validation.check import check
from orthweb.validation.look import Look
from orthweb.validation.target import DicomDoor

_ECHO: Proposal = (VERIFICATION, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN))


@check(
    "dicom.echo",
    "A device with a certificate of the site gets an answer to C-ECHO.",
    needs=(network.DICOM,),
    guide="DICOM Validation: echoscu",
)
def ECHO(look: Look) -> str:
    peer = peer_of(look.target.dicom)
    try:
        with Requestor(peer, [_ECHO]) as requestor:
            status = requestor.echo()
            version = requestor.tls_version or "no TLS"
    except (DicomError, OSError) as error:
        look.fail(*explain(error, peer))
    look.saw("C-ECHO-RSP", f"status {status:04X}H over {version}")
    if status != 0:
        look.fail(f"C-ECHO was answered with status {status:04X}H", "see 'orthweb logs orthanc-1'")
    return f"status 0000H over {version}"


@check(
    "dicom.store",
    "A synthetic CT slice is stored with C-STORE.",
    needs=(ECHO,),
    guide="DICOM Validation: storescu",
)
def STORE(look: Look) -> str:
    if look.target.web.credentials is None:
        look.skip("without a user of the web page the test image could not be removed again")
    instance, peer = look.data.ct, peer_of(look.target.dicom)
    look.data.will_store()
    try:
        with Storer(peer, [(instance.sop_class, instance.transfer_syntax)]) as storer:
            status = storer.store(instance.path)
    except (DicomError, OSError) as error:
        look.fail(*explain(error, peer))
    look.saw("sent", f"{instance.sop_instance}, {len(instance.dataset)} bytes")
    look.saw("C-STORE-RSP", f"status {status:04X}H")
    if status != 0:
        look.fail(f"C-STORE was answered with status {status:04X}H", "see 'orthweb logs', and the free disk")
    return f"{len(instance.dataset)} bytes stored, status 0000H"


def peer_of(door: DicomDoor) -> Peer:
    """The site's DICOM port, as Orthweb's own commands call it; raises InputError."""
    tls = None if door.tls is None else client_context(door.tls)
    return Peer(door.host, door.port, door.called, door.calling, tls)


CHECKS = (ECHO, STORE)

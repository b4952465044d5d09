"""The check of transfer syntaxes: a small image in each that the site takes, and whether it comes back as it was."""

from __future__ import annotations

from collections.abc import Sequence

from orthweb.dicom.errors import DicomError
from orthweb.dicom.keys import identifier
from orthweb.dicom.statuses import SUCCESS, is_warning, words
from orthweb.dicom.storage_contexts import USUAL_SYNTAXES
from orthweb.dicom.store import Storer
from orthweb.validation.check import check
from orthweb.validation.checks.dicom_services import GET
from orthweb.validation.look import Look
from orthweb.validation.probes.dicom_calls import LOGS, fail, peer_of
from orthweb.validation.probes.dicom_retrieval import bring, differences
from orthweb.validation.samples.syntax_samples import contexts, is_opaque, name_of
from orthweb.validation.samples.test_data import TestInstance

_KEPT_AS_IT_CAME = "an archive keeps images as they come: see IngestTranscoding, LuaScripts and plugins of Orthanc"


@check(
    "dicom.transfer-syntaxes",
    "An image in each transfer syntax that the site takes is kept as it is, with every byte of its pixel data.",
    needs=(GET,),
    limit=60,
    slow=True,
)
def TRANSFER_SYNTAXES(look: Look) -> str:
    taken = _store(look)
    kept = _compare(look, taken)
    if kept < len(taken):
        return f"{kept} of {len(taken)} images kept as they came"
    return f"{len(taken)} of {len(USUAL_SYNTAXES)} transfer syntaxes taken, and kept as they came"


def _store(look: Look) -> list[TestInstance]:
    """Send an instance in each transfer syntax that is taken; returns those that were stored."""
    peer, stored = peer_of(look.target.dicom), []
    syntax = ""
    try:
        with Storer(peer, contexts()) as storer:
            taken = [key for key in contexts() if storer.takes(key)]
            _tell(look, "taken", [syntax for _, syntax in taken])
            _tell(look, "refused", [key[1] for key in contexts() if key not in taken])
            for number, (_, syntax) in enumerate(taken, 1):
                instance = look.data.sample(syntax, number)
                with look.data.store(storer.interrupt):
                    status = storer.store(instance.path)
                if status == SUCCESS or is_warning(status):
                    stored.append(instance)
                else:
                    look.wrong(
                        f"{name_of(syntax)} was taken, and storing it was answered with status {status:04X}H: "
                        f"{words(status)}",
                        LOGS,
                    )
    except (DicomError, OSError) as error:
        fail(look, f"C-STORE in {name_of(syntax)}" if syntax else "C-STORE", error, peer)
    if not taken:
        look.fail("no transfer syntax is taken, not even an uncompressed one", LOGS)
    return stored


def _tell(look: Look, what: str, syntaxes: Sequence[str]) -> None:
    opaque = "bytes that stand for a picture: nobody here can make a valid stream"
    lines = [f"{name_of(syntax)} ({syntax}){f': {opaque}' if is_opaque(syntax) else ''}" for syntax in syntaxes]
    look.saw(what, "\n".join(lines) or "none")


def _compare(look: Look, sent: Sequence[TestInstance]) -> int:
    """Bring them back and compare; returns how many are as they were."""
    peer = peer_of(look.target.dicom)
    series = {"StudyInstanceUID": look.data.study, "SeriesInstanceUID": look.data.sweep_series}
    # Each class in every transfer syntax, so that each comes in the one that it is kept in.
    classes = dict.fromkeys(instance.sop_class for instance in sent)
    storage = [(sop_class, (syntax,)) for sop_class in classes for syntax in USUAL_SYNTAXES]
    try:
        received = bring(peer, storage, identifier("SERIES", series, returned=False))
    except (DicomError, OSError) as error:
        fail(look, "C-GET", error, peer)
    good, identical = 0, 0
    for instance in sent:
        name = name_of(instance.transfer_syntax)
        found = received.get(instance.sop_instance)
        changes = ["C-GET does not bring it back"] if found is None else differences(instance, found)
        for change in changes:
            look.wrong(f"{name}: {change}", _KEPT_AS_IT_CAME)
        good += not changes
        identical += found is not None and found.dataset == instance.dataset
    look.saw("came back", f"{good} with the pixel data that were sent, {identical} of them byte for byte as a whole")
    return good

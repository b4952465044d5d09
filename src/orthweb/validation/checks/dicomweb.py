"""Checks of DICOMweb (PS3.18): the test study is found with QIDO-RS and comes back with WADO-RS, also as an image."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from orthweb.dicom.part10 import FileHead, NotDicom, read_head
from orthweb.validation.check import check
from orthweb.validation.checks import dicom
from orthweb.validation.checks.web_login import LOGIN, OUR_PROXY, ask, join, read_json
from orthweb.validation.look import Look
from orthweb.validation.probes import multipart, picture
from orthweb.validation.probes.dicom_retrieval import Received, differences
from orthweb.validation.probes.web_client import Answer, WebClient
from orthweb.validation.samples.test_data import PATIENT_NAME, TestInstance

USUAL_ROOT = "/dicom-web/"
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_PATIENT_ID, _PATIENT_NAME, _RETRIEVE_URL = "00100020", "00100010", "00081190"
_NAMES = {
    _STUDY: "Study Instance UID",
    _SERIES: "Series Instance UID",
    _INSTANCE: "SOP Instance UID",
    _PATIENT_ID: "Patient ID",
    _PATIENT_NAME: "Patient's Name",
}
_JSON = {"Accept": "application/dicom+json"}
_FILES = {"Accept": 'multipart/related; type="application/dicom"'}
_IMAGES = {"Accept": "image/jpeg"}
_SETTINGS = "see DicomWeb in Orthanc's configuration (Enable, Root), its LuaScripts, and 'orthweb logs'"
_CHANGED = "see what changes images here: IngestTranscoding, LuaScripts, PythonScript and plugins of Orthanc; the disk"
# What a plugin answers that is too old to render: the resource or the kind of image is unknown to it.
_CANNOT_RENDER = {400, 404, 405, 406, 415, 501}


@check("web.qido", "DICOMweb finds the test study, by its UID and by its patient.", needs=(LOGIN, dicom.STORE))
def QIDO(look: Look) -> str:
    client = WebClient.of_door(look.target.web)
    root, data = _root(look, client), look.data
    wanted = {_STUDY: str(data.study), _PATIENT_ID: data.patient_id, _PATIENT_NAME: PATIENT_NAME}
    for query in (f"StudyInstanceUID={data.study}", f"PatientID={data.patient_id}"):
        path = f"{root}studies?{query}"
        study = _only(look, client, path)
        _compare(look, path, study, wanted)
    _judge_url(look, client, value(study, _RETRIEVE_URL), f"{root}studies/{data.study}")
    path = f"{root}studies/{data.study}/instances?SOPInstanceUID={data.ct.sop_instance}"
    _compare(look, path, _only(look, client, path), {_INSTANCE: data.ct.sop_instance, _SERIES: str(data.series)})
    return "found by StudyInstanceUID, PatientID and SOPInstanceUID"


@check("web.wado", "DICOMweb gives the test instance back as it was sent.", needs=(LOGIN, dicom.STORE))
def WADO(look: Look) -> str:
    client = WebClient.of_door(look.target.web)
    path = _instance_path(look, _root(look, client))
    answer = ask(look, client, path, headers=_FILES)
    content_type = answer.headers.get("content-type", "")
    look.saw(f"GET {path}", f"{answer.status} {content_type}, {len(answer.body)} bytes")
    if answer.status != 200:
        look.fail(f"the test instance is not given out: WADO-RS answers {answer.status}", _SETTINGS)
    try:
        parts = multipart.split(content_type, answer.body)
    except ValueError as error:
        look.fail(f"the answer of WADO-RS cannot be read: {error}", f"see 'orthweb logs web'; {OUR_PROXY}")
    if len(parts) != 1:
        look.fail(f"WADO-RS gives {len(parts)} parts for one instance", "update the DICOMweb plugin")
    kind = multipart.parameters(parts[0].headers.get("content-type", ""))[0]
    if kind != "application/dicom":
        look.fail(f"WADO-RS gives a part of type {kind}, not application/dicom", "update the DICOMweb plugin")
    judge_file(look, "WADO-RS", look.data.ct, parts[0].body)
    return f"{len(parts[0].body)} bytes, with what was sent"


@check("web.rendered", "The test image is rendered for a browser.", needs=(LOGIN, dicom.STORE))
def RENDERED(look: Look) -> str:
    client = WebClient.of_door(look.target.web)
    root, answer = find_root(look, client), None
    source, path = "DICOMweb", ""
    if root is not None:
        path = f"{_instance_path(look, root)}/rendered"
        answer = _render(look, client, path)
    if answer is None or answer.status in _CANNOT_RENDER:
        source, path = "Orthanc", f"/instances/{look.data.orthanc_instance(look.data.ct)}/preview"
        answer = _render(look, client, path)
    if answer.status != 200:
        look.fail(f"the test image is not rendered: {path} answers {answer.status}", _SETTINGS)
    try:
        found = picture.look_at(answer.body)
    except ValueError as error:
        look.fail(f"{path} gives no image: {error}", _SETTINGS)
    rows, columns = _size(look)
    if (found.width, found.height) != (columns, rows):
        look.fail(
            f"the image is rendered with {found.width} x {found.height} pixels instead of {columns} x {rows}", _CHANGED
        )
    look.exhibits.set_image(answer.body)
    return f"{found.kind} of {found.width} x {found.height} pixels from {source}"


def find_root(look: Look, client: WebClient) -> str | None:
    """The path of DICOMweb with a slash at both ends; None when the plugin is not there."""
    answer = ask(look, client, "/plugins/dicom-web")
    if answer.status == 404:
        return None
    if answer.status != 200:
        # This user may not see the plugins, which says nothing about DICOMweb.
        return USUAL_ROOT
    described = read_json(look, answer, "/plugins/dicom-web", dict)
    # The plugin names the address of its own page, seen from Orthanc's explorer.
    page = urlsplit(join("/app/explorer.html", str(described.get("RootUri") or ""))).path
    root, found, _ = page.partition("app/client/")
    return root if found else USUAL_ROOT


def judge_file(look: Look, source: str, sent: TestInstance, content: bytes) -> None:
    """Compare a Part 10 file that came back with what was sent, and tell what differs."""
    head = head_of(look, content)
    if head is None:
        look.fail(f"what {source} gives back is no DICOM file", _CHANGED)
    came = Received(head.sop_class, head.transfer_syntax, content[head.dataset_offset :])
    look.saw(source, "the same bytes as sent" if came.dataset == sent.dataset else "other bytes than were sent")
    for difference in differences(sent, came):
        look.wrong(f"what {source} gives back is not what was sent: {difference}", _CHANGED)


def head_of(look: Look, content: bytes) -> FileHead | None:
    """The file meta information of a Part 10 file in memory; None when it is none."""
    path = look.data.folder / f"{id(look)}-{len(look.evidence)}.dcm"
    path.write_bytes(content)
    try:
        with path.open("rb") as file:
            return read_head(file.fileno())
    except NotDicom:
        return None
    finally:
        path.unlink()


def value(dataset: Any, tag: str) -> str:
    """The first value of an attribute in DICOM JSON (PS3.18 annex F), as text; empty when there is none."""
    element = dataset.get(tag) if isinstance(dataset, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    first = values[0] if isinstance(values, list) and values else ""
    return str(first.get("Alphabetic", "")) if isinstance(first, dict) else str(first)


def _root(look: Look, client: WebClient) -> str:
    root = find_root(look, client)
    if root is None:
        look.skip("the DICOMweb plugin is not enabled")
    return root


def _instance_path(look: Look, root: str) -> str:
    data = look.data
    return f"{root}studies/{data.study}/series/{data.series}/instances/{data.ct.sop_instance}"


def _only(look: Look, client: WebClient, path: str) -> Any:
    """What a query finds, which has to be one."""
    answer = ask(look, client, path, headers=_JSON)
    look.saw(f"GET {path}", f"{answer.status}, {len(answer.body)} bytes")
    # PS3.18 8.3.4.4: 204 when there are no matches.
    if answer.status not in (200, 204):
        look.fail(f"DICOMweb does not answer queries: {path} gives {answer.status}", _SETTINGS)
    found = read_json(look, answer, path, list) if answer.status == 200 else []
    if len(found) != 1:
        look.fail(
            f"{path} gives {len(found)} matches instead of one",
            "see that all Orthanc servers are on the same database: 'orthweb validate --only replicas'",
        )
    return found[0]


def _compare(look: Look, path: str, dataset: Any, wanted: dict[str, str]) -> None:
    for tag, right in wanted.items():
        if value(dataset, tag) != right:
            found = value(dataset, tag) or "nothing"
            look.wrong(f"{path} gives {found} as {_NAMES[tag]}, where {right} was sent", _CHANGED)


def _judge_url(look: Look, client: WebClient, url: str, path: str) -> None:
    # Viewers fetch from the address in the answer, not from the one that they asked.
    if url and url != f"{client.address}{path}":
        remedy = (
            f"see DicomWeb.Host and DicomWeb.Ssl in Orthanc's configuration; the proxy has to pass Host on; {OUR_PROXY}"
        )
        look.warn(f"DICOMweb sends viewers on to {url}, not to {client.address}", remedy)


def _render(look: Look, client: WebClient, path: str) -> Answer:
    answer = ask(look, client, path, headers=_IMAGES)
    kind = answer.headers.get("content-type", "")
    look.saw(f"GET {path}", f"{answer.status} {kind}, {len(answer.body)} bytes")
    return answer


def _size(look: Look) -> tuple[int, int]:
    from pydicom import dcmread

    dataset = dcmread(look.data.ct.path, stop_before_pixels=True)
    return int(dataset.Rows), int(dataset.Columns)

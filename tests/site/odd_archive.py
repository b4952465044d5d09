"""Archives for tests: DCMTK's dcmqrscp, and pynetdicom behaving as oddly as a test wants."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness import Done, free_port, orthweb, serving
from pydicom import Dataset, dcmread
from pynetdicom import AE, AllStoragePresentationContexts, evt

from orthweb.dicom.part10 import read_head
from orthweb.dicom.uids import PATIENT_ROOT_FIND, STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE, VERIFICATION

Answers = Callable[[Any], Iterator[Any]]


def dataset_hash(path: Path) -> tuple[str, str]:
    """Transfer syntax of a file, and the SHA-256 of all bytes after its file meta information."""
    with path.open("rb") as file:
        head = read_head(file.fileno())
        file.seek(head.dataset_offset)
        return head.transfer_syntax, hashlib.sha256(file.read()).hexdigest()


def hashes(files: Sequence[Path]) -> dict[str, tuple[str, str]]:
    """What `dataset_hash` says of each file, by its SOP Instance UID."""
    return {str(dcmread(file, stop_before_pixels=True).SOPInstanceUID): dataset_hash(file) for file in files}


def brought(folder: Path) -> list[Path]:
    """The files that `orthweb get` left under their final names, after a look that each stands where it belongs."""
    files = sorted(folder.rglob("*.dcm"))
    for file in files:
        head = dcmread(file, stop_before_pixels=True)
        uids = (head.StudyInstanceUID, head.SeriesInstanceUID, f"{head.SOPInstanceUID}.dcm")
        assert file.relative_to(folder).parts == uids
    return files


def remains(folder: Path) -> list[Path]:
    """Files that are not whole."""
    return [path for path in folder.rglob(".*") if path.is_file()]


class Peer:
    """An archive without TLS on this machine, and the commands that ask it."""

    def __init__(self, port: int, title: str) -> None:
        self.port, self.title = port, title

    @property
    def options(self) -> list[str]:
        return ["--to", f"127.0.0.1:{self.port}", "--called", self.title, "--plain"]

    def __call__(self, command: str, *words: str | Path, **options: Any) -> Done:
        return orthweb(command, *self.options, *words, **options)


@contextlib.contextmanager
def dcmqrscp(folder: Path, *options: str, mover: int = 0) -> Iterator[Peer]:
    """DCMTK's archive; it knows one device MOVER, which listens on port `mover`."""
    (folder / "db").mkdir(parents=True)
    peer = Peer(free_port(), "QR")
    (folder / "dcmqrscp.cfg").write_text(
        f"NetworkTCPPort = {peer.port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nmover = (MOVER, localhost, {mover or free_port()})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nQR {folder}/db RW (200, 1024mb) ANY\nAETable END\n"
    )
    with serving(["dcmqrscp", "-c", folder / "dcmqrscp.cfg", *options], peer.port):
        yield peer


@contextlib.contextmanager
def odd_archive(
    find: Answers | None = None, get: Answers | None = None, move: Answers | None = None, heard: list[Any] | None = None
) -> Iterator[Peer]:
    """An archive of pynetdicom that answers as these functions of pynetdicom's event say.

    Parameters
    ----------
    heard:
        Is filled with the DIMSE messages that come.
    """
    entity = AE("ODD")
    entity.add_supported_context(VERIFICATION)
    handlers: list[Any] = []
    if heard is not None:
        handlers.append((evt.EVT_DIMSE_RECV, lambda event: heard.append(event.message)))
    if find is not None:
        entity.add_supported_context(STUDY_ROOT_FIND)
        entity.add_supported_context(PATIENT_ROOT_FIND)
        handlers.append((evt.EVT_C_FIND, find))
    if get is not None:
        entity.add_supported_context(STUDY_ROOT_GET)
        handlers.append((evt.EVT_C_GET, get))
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(str(context.abstract_syntax), scu_role=False, scp_role=True)
    if move is not None:
        entity.add_supported_context(STUDY_ROOT_MOVE)
        handlers.append((evt.EVT_C_MOVE, move))
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None and server.socket is not None
    try:
        yield Peer(server.socket.getsockname()[1], "ODD")
    finally:
        server.shutdown()


def holding(instances: Sequence[Dataset], told: Sequence[str] = ("SOPClassUID",)) -> Answers:
    """A C-FIND handler of an archive that holds these instances.

    Parameters
    ----------
    told:
        Keywords beyond the unique keys that it tells of them.
    """
    unique = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}

    def find(event: Any) -> Iterator[tuple[int, Dataset]]:
        level = event.identifier.QueryRetrieveLevel
        asked = {event.identifier.get(keyword) for keyword in unique.values()} - {None, ""}
        seen = set()
        for instance in instances:
            match = Dataset()
            match.QueryRetrieveLevel = level
            match.SpecificCharacterSet = instance.get("SpecificCharacterSet", "ISO_IR 6")
            for at, keyword in unique.items():
                setattr(match, keyword, instance[keyword].value)
                if at == level:
                    break
            for keyword in told:
                if keyword in instance and keyword in event.identifier:
                    setattr(match, keyword, instance[keyword].value)
            own = {instance[keyword].value for keyword in unique.values()}
            if asked <= own and match[unique[level]].value not in seen:
                seen.add(match[unique[level]].value)
                yield 0xFF00, match

    return find


def sending(instances: Sequence[Dataset], announced: int | None = None) -> Answers:
    """A C-GET handler that sends what it has of the series that is asked for, or of that what is named."""

    def get(event: Any) -> Iterator[Any]:
        named = event.identifier.get("SOPInstanceUID") or []
        named = [named] if isinstance(named, str) else list(named)
        meant = [
            instance
            for instance in instances
            if instance.SeriesInstanceUID == event.identifier.SeriesInstanceUID
            and (not named or instance.SOPInstanceUID in named)
        ]
        yield len(meant) if announced is None else announced
        for instance in meant:
            yield 0xFF00, instance

    return get

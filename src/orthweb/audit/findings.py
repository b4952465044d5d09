"""What an audit finds: the kinds of differences, what each means, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

_BACKUP = (
    "bring the object back from a backup; or delete the image at its address and have it sent again, "
    "for its pixels cannot be trusted"
)


class _Meaning(NamedTuple):
    word: str
    meaning: str
    remedy: str
    fault: bool


class Kind(Enum):
    """A kind of difference between index and storage."""

    MISSING = _Meaning(
        "missing",
        "in the index, and not in the storage",
        "bring the object back from a backup under the same name; or delete the image at its address and have it "
        "sent again",
        True,
    )
    SIZE = _Meaning("size", "of another size than the index says", _BACKUP, True)
    MD5 = _Meaning("md5", "of another MD5 than the index says", _BACKUP, True)
    UNREADABLE = _Meaning(
        "unreadable",
        "there, but cannot be read",
        "look after the disk or the storage service first; then bring the object back from a backup",
        True,
    )
    ORPHAN = _Meaning(
        "orphan",
        "objects of an interrupted store or deletion, which no row of the index knows",
        "'orthweb audit --delete-orphans' removes them",
        True,
    )
    YOUNG = _Meaning(
        "young",
        "objects that no row knows yet, less than an hour old: they may be on their way in",
        "nothing now; a later audit tells",
        False,
    )
    FOREIGN = _Meaning(
        "foreign",
        "in the storage, and nothing that Orthanc put there",
        "look at them yourself; an audit never deletes them",
        False,
    )

    @property
    def word(self) -> str:
        """The kind as scripts know it."""
        return self.value.word

    @property
    def meaning(self) -> str:
        """What it says of an object."""
        return self.value.meaning

    @property
    def remedy(self) -> str:
        """What a person does about it."""
        return self.value.remedy

    @property
    def fault(self) -> bool:
        """Whether a site that has one of these is not well."""
        return self.value.fault


@dataclass(frozen=True)
class Finding:
    """One difference.

    Parameters
    ----------
    name:
        The object's name in the storage: a path below the folder, or a key.
    uuid:
        Orthanc's name for the attachment; empty for what is not Orthanc's.
    row:
        `attachedfiles.id`, the resource that the object belongs to; None where no row knows it.
    filetype:
        Orthanc's content type; 1 is a DICOM file.
    stated_size, size:
        Bytes by the row and in the storage.
    stated_md5, md5:
        In hexadecimal, by the row and in the storage; empty where none was compared.
    detail:
        What else there is to say.
    number:
        Its place among the findings of its audit.
    """

    kind: Kind
    name: str
    uuid: str = ""
    row: int | None = None
    filetype: int | None = None
    stated_size: int | None = None
    size: int | None = None
    stated_md5: str = ""
    md5: str = ""
    detail: str = ""
    number: int = 0

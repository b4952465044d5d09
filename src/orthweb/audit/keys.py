"""The names of objects in a bucket, to and fro."""

from __future__ import annotations

from orthweb.audit.objects import UUID
from orthweb.plugins.s3_settings import Settings

_UUID_LENGTH = 36
# A DICOM file, its JSON, its header, and anything else.
_FILETYPES = (1, 2, 3, 1024)


class Keys:
    """Names below the root of a bucket in which Orthanc keeps a flat structure."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.root = settings.root.removesuffix("/")
        """Without a slash at its end; empty for the bucket itself."""
        self.prefix = f"{self.root}/" if self.root else ""
        """What a name follows in its key."""
        self._extensions = frozenset(self.name("", filetype) for filetype in _FILETYPES)

    def name(self, uuid: str, filetype: int) -> str:
        """Name the object of an attachment."""
        return self._settings.key(uuid, filetype)[len(self.prefix) :]

    def uuid(self, name: str) -> str:
        """Give the UUID in a name, or an empty text if Orthanc gives no such names."""
        uuid = name[:_UUID_LENGTH]
        return uuid if name[_UUID_LENGTH:] in self._extensions and UUID.fullmatch(uuid) else ""

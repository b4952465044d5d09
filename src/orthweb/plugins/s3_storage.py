"""Orthanc's Python plugin loads this script: it keeps attachments in the bucket of `AwsS3Storage`.

It is named in `"PythonScript"` and runs inside Orthanc, with a `PYTHONPATH` on which botocore is found.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import orthanc

if TYPE_CHECKING:
    from orthweb.plugins.s3_bucket import Bucket
    from orthweb.plugins.s3_settings import Settings


class Storage:
    """What Orthanc calls to keep, fetch and remove an attachment; an exception is a failure for Orthanc."""

    def __init__(self, settings: Settings, bucket: Bucket) -> None:
        self._settings = settings
        self._bucket = bucket

    def create(self, uuid: str, content_type: int, content: bytes) -> None:
        """Keep an attachment: C-STORE succeeds only if this returns."""
        self._bucket.put(self._settings.key(uuid, content_type), content)

    def read(self, uuid: str, content_type: int) -> bytes:
        """Fetch a whole attachment."""
        return self._fetch(uuid, content_type)

    def remove(self, uuid: str, content_type: int) -> None:
        """Remove an attachment; one that is not there is removed already."""
        for key in self._settings.keys(uuid, content_type):
            self._bucket.delete(key)

    def create3(
        self, uuid: str, content_type: int, _compression: int, content: bytes, _dicom: object
    ) -> tuple[int, None]:
        """Keep an attachment, for `RegisterStorageArea3`."""
        self.create(uuid, content_type, content)
        return 0, None

    def read3(self, uuid: str, content_type: int, start: int, size: int, _custom: bytes) -> tuple[int, bytes]:
        """Fetch a part of an attachment, for `RegisterStorageArea3`."""
        return 0, self._fetch(uuid, content_type, start, size) if size else b""

    def remove3(self, uuid: str, content_type: int, _custom: bytes) -> int:
        """Remove an attachment, for `RegisterStorageArea3`."""
        self.remove(uuid, content_type)
        return 0

    def _fetch(self, uuid: str, content_type: int, start: int | None = None, size: int = 0) -> bytes:
        from orthweb.plugins.s3_wire import MissingObject

        *first, last = self._settings.keys(uuid, content_type)
        for key in first:
            try:
                return self._bucket.get(key, start, size)
            except MissingObject:
                continue
        return self._bucket.get(last, start, size)


class _OrthancLog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        orthanc.LogInfo(f"S3: {record.getMessage()}")


def _register() -> None:
    # Orthanc puts this folder on the path, not the one in which the package `orthweb` lies.
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    from orthweb.plugins.s3_bucket import Bucket
    from orthweb.plugins.s3_settings import Settings
    from orthweb.plugins.s3_wire import BucketError

    settings = Settings.of(json.loads(orthanc.GetConfiguration()))
    bucket = Bucket(settings, warn=lambda line: orthanc.LogWarning(f"S3: {line}"))
    if settings.sdk_logs:
        connections = logging.getLogger("urllib3")
        connections.setLevel(logging.DEBUG)
        connections.addHandler(_OrthancLog())
    storage = Storage(settings, bucket)
    if hasattr(orthanc, "RegisterStorageArea3"):
        # From orthanc-python 7.1 on: Orthanc reads parts, and needs no second object for the header.
        orthanc.RegisterStorageArea3(storage.create3, storage.read3, storage.remove3)
    else:
        orthanc.RegisterStorageArea(storage.create, storage.read, storage.remove)
    try:
        bucket.check()
    except BucketError as error:
        # Not fatal: the server may come up later, and until it does every store is refused.
        orthanc.LogError(f"S3: the bucket {settings.bucket} cannot be used now: {error}")
    else:
        orthanc.LogWarning(f"S3: attachments are kept in the bucket {settings.bucket}")


try:
    _register()
except (ValueError, ImportError) as error:
    # Orthanc does not start when its script fails. It logs a traceback, where few would see the reason.
    orthanc.LogError(f"S3: refusing to start: {error}")
    raise SystemExit(1) from None

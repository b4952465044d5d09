"""Opens the storage that a site's objects are in."""

from __future__ import annotations

from pathlib import Path

from orthweb.audit.folder import Folder
from orthweb.audit.objects import Storage
from orthweb.errors import InputError
from orthweb.validation.probes.objects import settings
from orthweb.validation.target import BucketStorage, FolderStorage


def open_storage(storage: FolderStorage | BucketStorage, served: Path) -> Storage:
    """Open a storage to audit it.

    Parameters
    ----------
    served:
        Where the embedded S3-compatible server keeps its buckets, if that is the one.

    Raises
    ------
    InputError
        The authority's file of the storage cannot be read.
    """
    if isinstance(storage, FolderStorage):
        return Folder(storage.path)
    # botocore takes a third of a second to import.
    from orthweb.audit.bucket import Remote
    from orthweb.audit.served import Served
    from orthweb.plugins.s3_settings import SettingsError

    reached = settings(storage)
    try:
        return Served(served, reached) if storage.embedded else Remote(reached)
    except SettingsError as error:
        raise InputError(str(error), "check the storage section of orthweb.yaml") from None

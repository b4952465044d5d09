"""Reads one DICOM object from a site's storage: a folder as Orthanc lays it out, or a bucket."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orthweb.errors import Failure
from orthweb.validation.look import Skipped
from orthweb.validation.target import BucketStorage, FolderStorage

if TYPE_CHECKING:
    from orthweb.plugins.s3_settings import Settings
    from orthweb.plugins.s3_wire import Wire

_BUCKET_REMEDY = "see 'orthweb status', the endpoint, and what the site's keys may do"
# OrthancPluginContentType_Dicom
_DICOM = 1
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Stored:
    """An object as it is in the storage.

    Parameters
    ----------
    headers:
        What a bucket says of it, the names in small letters; empty for a folder.
    """

    where: str
    content: bytes
    headers: Mapping[str, str]


class Missing(Exception):
    """There is no such object; the text says where it would be."""


def is_name(uuid: str) -> bool:
    """Whether this is a name that Orthanc gives to an object, and no path to somewhere else."""
    return _UUID.fullmatch(uuid) is not None


def path_of(storage: FolderStorage, uuid: str) -> Path:
    """Where Orthanc keeps an object (`FilesystemStorage::GetPath`)."""
    return storage.path / uuid[:2] / uuid[2:4] / uuid


def key_of(storage: BucketStorage, uuid: str) -> str:
    """Under which name an object is in the bucket."""
    return settings(storage).key(uuid, _DICOM)


def read(storage: FolderStorage | BucketStorage, uuid: str, timeout: float) -> Stored:
    """Read an object.

    Parameters
    ----------
    timeout:
        Seconds for each step, where the storage is a bucket.

    Raises
    ------
    Missing
        It is not there.
    Skipped
        This user may not read it, or this installation has no client for a bucket.
    Failure
        The storage cannot be reached, or refuses.
    """
    if isinstance(storage, FolderStorage):
        path = path_of(storage, uuid)
        try:
            return Stored(str(path), path.read_bytes(), {})
        except FileNotFoundError:
            raise Missing(str(path)) from None
        except PermissionError:
            raise Skipped(f"this user may not read {path}") from None
    _need_client()
    from orthweb.plugins.s3_wire import BucketError, MissingObject

    key = key_of(storage, uuid)
    where = f"{storage.endpoint}/{storage.bucket}/{key}"
    try:
        answer = wire(storage, timeout).send("GET", key)
    except MissingObject:
        raise Missing(where) from None
    except BucketError as error:
        raise Failure(str(error), _BUCKET_REMEDY) from None
    return Stored(where, answer.data, {name.lower(): value for name, value in answer.headers.items()})


def wire(storage: BucketStorage, timeout: float) -> Wire:
    """Signed requests to a bucket, each tried once; `timeout` in seconds.

    Raises
    ------
    Skipped
        This installation has no client for a bucket.
    Failure
        The authority's file cannot be read.
    """
    _need_client()
    from orthweb.plugins.s3_settings import SettingsError
    from orthweb.plugins.s3_wire import Patience, Wire

    try:
        return Wire(settings(storage), Patience(connect=timeout, answer=timeout))
    except SettingsError as error:
        raise Failure(str(error), "see storage in orthweb.yaml") from None


def settings(storage: BucketStorage) -> Settings:
    """How Orthanc's storage plugin would reach the bucket; raises SettingsError."""
    from orthweb.plugins.s3_settings import Settings

    return Settings(
        storage.bucket,
        storage.region,
        # Without keys it is the machine's own role that may use the bucket.
        storage.access_key or None,
        storage.secret_key or None,
        storage.endpoint,
        root=storage.root_path,
        virtual_addressing=False,
        ca_bundle=str(storage.ca) if storage.ca else None,
    )


def _need_client() -> None:
    if any(importlib.util.find_spec(name) is None for name in ("botocore", "urllib3")):
        raise Skipped("the client for a bucket is not installed: pip install 'orthweb[s3]'")

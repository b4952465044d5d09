"""What the `AwsS3Storage` section of Orthanc's configuration asks for, checked, and the keys it leads to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

SECTION = "AwsS3Storage"
EXTRA_SECTION = "OrthwebS3"
STORAGE_CLASSES = (
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "OUTPOSTS",
    "GLACIER_IR",
    "SNOW",
)
# OrthancPluginContentType of Orthanc's plugin SDK; every other content type is ".unk" in Orthanc's S3 plugin.
_EXTENSIONS = {1: ".dcm", 2: ".json", 3: ".dcm.head"}
_UNKNOWN_EXTENSION = ".unk"
# Options of the C++ plugin's transfer manager: without it (see `refuse`) they mean nothing.
_IGNORED = {"TransferPoolSize", "TransferBufferSize"}

_Value = TypeVar("_Value", int, bool)


class SettingsError(ValueError):
    """A setting is missing, wrong, or asks for what this storage does not do; one line for a log."""


@dataclass(frozen=True)
class Settings:
    """A checked `AwsS3Storage` section; times in seconds.

    The names, meanings and defaults are those of Orthanc's own AWS S3 plugin (Orthanc Book, "Cloud object
    storage plugins"), so that one section serves both.
    """

    bucket: str
    region: str
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    endpoint: str | None = None
    connection_timeout: int = 30
    request_timeout: int = 1200
    max_connections: int = 64
    max_retries: int = 10
    root: str = ""
    legacy_structure: bool = False
    legacy_unknown_files: bool = False
    virtual_addressing: bool = True
    storage_class: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    sdk_logs: bool = False
    ca_bundle: str | None = None
    """PEM file of the authorities that the endpoint's certificate must come from."""
    folder: str | None = None
    """Where a server on this machine keeps its buckets, if each object is to be forced to the disk."""

    @classmethod
    def of(cls, configuration: Mapping[str, Any]) -> Settings:
        """Read Orthanc's whole configuration.

        Parameters
        ----------
        configuration:
            Orthanc's configuration as `orthanc.GetConfiguration()` gives it, parsed.

        Raises
        ------
        SettingsError
            The section is missing, a value is wrong, or something is asked for that would not happen.
        """
        section = _Section(SECTION, configuration)
        extra = _Section(EXTRA_SECTION, configuration, required=False)
        _refuse(section)
        access_key, secret_key = section.text("AccessKey"), section.text("SecretKey")
        if (access_key is None) != (secret_key is None):
            missing = "SecretKey" if secret_key is None else "AccessKey"
            raise SettingsError(f"{SECTION}.{missing}: missing; give both keys, or neither")
        structure = section.one_of("StorageStructure", ("flat", "legacy")) or "flat"
        root = section.text("RootPath") or ""
        if root.startswith("/"):
            raise SettingsError(f"{SECTION}.RootPath: {root!r} must not start with '/'")
        settings = cls(
            bucket=section.needed("BucketName"),
            region=section.needed("Region"),
            access_key=access_key,
            secret_key=secret_key,
            endpoint=_endpoint(section.text("Endpoint")),
            connection_timeout=section.count("ConnectionTimeout", section.count("ConnectTimeout", 30)),
            request_timeout=section.count("RequestTimeout", 1200),
            max_connections=section.count("MaxConnections", 64),
            max_retries=section.count("MaxRetries", 10, least=0),
            root=root,
            legacy_structure=structure == "legacy",
            legacy_unknown_files=section.flag("EnableLegacyUnknownFiles", False),
            virtual_addressing=section.flag("VirtualAddressing", True),
            storage_class=section.one_of("StorageClass", STORAGE_CLASSES),
            tags=section.texts("Tags"),
            sdk_logs=section.flag("EnableAwsSdkLogs", False),
            # Orthanc's own plugin takes the authorities of the endpoint from this general option.
            folder=extra.text("Folder"),
            ca_bundle=extra.text("CaBundle") or str(configuration.get("HttpsCACertificates") or "") or None,
        )
        section.nothing_left()
        extra.nothing_left()
        return settings

    def key(self, uuid: str, content_type: int) -> str:
        """Name the object that holds an attachment, as `BaseStorage::GetPath` of Orthanc's plugin does."""
        return self._under_root(uuid, _EXTENSIONS.get(content_type, _UNKNOWN_EXTENSION))

    def keys(self, uuid: str, content_type: int) -> list[str]:
        """Name the objects that may hold an attachment: some old plugins wrote headers as `.unk`."""
        found = [self.key(uuid, content_type)]
        if self.legacy_unknown_files:
            found.append(self._under_root(uuid, _UNKNOWN_EXTENSION))
        return list(dict.fromkeys(found))

    def _under_root(self, uuid: str, extension: str) -> str:
        name = f"{uuid[:2]}/{uuid[2:4]}/{uuid}" if self.legacy_structure else uuid + extension
        return name if not self.root else f"{self.root.removesuffix('/')}/{name}"


def _refuse(section: _Section) -> None:
    """Refuse what this storage does not do, rather than store otherwise than asked for."""
    encryption = section.take("StorageEncryption")
    # In Orthanc's plugin the section alone turns encryption on: "Enable" is true by default.
    if encryption is not None and not (isinstance(encryption, Mapping) and encryption.get("Enable") is False):
        raise SettingsError(
            f"{SECTION}.StorageEncryption: client-side encryption is not supported here, and nothing is kept "
            "unencrypted instead; remove it, and let the server encrypt"
        )
    migrating = section.flag("MigrationFromFileSystemEnabled", False)
    if section.text("HybridMode") not in (None, "Disabled") or migrating:
        raise SettingsError(f"{SECTION}.HybridMode: only 'Disabled' is supported here")
    if section.flag("UseTransferManager", False):
        raise SettingsError(f"{SECTION}.UseTransferManager: only false is supported here")
    for name in _IGNORED:
        section.take(name)


def _endpoint(value: str | None) -> str | None:
    """Complete an endpoint to a base address; like in Orthanc's plugin, a bare name means HTTPS."""
    if value is None:
        return None
    address = value if "://" in value else f"https://{value}"
    parts = urlsplit(address)
    try:
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if parts.username is not None:
        raise SettingsError(f"{SECTION}.Endpoint: a user does not belong there")
    if not valid or parts.path.strip("/") or parts.query:
        raise SettingsError(f"{SECTION}.Endpoint: {value!r} is no address such as https://localhost:9000")
    return f"{parts.scheme}://{parts.netloc}"


class _Section:
    """One section of the configuration, emptied as it is read: what is left over at the end is a mistake."""

    def __init__(self, name: str, configuration: Mapping[str, Any], required: bool = True) -> None:
        content = configuration.get(name, None if required else {})
        if not isinstance(content, Mapping):
            raise SettingsError(f"{name}: missing from Orthanc's configuration, or not a section")
        self._name = name
        self._left = dict(content)

    def take(self, key: str) -> Any:
        return self._left.pop(key, None)

    def _typed(self, key: str, kind: type[_Value], wanted: str) -> _Value | None:
        value = self.take(key)
        # Not isinstance: to Python a boolean is an int, and it is no number of seconds.
        if value is None or type(value) is kind:
            return value
        raise SettingsError(f"{self._name}.{key}: {wanted} is needed, not {type(value).__name__} {value!r}")

    def text(self, key: str) -> str | None:
        value: object = self.take(key)
        if value is None or isinstance(value, str):
            return value or None
        # The value may be a secret in the wrong shape: it is not repeated.
        raise SettingsError(f"{self._name}.{key}: a text is needed, not {type(value).__name__}")

    def needed(self, key: str) -> str:
        value = self.text(key)
        if not value:
            raise SettingsError(f"{self._name}.{key}: missing")
        return value

    def count(self, key: str, default: int, least: int = 1) -> int:
        value = self._typed(key, int, "a whole number")
        if value is not None and value < least:
            raise SettingsError(f"{self._name}.{key}: {value} is less than {least}")
        return default if value is None else value

    def flag(self, key: str, default: bool) -> bool:
        value = self._typed(key, bool, "true or false")
        return default if value is None else value

    def one_of(self, key: str, allowed: tuple[str, ...]) -> str | None:
        value = self.text(key)
        if value is not None and value not in allowed:
            raise SettingsError(f"{self._name}.{key}: {value!r} is not one of {', '.join(allowed)}")
        return value

    def texts(self, key: str) -> tuple[tuple[str, str], ...]:
        value = self.take(key)
        if value is None:
            return ()
        if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
            raise SettingsError(f"{self._name}.{key}: a dictionary of texts is needed")
        return tuple((str(name), str(text)) for name, text in value.items())

    def nothing_left(self) -> None:
        if self._left:
            raise SettingsError(f"{self._name}.{sorted(self._left)[0]}: unknown setting")

"""The storage plugin reads the section of Orthanc's own S3 plugin, and names objects like it."""

from __future__ import annotations

from typing import Any

import pytest

from orthweb.plugins.s3_settings import Settings, SettingsError

UUID = "0123abcd-89ab-4def-8123-456789abcdef"
DICOM, JSON, HEADER, ANOTHER = 1, 2, 3, 1024
SECTION: dict[str, Any] = {
    "BucketName": "images",
    "Region": "eu-west-1",
    "AccessKey": "AKID",
    "SecretKey": "a-secret",
}


def read(extra: dict[str, Any] | None = None, **changes: Any) -> Settings:
    section = {name: value for name, value in {**SECTION, **changes}.items() if value is not ...}
    return Settings.of({"Name": "Orthanc", "AwsS3Storage": section, "OrthwebS3": extra or {}})


def test_the_defaults_are_those_of_orthancs_own_plugin() -> None:
    settings = read()
    assert (settings.bucket, settings.region) == ("images", "eu-west-1")
    assert (settings.access_key, settings.secret_key) == ("AKID", "a-secret")
    assert (settings.connection_timeout, settings.request_timeout, settings.max_retries) == (30, 1200, 10)
    assert settings.virtual_addressing
    assert not settings.legacy_structure
    assert (settings.endpoint, settings.root, settings.storage_class, settings.ca_bundle) == (None, "", None, None)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(DICOM, f"{UUID}.dcm"), (JSON, f"{UUID}.json"), (HEADER, f"{UUID}.dcm.head"), (ANOTHER, f"{UUID}.unk")],
)
def test_a_flat_key_is_the_uuid_and_an_extension_for_the_content(kind: int, name: str) -> None:
    assert read().key(UUID, kind) == name
    assert read(StorageStructure="flat").key(UUID, kind) == name


@pytest.mark.parametrize("root", ["a/b", "a/b/"])
def test_the_root_path_stands_before_the_key(root: str) -> None:
    assert read(RootPath=root).key(UUID, DICOM) == f"a/b/{UUID}.dcm"


@pytest.mark.parametrize("kind", [DICOM, JSON, HEADER, ANOTHER])
def test_a_legacy_key_is_the_path_of_orthancs_folder(kind: int) -> None:
    assert read(StorageStructure="legacy").key(UUID, kind) == f"01/23/{UUID}"
    assert read(StorageStructure="legacy", RootPath="a").key(UUID, kind) == f"a/01/23/{UUID}"


def test_headers_that_old_plugins_named_unknown_are_looked_for_on_request() -> None:
    assert read().keys(UUID, HEADER) == [f"{UUID}.dcm.head"]
    assert read(EnableLegacyUnknownFiles=True).keys(UUID, HEADER) == [f"{UUID}.dcm.head", f"{UUID}.unk"]
    assert read(EnableLegacyUnknownFiles=True).keys(UUID, ANOTHER) == [f"{UUID}.unk"]


@pytest.mark.parametrize(
    ("endpoint", "base"),
    [
        ("https://localhost:9000", "https://localhost:9000"),
        ("https://localhost:9000/", "https://localhost:9000"),
        ("http://10.0.0.1", "http://10.0.0.1"),
        ("minio.example.org:9000", "https://minio.example.org:9000"),
        ("https://[::1]:9000", "https://[::1]:9000"),
        ("", None),
    ],
)
def test_an_endpoint_without_a_scheme_means_https(endpoint: str, base: str | None) -> None:
    assert read(Endpoint=endpoint).endpoint == base


def test_without_keys_the_machines_own_credentials_are_meant() -> None:
    assert read(AccessKey=..., SecretKey=...).access_key is None
    assert read(AccessKey="", SecretKey="").access_key is None


def test_tags_and_the_storage_class_are_taken() -> None:
    settings = read(Tags={"project": "x"}, StorageClass="STANDARD_IA")
    assert settings.tags == (("project", "x"),)
    assert settings.storage_class == "STANDARD_IA"


def test_the_authorities_come_from_orthwebs_section_or_from_orthancs_general_option() -> None:
    assert read({"CaBundle": "/ca.crt"}).ca_bundle == "/ca.crt"
    configuration = {"AwsS3Storage": SECTION, "HttpsCACertificates": "/general.crt"}
    assert Settings.of(configuration).ca_bundle == "/general.crt"
    assert Settings.of({**configuration, "OrthwebS3": {"CaBundle": "/ca.crt"}}).ca_bundle == "/ca.crt"


def test_what_changes_nothing_here_is_accepted() -> None:
    read(StorageEncryption={"Enable": False}, HybridMode="Disabled", UseTransferManager=False, TransferPoolSize=5)
    assert read(ConnectTimeout=7).connection_timeout == 7
    assert read(ConnectTimeout=7, ConnectionTimeout=8).connection_timeout == 8
    assert read(EnableAwsSdkLogs=True).sdk_logs


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"BucketName": ...}, "BucketName: missing"),
        ({"Region": ""}, "Region: missing"),
        ({"AccessKey": ...}, "AccessKey: missing; give both keys, or neither"),
        ({"SecretKey": ""}, "SecretKey: missing; give both keys, or neither"),
        ({"ConnectionTimeout": "30"}, "ConnectionTimeout: a whole number is needed, not str '30'"),
        ({"ConnectionTimeout": True}, "ConnectionTimeout: a whole number is needed, not bool True"),
        ({"RequestTimeout": 0}, "RequestTimeout: 0 is less than 1"),
        ({"VirtualAddressing": "no"}, "VirtualAddressing: true or false is needed, not str 'no'"),
        ({"StorageStructure": "deep"}, "StorageStructure: 'deep' is not one of flat, legacy"),
        ({"StorageClass": "CHEAP"}, "StorageClass: 'CHEAP' is not one of STANDARD, "),
        ({"RootPath": "/a"}, "RootPath: '/a' must not start with '/'"),
        ({"Endpoint": "ftp://x"}, "Endpoint: 'ftp://x' is no address such as"),
        ({"Endpoint": "https://x:port"}, "Endpoint: 'https://x:port' is no address such as"),
        ({"Endpoint": "https://x/path"}, "Endpoint: 'https://x/path' is no address such as"),
        ({"Tags": ["a"]}, "Tags: a dictionary of texts is needed"),
        ({"BuketName": "x"}, "BuketName: unknown setting"),
        ({"StorageEncryption": {"MasterKey": [1, "/k"]}}, "StorageEncryption: client-side encryption is not supported"),
        ({"StorageEncryption": {"Enable": True}}, "StorageEncryption: client-side encryption is not supported"),
        ({"StorageEncryption": True}, "StorageEncryption: client-side encryption is not supported"),
        ({"HybridMode": "WriteToObjectStorage"}, "HybridMode: only 'Disabled' is supported"),
        ({"MigrationFromFileSystemEnabled": True}, "HybridMode: only 'Disabled' is supported"),
        ({"UseTransferManager": True}, "UseTransferManager: only false is supported"),
    ],
)
def test_a_setting_that_is_wrong_or_cannot_be_honoured_is_named_in_one_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(**changes)
    assert str(caught.value).startswith(f"AwsS3Storage.{line}")
    assert "\n" not in str(caught.value)


def test_an_error_and_a_printed_section_tell_no_secret() -> None:
    assert "a-secret" not in repr(read())
    for changes in ({"SecretKey": ["a-secret"]}, {"Endpoint": "https://user:a-secret@x"}, {"Region": ...}):
        with pytest.raises(SettingsError) as caught:
            read(**changes)
        assert "a-secret" not in str(caught.value)


@pytest.mark.parametrize("configuration", [{}, {"AwsS3Storage": []}])
def test_orthanc_without_the_section_is_refused(configuration: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="AwsS3Storage: missing"):
        Settings.of(configuration)


def test_an_unknown_setting_of_orthwebs_own_section_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"OrthwebS3\.Ca: unknown setting"):
        read({"Ca": "/ca.crt"})

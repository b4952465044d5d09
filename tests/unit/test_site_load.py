"""What `orthweb.yaml` may say, where it lies, and what the example and the schema for editors say of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from rendering import site

from orthweb.errors import InputError
from orthweb.site.example import example as example_text
from orthweb.site.example import schema_text
from orthweb.site.load import load_site, parse_site
from orthweb.site.model import ClientCertificates, Environment, OwnCertificate, S3Storage


def test_a_name_is_all_that_a_site_needs_and_what_it_gets_is_closed() -> None:
    least = site("")
    assert (least.orthanc.replicas, least.storage, least.environment) == (3, "filesystem", Environment.DEV)
    assert least.web.allowed_cidrs == least.dicom.allowed_cidrs == ["127.0.0.0/8", "::1/128"]
    assert least.dicom.client_certificates is ClientCertificates.REQUIRED
    assert least.dicom.plaintext is None


def test_the_example_that_init_writes_is_right_as_it_stands_and_with_its_comments_taken_away() -> None:
    text = example_text("my-site", "Dr. Who: radiology", "production", 8443, 2762)
    written = parse_site(text)
    assert (written.name, written.owner, written.web.port, written.dicom.port) == (
        "my-site",
        "Dr. Who: radiology",
        8443,
        2762,
    )
    uncommented = re.sub(r"^( *)# ((?: *ct1|modalities|allowed_cidrs|tls|  names)\b.*)$", r"\1\2", text, flags=re.M)
    full = parse_site(uncommented)
    assert full.orthanc.modalities["ct1"].host == "192.168.10.21"
    assert full.web.allowed_cidrs == full.dicom.allowed_cidrs == ["127.0.0.0/8", "::1/128", "192.168.10.0/24"]
    assert full.tls.names == ["pacs.example.org"]


@pytest.mark.parametrize("owner", ["a: b", "'", '"', "# no comment", "- x", "", "é 漢字", "null", "yes", "\\n", "{}"])
def test_an_owner_of_any_spelling_goes_through_the_example(owner: str) -> None:
    assert parse_site(example_text("my-site", owner, "dev", 443, 11112)).owner == owner


@pytest.mark.parametrize("name", ["ab", "null", "true", "yes", "on", "e5", "x" * 32, "a-b", "off"])
def test_a_name_that_yaml_knows_as_something_else_goes_through_the_example(name: str) -> None:
    assert parse_site(example_text(name, "", "dev", 443, 11112)).name == name


@pytest.mark.parametrize("word", ["off", '"off"', "false"])
def test_off_is_a_word_whatever_yaml_makes_of_it(word: str) -> None:
    assert site(f"dicom: {{client_certificates: {word}}}").dicom.client_certificates is ClientCertificates.OFF
    assert site(f"dicom: {{plaintext: {word}}}").dicom.plaintext is None


def test_yaml_1_1_s_off_is_the_same_word() -> None:
    text = "%YAML 1.1\n---\nname: test\ndicom: {client_certificates: off}"
    assert parse_site(text).dicom.client_certificates is ClientCertificates.OFF


@pytest.mark.parametrize(
    ("storage", "bucket"), [("filesystem", None), ("s3", "orthanc"), ("{}", "orthanc"), ("{bucket: images}", "images")]
)
def test_storage_is_a_word_or_a_section(storage: str, bucket: str | None) -> None:
    described = site(f"storage: {storage}").s3()
    assert (described.bucket if described else None) == bucket


def test_an_endpoint_takes_keys_and_an_authority() -> None:
    more = "storage: {endpoint: 'https://s3.example.org:9000', credentials: s3.json, ca: ca.pem, root_path: a/b}"
    assert isinstance(site(more).storage, S3Storage)


def test_the_certificate_is_a_word_or_a_section() -> None:
    assert site("tls: {certificate: generated}").tls.certificate == "generated"
    own = site("tls: {certificate: {certificate: a.crt, key: a.key}}").tls.certificate
    assert own == OwnCertificate(certificate="a.crt", key="a.key", chain=None)


@pytest.mark.parametrize(
    "cidr", ["0.0.0.0/0", "::/0", "10.0.0.0/8", "192.168.1.7/32", "192.168.1.7", "2001:db8::/32", "::1", "fe80::/10"]
)
def test_ranges_of_both_kinds_are_taken(cidr: str) -> None:
    kept = site(f"web: {{allowed_cidrs: ['{cidr}']}}").web.allowed_cidrs[0]
    assert kept.startswith(cidr.partition("/")[0])
    assert "/" in kept


@pytest.mark.parametrize("title", ["A", "1234567890123456", "CT ROOM 1", "ct-1_a.b", "#!{}~"])
def test_titles_that_the_standard_allows_are_taken(title: str) -> None:
    assert site(f"orthanc: {{ae_title: {json.dumps(title)}}}").orthanc.ae_title == title


@pytest.mark.parametrize("host", ["ct", "ct.example.org", "CT-1.example.org.", "10.0.0.7", "2001:db8::7", "x1.2y"])
def test_hosts_are_names_or_addresses(host: str) -> None:
    described = site(f"orthanc: {{modalities: {{ct: {{ae_title: CT, host: '{host}'}}}}}}")
    assert described.orthanc.modalities["ct"].host == host


@pytest.mark.parametrize("name", ["*.example.org", "pacs.example.org", "192.0.2.7", "2001:db8::7"])
def test_names_of_a_certificate_may_begin_with_a_wildcard(name: str) -> None:
    assert site(f"tls: {{names: ['{name}']}}").tls.names == [name]


def test_a_folder_without_a_site_is_told_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"/orthweb\.yaml: no such file: make one with 'orthweb init'"):
        load_site(tmp_path)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "orthweb.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(InputError, match=r"orthweb\.yaml: cannot be read .*: a text file in UTF-8 is needed"):
        load_site(tmp_path)


def test_a_folder_in_the_file_s_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "orthweb.yaml").mkdir()
    with pytest.raises(InputError, match=r"orthweb\.yaml: cannot be read \(.*Is a directory"):
        load_site(tmp_path)


def test_the_schema_for_editors_has_every_field_with_its_documentation() -> None:
    schema = json.loads(schema_text())
    for model in [schema, *schema["$defs"].values()]:
        for name, field in model.get("properties", {}).items():
            # What a section says of itself is not repeated where it is used.
            section = schema["$defs"].get(field.get("$ref", "").rpartition("/")[2], {})
            assert field.get("description") or section.get("description"), name
        if model.get("type") == "object":
            assert model["additionalProperties"] is False

"""The one line that a mistake in `orthweb.yaml` makes: field, value, and what is allowed."""

from __future__ import annotations

import json
import re

import pytest
from rendering import site

from orthweb.errors import InputError
from orthweb.site.load import parse_site

CIDR = "an IPv4 or IPv6 range such as 192.168.0.0/24 or 2001:db8::/32"
NAME = "allowed is 2 to 32 lower-case letters, digits and hyphens, a letter first"
AE_TITLE = "1 to 16 printable ASCII characters, no backslash, no space at either end"
HOST = "a DNS name or an IP address"
NUMBER = "allowed is a whole number"
SECTION = "allowed is a section with fields of its own"


def modality(fields: str) -> str:
    return f"orthanc: {{modalities: {{ct: {{ae_title: CT, host: ct, {fields}}}}}}}"


MISTAKES = [
    # Keys
    (
        "foo: 1",
        "foo: unknown key: allowed are name, environment, owner, orthanc, web, dicom, tls, storage, envoy, "
        "postgresql, aws",
    ),
    ("web: {prt: 1}", "web.prt: unknown key: did you mean port? allowed are port, redirect_port, allowed_cidrs"),
    ("storage: {bukket: x}", "storage.bukket: unknown key: did you mean bucket? allowed are bucket, endpoint, *"),
    (
        "tls: {certificate: {certificate: a, key: b, chian: c}}",
        "tls.certificate.chian: unknown key: did you mean chain*",
    ),
    (modality("prt: 104"), "orthanc.modalities.ct.prt: unknown key: did you mean port? *"),
    ("1: 2", "this file: 1: a name must be text: put it in quotes"),
    ("orthanc: {modalities: {'a b': {ae_title: A, host: b}}}", "orthanc.modalities.a b: 'a b': allowed is 1 to 64 *"),
    ("orthanc: {settings: {7: x}}", "orthanc.settings: 7: a name must be text: put it in quotes"),
    # Names
    ("name: my site", "line 2: name is given twice: keep one of them"),
    ('owner: "two\\nlines"', "owner: 'two\\nlines': allowed is one line of text"),
    ("environment: prod", "environment: 'prod': allowed is 'dev', 'test', 'staging' or 'production'"),
    # Wrong types
    ("orthanc: 3", f"orthanc: 3: {SECTION}"),
    ("web: [443]", f"web: [443]: {SECTION}"),
    ("orthanc: {replicas: three}", f"orthanc.replicas: 'three': {NUMBER}"),
    ("orthanc: {replicas: '3'}", f"orthanc.replicas: '3': {NUMBER}"),
    ("orthanc: {replicas: true}", f"orthanc.replicas: True: {NUMBER}"),
    ("web: {port: 443.0}", f"web.port: 443.0: {NUMBER}"),
    ("web: {port: ~}", f"web.port: None: {NUMBER}"),
    (modality("tls: 1"), "orthanc.modalities.ct.tls: 1: allowed is true or false"),
    ("orthanc: {users: admin}", "orthanc.users: 'admin': allowed is a list, such as [a, b]"),
    ("orthanc: {ae_title: 5}", "orthanc.ae_title: 5: allowed is text"),
    ("orthanc: {modalities: [a]}", f"orthanc.modalities: ['a']: {SECTION}"),
    ("orthanc: {settings: {a: 2026-01-01}}", "orthanc.settings.a: datetime.date(2026, 1, 1): is neither text nor *"),
    ("orthanc: {settings: {a: [.nan]}}", "orthanc.settings.a[0]: nan: is neither text nor a number: put it in quotes"),
    ("orthanc: {settings: {a: !!set {x}}}", "orthanc.settings.a: {'x'}: is neither text nor a number: *"),
    ("orthanc: {settings: {a: &a [*a]}}", "orthanc.settings.a[0]: holds itself: write it out instead of the alias"),
    # Ranges
    ("orthanc: {replicas: 0}", "orthanc.replicas: 0: allowed is greater than or equal to 1"),
    ("orthanc: {replicas: 17}", "orthanc.replicas: 17: allowed is less than or equal to 16"),
    ("web: {port: 0}", "web.port: 0: allowed is greater than or equal to 1"),
    ("dicom: {port: 65536}", "dicom.port: 65536: allowed is less than or equal to 65535"),
    ("orthanc: {users: []}", "orthanc.users: []: allowed is at least one"),
    # Ports
    ("web: {port: 11112}", "dicom.port: 11112 is already the port of web.port; choose another"),
    ("web: {redirect_port: 443}", "web.redirect_port: 443 is already the port of web.port; choose another"),
    (
        "dicom: {plaintext: {port: 443, allowed_cidrs: [10.0.0.0/8]}}",
        "dicom.plaintext.port: 443 is already the port of web.port; choose another",
    ),
    # CIDRs
    ("web: {allowed_cidrs: [foo]}", f"web.allowed_cidrs[0]: 'foo': {CIDR}"),
    ("web: {allowed_cidrs: ['']}", f"web.allowed_cidrs[0]: '': {CIDR}"),
    ("web: {allowed_cidrs: [10.0.0.0/8, 300.0.0.0/8]}", f"web.allowed_cidrs[1]: '300.0.0.0/8': {CIDR}"),
    ("web: {allowed_cidrs: [10.0.0.0/33]}", f"web.allowed_cidrs[0]: '10.0.0.0/33': {CIDR}"),
    (
        "web: {allowed_cidrs: [10.0.0.7/8]}",
        "web.allowed_cidrs[0]: '10.0.0.7/8': host bits are set; did you mean 10.0.0.0/8",
    ),
    ("dicom: {allowed_cidrs: ['2001:db8::/129']}", f"dicom.allowed_cidrs[0]: '2001:db8::/129': {CIDR}"),
    (
        "dicom: {allowed_cidrs: ['2001:db8::7/32']}",
        "dicom.allowed_cidrs[0]: '2001:db8::7/32': host bits *2001:db8::/32",
    ),
    ("dicom: {allowed_cidrs: ['fe80::%eth0/64']}", f"dicom.allowed_cidrs[0]: 'fe80::%eth0/64': {CIDR}"),
    ("dicom: {allowed_cidrs: [10]}", "dicom.allowed_cidrs[0]: 10: allowed is text"),
    ("dicom: {allowed_cidrs: 10.0.0.0/8}", "dicom.allowed_cidrs: '10.0.0.0/8': allowed is a list, such as [a, b]"),
    # The door without TLS
    ("dicom: {plaintext: true}", f"dicom.plaintext: True: {SECTION}"),
    ("dicom: {plaintext: {port: 104}}", "dicom.plaintext.allowed_cidrs: is missing: it must be given"),
    ("dicom: {plaintext: {allowed_cidrs: []}}", "dicom.plaintext.allowed_cidrs: []: allowed is at least one"),
    (
        "dicom: {plaintext: {allowed_cidrs: [0.0.0.0/0]}}",
        "dicom.plaintext.allowed_cidrs: 0.0.0.0/0 lets everybody in *",
    ),
    ("dicom: {plaintext: {allowed_cidrs: ['::/0']}}", "dicom.plaintext.allowed_cidrs: ::/0 lets everybody in *"),
    ("dicom: {client_certificates: no}", "dicom.client_certificates: 'no': allowed is 'required', 'optional' or 'off'"),
    ("dicom: {client_certificates: 0}", "dicom.client_certificates: 0: allowed is 'required', 'optional' or 'off'"),
    # Titles, users, hosts
    ("orthanc: {ae_title: '12345678901234567'}", f"orthanc.ae_title: '12345678901234567': {AE_TITLE}"),
    ("orthanc: {ae_title: ''}", f"orthanc.ae_title: '': {AE_TITLE}"),
    ("orthanc: {ae_title: ' A'}", f"orthanc.ae_title: ' A': {AE_TITLE}"),
    ("orthanc: {ae_title: 'A\\B'}", f"orthanc.ae_title: 'A\\\\B': {AE_TITLE}"),
    ("orthanc: {ae_title: ÄÖ}", f"orthanc.ae_title: 'ÄÖ': {AE_TITLE}"),
    ('orthanc: {ae_title: "A\\tB"}', f"orthanc.ae_title: 'A\\tB': {AE_TITLE}"),
    ("orthanc: {users: ['a b']}", "orthanc.users[0]: 'a b': allowed is 1 to 32 letters, digits, dots, *"),
    ("orthanc: {users: [a, b, a]}", "orthanc.users: a is there twice; name every user once"),
    ("orthanc: {users: [orthweb-health]}", "orthanc.users: orthweb-health is the name that Orthweb's own health *"),
    ("orthanc: {modalities: {ct: {}}}", "orthanc.modalities.ct.ae_title: is missing: it must be given"),
    (
        "orthanc: {modalities: {ct: {ae_title: A, host: 10.0.0.300}}}",
        f"orthanc.modalities.ct.host: '10.0.0.300': {HOST}",
    ),
    ("orthanc: {modalities: {ct: {ae_title: A, host: a_b}}}", f"orthanc.modalities.ct.host: 'a_b': {HOST}"),
    ('orthanc: {modalities: {ct: {ae_title: A, host: "a\\n"}}}', f"orthanc.modalities.ct.host: 'a\\n': {HOST}"),
    ("tls: {names: ['https://pacs']}", f"tls.names[0]: 'https://pacs': {HOST}"),
    ("tls: {names: ['*.*.org']}", f"tls.names[0]: '*.*.org': {HOST}"),
    ("tls: {names: ['*.10.0.0.7']}", f"tls.names[0]: '*.10.0.0.7': {HOST}; no wildcard goes before an address"),
    ("tls: {names: ['fe80::1%eth0']}", f"tls.names[0]: 'fe80::1%eth0': {HOST}"),
    # Unions
    ("tls: {certificate: own}", "tls.certificate: 'own': allowed is 'generated'"),
    ("tls: {certificate: {certificate: a}}", "tls.certificate.key: is missing: it must be given"),
    ("tls: {certificate: {certificate: a, key: 3}}", "tls.certificate.key: 3: allowed is text"),
    ("storage: foo", "storage: 'foo': allowed is 'filesystem' or 's3'"),
    ("storage: ~", "storage: None: allowed is 'filesystem' or 's3'"),
    ("storage: {bucket: My Bucket}", "storage.bucket: 'My Bucket': allowed is 3 to 63 lower-case letters, *"),
    ("storage: {endpoint: 'http://a', credentials: c}", "storage.endpoint: 'http://a': allowed is an https address *"),
    ("storage: {endpoint: 'https://a'}", "storage.credentials: an endpoint needs a file with AccessKey and SecretKey"),
    ("storage: {credentials: a}", "storage.endpoint: credentials are given but no endpoint to use them with"),
    # YAML
    ("a: [", "line 2: * found '<stream end>': correct the YAML there"),
    ("web:\n\tport: 1", "line 3: found character '\\t' that cannot start any token: correct the YAML there"),
    ("web: {port: 1, port: 2}", "line 2: port is given twice: keep one of them"),
    ("---\nname: other", "line 2: *another document: correct the YAML there"),
    ("owner: !!python/object:os.system {}", "line 2: could not determine a constructor *"),
    ("owner: 2026-02-30", "holds what is no value (day is out of range for month): put it in quotes"),
    ("owner: !!int x", "holds what is no value (invalid literal for int() *): put it in quotes"),
    ("owner: \x00", "not YAML (*): a text file in YAML is needed"),
]


@pytest.mark.parametrize(("more", "line"), MISTAKES, ids=[more for more, _ in MISTAKES])
def test_a_mistake_is_one_line_with_its_field_and_its_value(more: str, line: str) -> None:
    with pytest.raises(InputError) as caught:
        site(more)
    pattern = re.escape(f"orthweb.yaml: {line}").replace(r"\*", ".*")
    assert any(re.fullmatch(pattern, said) for said in str(caught.value).splitlines()), str(caught.value)


@pytest.mark.parametrize(
    "name", ["my site", "My-Site", "-a", "a-", "a", "a" * 33, "ab\n", "a_b", "ä-b", "../etc", "1a"]
)
def test_a_name_that_is_no_file_name_and_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_site(f"name: {json.dumps(name)}")
    assert str(caught.value) == f"orthweb.yaml: name: {name!r}: {NAME}"


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        parse_site("web: {port: 0}\ndicom: {prot: 5}\nstorage: x")
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == [
        "name",
        "web.port",
        "dicom.prot",
        "storage",
    ]


@pytest.mark.parametrize("text", ["", "- a", "text", "3", "~", "# nothing", "[a, b]"])
def test_what_is_no_mapping_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match=r"^orthweb\.yaml: holds .*: a mapping such as 'name: my-site' is needed$"):
        parse_site(text)


def test_a_value_of_any_length_makes_a_short_line() -> None:
    with pytest.raises(InputError) as caught:
        site(f"environment: {'x' * 100_000}")
    assert len(str(caught.value)) < 200


def test_values_nested_beyond_reason_are_refused() -> None:
    with pytest.raises(InputError):
        site("owner: " + "[" * 5000 + "]" * 5000)

"""The first message of a TLS handshake and its answer: against OpenSSL in this process, and against odd answers."""

from __future__ import annotations

import contextlib
import re
import ssl
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orthweb.pki import ensure_authority, write_private
from orthweb.validation.probes.cipher_suites import NAMES, OLDER_SUITES, TLS_1_3_SUITES, names_of, weaknesses
from orthweb.validation.probes.client_hello import (
    LONGEST_ANSWER,
    SSL_3,
    TLS_1_0,
    TLS_1_1,
    TLS_1_2,
    TLS_1_3,
    VERSIONS,
    Alert,
    NotTls,
    ServerHello,
    client_hello,
    read_answer,
)

_PYTHONS = {
    TLS_1_0: ssl.TLSVersion.TLSv1,
    TLS_1_1: ssl.TLSVersion.TLSv1_1,
    TLS_1_2: ssl.TLSVersion.TLSv1_2,
    TLS_1_3: ssl.TLSVersion.TLSv1_3,
}
_OPENSSL_NAMES = {
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_ECDH_anon_WITH_AES_128_CBC_SHA": "AECDH-AES128-SHA",
    "TLS_RSA_WITH_NULL_SHA256": "NULL-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
}
_NUMBERS = {name: number for number, name in NAMES.items()}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    issued = ensure_authority(folder, "test").issue_server(["localhost"])
    write_private(folder / "server.crt", issued.certificate_pem)
    write_private(folder / "server.key", issued.key_pem)
    return folder / "server.crt", folder / "server.key"


def answer_of_openssl(
    pair: tuple[Path, Path], hello: bytes, versions: tuple[int, int] = (TLS_1_2, TLS_1_3), ciphers: str = "ALL"
) -> ServerHello | Alert | None:
    """What a server of this process's OpenSSL answers to a ClientHello."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = (_PYTHONS[version] for version in versions)
    heard, said = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(heard, said, server_side=True)
    heard.write(hello)
    with contextlib.suppress(ssl.SSLError):
        server.do_handshake()
    return read_answer(said.read(), ended=True)


# Against OpenSSL ------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@settings(max_examples=60, deadline=None)
@given(
    asked=st.sampled_from([TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3]),
    versions=st.tuples(st.sampled_from(sorted(_PYTHONS)), st.sampled_from(sorted(_PYTHONS))),
    name=st.sampled_from([None, "localhost", "pacs.example.org", "x" * 63 + ".example"]),
)
def test_openssl_takes_the_versions_that_it_was_told_to_and_refuses_others(
    pair: tuple[Path, Path], asked: int, versions: tuple[int, int], name: str | None
) -> None:
    least, most = sorted(versions)
    suites = TLS_1_3_SUITES if asked == TLS_1_3 else OLDER_SUITES
    answer = answer_of_openssl(pair, client_hello(asked, suites, name), (least, most))
    # Before TLS 1.3 a client asks for a version "or older".
    expected = min(asked, most) if asked < TLS_1_3 else asked
    if least <= expected <= most:
        assert isinstance(answer, ServerHello)
        assert answer.version == expected
        assert answer.suite in suites
    else:
        assert isinstance(answer, Alert)
        assert str(answer) in ("alert protocol_version", "alert handshake_failure")


@settings(max_examples=60, deadline=None)
@given(
    taken=st.sets(st.sampled_from(sorted(_OPENSSL_NAMES)), min_size=1),
    offered=st.lists(st.sampled_from(sorted(_OPENSSL_NAMES)), min_size=1, unique=True),
)
def test_openssl_takes_the_suites_that_it_was_told_to_and_refuses_others(
    pair: tuple[Path, Path], taken: set[str], offered: list[str]
) -> None:
    ciphers = ":".join(_OPENSSL_NAMES[name] for name in taken)
    hello = client_hello(TLS_1_2, [_NUMBERS[name] for name in offered])
    answer = answer_of_openssl(pair, hello, (TLS_1_2, TLS_1_2), ciphers)
    if taken & set(offered):
        assert isinstance(answer, ServerHello)
        assert NAMES[answer.suite] in taken & set(offered)
    else:
        assert answer == Alert(40)


def test_suites_have_the_names_that_openssl_gives_them() -> None:
    command = ["openssl", "ciphers", "-V", "-stdname", "ALL:COMPLEMENTOFALL"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found = [re.match(r"\s*0x(..),0x(..) - (\S+)", line) for line in lines]
    named = {int(match[1] + match[2], 16): match[3] for match in found if match}
    assert len(named) > 100
    assert {number: NAMES[number] for number in named} == named


# Against odd answers --------------------------------------------------------------------------------------------


def record(kind: int, content: bytes, version: int = TLS_1_2) -> bytes:
    return struct.pack("!BHH", kind, version, len(content)) + content


def extension(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value


def server_hello(
    version: int, suite: int, session: bytes = b"", extensions: bytes | None = None, compression: int = 0
) -> bytes:
    body = struct.pack("!H32xB", version, len(session)) + session + struct.pack("!HB", suite, compression)
    if extensions is not None:
        body += struct.pack("!H", len(extensions)) + extensions
    return b"\x02" + len(body).to_bytes(3, "big") + body


extensions_in_use = st.lists(
    st.builds(extension, st.integers(0, 65535).filter(lambda kind: kind != 43), st.binary(max_size=40)), max_size=5
).map(b"".join)


@given(
    version=st.sampled_from([SSL_3, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3]),
    suite=st.integers(0, 65535),
    session=st.binary(max_size=32),
    extensions=st.none() | extensions_in_use,
    pieces=st.lists(st.integers(1, 100), max_size=4),
    warnings=st.integers(0, 3),
    data=st.data(),
)
def test_a_server_hello_is_read_however_it_comes(
    version: int,
    suite: int,
    session: bytes,
    extensions: bytes | None,
    pieces: list[int],
    warnings: int,
    data: st.DataObject,
) -> None:
    legacy = min(version, TLS_1_2)
    if version == TLS_1_3:
        extensions = (extensions or b"") + extension(43, struct.pack("!H", TLS_1_3))
    message = server_hello(legacy, suite, session, extensions)
    # Warnings may come first, and a message may go on over several records.
    sent = record(21, b"\x01\x70") * warnings
    for size in pieces:
        part, message = message[:size], message[size:]
        sent += record(22, part) if part else b""
    sent += record(22, message + b"\x0b\x00\x00\x00") if message else b""
    assert read_answer(sent, ended=data.draw(st.booleans())) == ServerHello(version, suite)
    cut = data.draw(st.integers(0, len(sent) - 1))
    assert read_answer(sent[:cut]) in (None, ServerHello(version, suite))


@settings(max_examples=500)
@given(
    st.binary(max_size=200)
    | st.builds(record, st.integers(0, 255), st.binary(max_size=60), st.integers(0, 65535))
    | st.builds(lambda body: record(22, b"\x02" + len(body).to_bytes(3, "big") + body), st.binary(max_size=120)),
    st.binary(max_size=20),
    st.booleans(),
)
def test_anything_else_is_an_answer_or_none_of_tls_and_nothing_worse(data: bytes, more: bytes, ended: bool) -> None:
    with contextlib.suppress(NotTls):
        first = read_answer(data, ended)
        # What is known does not change when more comes.
        if first is not None and not ended:
            assert read_answer(data + more, ended) == first


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "nothing: it hung up"),
        (b"HTTP/1.1 400 Bad Request\r\n", "what begins with b'HTTP/1.1'"),
        (b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x01", "what begins with"),
        (record(22, b"\x02\x00\x00\x50" + bytes(10)), "half an answer"),
        (record(23, b"application"), "a TLS record of type 23"),
        (record(22, b""), "a TLS record of type 22"),
        (b"\x16\x03\x03\xff\xff", "a TLS record of 65535 bytes"),
        (record(22, b"\x0b\x00\x00\x00"), "a handshake message of type 11"),
        (record(22, b"\x02\xff\xff\xff"), "a ServerHello of 16777215 bytes"),
        (record(21, b"\x02"), "a TLS alert of 1 bytes"),
        (record(22, b"\x02\x00\x00\x05\x03\x03\x00\x00\x00"), "too short"),
        (record(22, server_hello(TLS_1_2, 47, b"s" * 33)), "a session identifier of 33 bytes"),
        (record(22, server_hello(TLS_1_2, 47, compression=1)), "compression 1"),
        (record(22, server_hello(0x7F1C, 47)), "version 0x7f1c"),
        (record(22, server_hello(TLS_1_2, 47, extensions=b"\x00\x2b\x00\x09\x03")), "an extension of a wrong length"),
        (record(22, server_hello(TLS_1_2, 47, extensions=extension(43, b"\x03"))), "an extension of a wrong length"),
        (
            record(22, server_hello(TLS_1_2, 47)[:3] + b"\x29" + server_hello(TLS_1_2, 47)[4:] + b"\x00\x02\x00"),
            "don't end",
        ),
    ],
)
def test_an_odd_answer_is_told_in_words(answer: bytes, words: str) -> None:
    with pytest.raises(NotTls, match=re.escape(words)):
        read_answer(answer, ended=True)


def test_an_answer_that_never_ends_is_not_read_for_ever() -> None:
    with pytest.raises(NotTls, match="without a ServerHello"):
        read_answer(record(21, b"\x01\x70") * (LONGEST_ANSWER // 7 + 1))


def test_a_warning_counts_once_the_server_hangs_up() -> None:
    assert read_answer(record(21, b"\x01\x28")) is None
    assert read_answer(record(21, b"\x01\x28"), ended=True) == Alert(40)
    assert read_answer(record(21, b"\x01\x00")) == Alert(0)


# What is wrong with suites --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "why", "serious"),
    [
        ("TLS_RSA_WITH_NULL_SHA", "encrypt nothing", True),
        ("TLS_SHA256_SHA256", "encrypt nothing", True),
        ("TLS_DH_anon_WITH_AES_256_GCM_SHA384", "proves nothing", True),
        ("TLS_RSA_EXPORT_WITH_DES40_CBC_SHA", "a laptop finds the key", True),
        ("TLS_ECDHE_RSA_WITH_RC4_128_SHA", "RC4", True),
        ("TLS_RSA_EXPORT_WITH_RC2_CBC_40_MD5", "RC2", True),
        ("TLS_RSA_WITH_DES_CBC_SHA", "DES or 3DES", True),
        ("TLS_ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA", "DES or 3DES", True),
        ("TLS_RSA_WITH_IDEA_CBC_SHA", "IDEA", True),
        ("TLS_RSA_WITH_RC4_128_MD5", "MD5", True),
        ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", "CBC", False),
        ("TLS_RSA_WITH_AES_128_GCM_SHA256", "forward secrecy", False),
        ("TLS_ECDH_RSA_WITH_AES_128_GCM_SHA256", "forward secrecy", False),
        ("TLS_PSK_WITH_AES_128_CCM_8", "forward secrecy", False),
    ],
)
def test_a_weak_suite_is_told_why(name: str, why: str, serious: bool) -> None:
    found = weaknesses([_NUMBERS[name]])
    assert any(why in weakness.why for weakness in found)
    assert all(weakness.serious is serious for weakness in found)


def test_what_the_best_servers_offer_is_not_weak() -> None:
    exchanges = ("ECDHE_RSA", "ECDHE_ECDSA", "DHE_RSA")
    ends = ("AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256")
    names = [f"TLS_{exchange}_WITH_{end}" for exchange in exchanges for end in ends] + [f"TLS_{end}" for end in ends]
    assert weaknesses(_NUMBERS[name] for name in names) == []


def test_suites_are_offered_once_and_each_in_its_version() -> None:
    assert not set(TLS_1_3_SUITES) & set(OLDER_SUITES)
    assert {0x1301, 0x1302, 0x1303} <= set(TLS_1_3_SUITES)
    assert 0 not in OLDER_SUITES
    assert names_of([0x002F, 0x9999]) == "TLS_RSA_WITH_AES_128_CBC_SHA, 0x9999"
    assert list(VERSIONS) == sorted(VERSIONS, reverse=True)

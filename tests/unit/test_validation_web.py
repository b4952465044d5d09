"""How checks of the web port read what servers send: good, odd and broken answers, from a server made for the test."""

from __future__ import annotations

import json
import struct
import tempfile
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from orthweb.validation.check import Check, Result, Status
from orthweb.validation.checks import web
from orthweb.validation.checks.dicomweb import QIDO, RENDERED, WADO, value
from orthweb.validation.checks.replica_clients import differences
from orthweb.validation.checks.replica_options import options
from orthweb.validation.checks.web_page import EXPLORER
from orthweb.validation.checks.web_refusals import ANONYMOUS
from orthweb.validation.checks.web_transport import HEADERS, REDIRECT, keeps_addresses, protects_frames, stays_https
from orthweb.validation.look import Exhibits, Look
from orthweb.validation.probes import picture
from orthweb.validation.probes.multipart import parameters, split
from orthweb.validation.probes.web_client import WebClient
from orthweb.validation.run import made
from orthweb.validation.samples import phantom
from orthweb.validation.samples.test_data import TestData
from orthweb.validation.target import Credentials, DicomDoor, Target, WebDoor

JSON, HTML, SCRIPT = ({"content-type": kind} for kind in ("application/json", "text/html", "text/javascript"))
Script = dict[str, tuple[int, dict[str, str], bytes]]


class Odd:
    """A server that answers by path as its script says, and everything else with `default`."""

    def __init__(self) -> None:
        self.script: Script = {}
        self.default: tuple[int, dict[str, str], bytes] = (404, {}, b"")
        odd = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                status, headers, body = odd.script.get(self.path.partition("?")[0], odd.default)
                self.send_response_only(status)
                for name, text in {"content-length": str(len(body)), **headers}.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_TRACE = do_CONNECT = answer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.port = self._server.server_address[1]
        self.address = f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def odd() -> Iterator[Odd]:
    server = Odd()
    yield server
    server.close()


@pytest.fixture
def data() -> Iterator[TestData]:
    with tempfile.TemporaryDirectory(prefix="ow-") as folder:
        yield TestData(Path(folder))


def _made(check: Check, odd: Odd, data: TestData, **door: Any) -> Result:
    known = {"plain": True, "credentials": Credentials("admin", "right"), **door}
    target = Target("odd", ("odd",), WebDoor("127.0.0.1", odd.port, **known), DicomDoor("::1", 1, "ODD"), data.folder)
    result = made(check, Look(target, data, Exhibits(), 15))
    assert "the check itself broke off" not in result.message, result
    assert result.status is Status.SKIPPED or all(finding.remedy for finding in result.findings), result
    return result


# Whatever comes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", web.CHECKS, ids=lambda check: check.id)
@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b""),
        (200, JSON, b"null"),
        (200, JSON, b"[]"),
        (200, JSON, b'["dicom-web", 3, null]'),
        (200, JSON, b'{"RootUri": 3, "Version": []}'),
        (200, JSON, b'[{"0020000D": {"Value": [{}]}, "00100010": 3}]'),
        (200, {"content-type": "multipart/related"}, b"\xff\xfe--"),
        (204, {}, b""),
        (301, {"location": "/"}, b""),
        (302, {"location": "http://[::1"}, b""),
        (302, {"location": "https://127.0.0.1:99999/"}, b""),
        (401, {}, b""),
        (404, {}, b"\x00"),
        (500, {}, b"oops"),
        (503, {}, b""),
    ],
    ids=lambda answer: f"{answer[0]}-{answer[2][:12]!r}",
)
def test_no_answer_breaks_a_check(
    odd: Odd, data: TestData, check: Check, answer: tuple[int, dict[str, str], bytes]
) -> None:
    odd.default = answer
    _made(check, odd, data)


def test_a_client_that_keeps_its_connection_goes_on_when_the_server_ends_it(odd: Odd) -> None:
    odd.script = {"/last": (200, {"connection": "close"}, b"")}
    with WebClient("127.0.0.1", odd.port, None).keeping() as client:
        answers = [client.get(path).status for path in ("/one", "/last", "/two", "/three")]
        posted = client.request("POST", "/four", b"some").status
    assert (answers, posted) == ([404, 200, 404, 404], 404)


# Redirects and headers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "location", "message"),
    [
        (308, "https://127.0.0.1:{port}/app/explorer.html?orthweb=validation", ""),
        (301, "https://pacs.example.org/app/explorer.html?orthweb=validation", ""),
        (302, "https://127.0.0.1:{port}/", "the page that was asked for is lost"),
        (302, "http://127.0.0.1:{port}/login", "which is no HTTPS"),
        (302, "", "nowhere, which is no HTTPS"),
        (302, "https://127.0.0.1/app/explorer.html?orthweb=validation", "redirects to port 443"),
        (200, "", "answers plain HTTP with 200"),
        (400, "", "is not redirected to HTTPS: it answers 400"),
    ],
)
def test_a_redirection_is_judged_by_where_it_leads(
    odd: Odd, data: TestData, status: int, location: str, message: str
) -> None:
    odd.default = (status, {"location": location.format(port=odd.port)} if location else {}, b"")
    result = _made(REDIRECT, odd, data, plain=False, ca=None)
    assert message in result.message
    assert (result.status is Status.PASSED) is (not message)


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("max-age=31536000; includeSubDomains", True),
        ('includeSubDomains; Max-Age="31536000"', True),
        ("max-age=86400", False),
        ("x-max-age=31536000", False),
        ("", False),
    ],
)
def test_https_alone_is_kept_for_half_a_year_or_not(value: str, good: bool) -> None:
    assert stays_https({"strict-transport-security": value}) is good


def test_frames_are_forbidden_by_either_header() -> None:
    assert protects_frames({"x-frame-options": "deny"})
    assert protects_frames({"content-security-policy": "default-src 'self'; frame-ancestors 'none'"})
    assert not protects_frames({"x-frame-options": "ALLOW-FROM https://example.org"})
    assert not protects_frames({})


def test_the_last_policy_for_addresses_counts() -> None:
    assert keeps_addresses({"referrer-policy": "unsafe-url, same-origin"})
    assert not keeps_addresses({"referrer-policy": "same-origin, unsafe-url"})
    assert not keeps_addresses({})


def test_what_is_missing_on_pages_fails_and_a_version_warns(odd: Odd, data: TestData) -> None:
    good = {"x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "no-referrer"}
    odd.default = (404, good, b"")
    odd.script = {"/system": (200, {**good, "server": "Example/1.2"}, b"")}
    result = _made(HEADERS, odd, data)
    assert (result.status, result.message) == (
        Status.WARNING,
        "the header server tells everybody a version: Example/1.2",
    )
    odd.script = {"/system": (200, {"x-frame-options": "DENY"}, b"")}
    result = _made(HEADERS, odd, data)
    assert result.status is Status.FAILED
    assert result.message.endswith("in the answer to /system, /system without a login")


# Pages ---------------------------------------------------------------------------------------------------------------


def _page(odd: Odd, body: str) -> None:
    odd.script["/"] = (302, {"location": "ui/app/index.html"}, b"")
    odd.script["/ui/app/index.html"] = (200, HTML, body.encode())


def test_the_front_page_is_followed_and_others_scripts_are_left_alone(odd: Odd, data: TestData) -> None:
    _page(
        odd,
        "<script src=a.js></script><script src=a.js></script><script>inline</script>"
        "<script src='https://cdn.example.org/b.js'></script><link rel='icon' href='none.ico'>",
    )
    odd.script["/ui/app/a.js"] = (200, SCRIPT, b"1")
    result = _made(EXPLORER, odd, data)
    assert (result.status, result.message) == (Status.PASSED, "/ui/app/index.html and its 1 scripts and styles")


def test_a_script_that_browsers_leave_out_is_found(odd: Odd, data: TestData) -> None:
    _page(odd, "<base href=/other/><link rel='STYLESHEET preload' href=a.css><script type=module src=b.js></script>")
    odd.script["/other/a.css"] = (404, {}, b"")
    odd.script["/other/b.js"] = (200, {**HTML, "x-content-type-options": "nosniff"}, b"")
    result = _made(EXPLORER, odd, data)
    assert [finding.message for finding in result.findings] == [
        "the style /other/a.css of the web page answers 404",
        "browsers leave out the script /other/b.js, because its type is text/html",
    ]


def test_who_is_sent_to_a_login_page_has_got_nothing(odd: Odd, data: TestData) -> None:
    odd.default = (302, {"location": "https://login.example.org/"}, b"")
    assert _made(ANONYMOUS, odd, data).status is Status.PASSED
    odd.script = {"/instances": (400, {}, b"")}
    result = _made(ANONYMOUS, odd, data)
    assert result.message == "GET /instances is answered with 400 to somebody who has not logged in"


# DICOMweb ------------------------------------------------------------------------------------------------------------


def _dicomweb(odd: Odd, root: str) -> None:
    described = {"RootUri": f"..{root}app/client/index.html", "Version": "1.20"}
    odd.script["/plugins/dicom-web"] = (200, JSON, json.dumps(described).encode())


def test_a_study_that_is_there_twice_is_found(odd: Odd, data: TestData) -> None:
    _dicomweb(odd, "/other-root/")
    odd.script["/other-root/studies"] = (200, JSON, b"[{}, {}]")
    result = _made(QIDO, odd, data)
    assert "gives 2 matches instead of one" in result.message
    odd.script["/other-root/studies"] = (204, {}, b"")
    assert "gives 0 matches instead of one" in _made(QIDO, odd, data).message


def _files(odd: Odd, data: TestData, *files: bytes, kind: str = "application/dicom", end: bytes = b"--") -> None:
    _dicomweb(odd, "/dicom-web/")
    body = b"".join(b"\r\n--of parts\r\nContent-Type: %s\r\n\r\n%s" % (kind.encode(), file) for file in files)
    path = f"/dicom-web/studies/{data.study}/series/{data.series}/instances/{data.ct.sop_instance}"
    head = {"content-type": 'Multipart/Related; TYPE="application/dicom"; Boundary="of parts"'}
    odd.script[path] = (200, head, body + b"\r\n--of parts" + end)


def test_the_instance_comes_back_byte_for_byte_or_the_check_tells(odd: Odd, data: TestData) -> None:
    file = data.ct.path.read_bytes()
    _files(odd, data, file)
    assert _made(WADO, odd, data).status is Status.PASSED
    _files(odd, data, file[:-1] + bytes([file[-1] ^ 1]))
    assert "is not what was sent: other pixel data" in _made(WADO, odd, data).message
    _files(odd, data, file.replace(b"Orthweb validation", b"orthweb validation"))
    assert _made(WADO, odd, data).message.endswith("other values of StudyDescription")
    _files(odd, data, file.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0"))
    assert "it comes in RLE Lossless, and was sent in" in _made(WADO, odd, data).message
    _files(odd, data, b"no file")
    assert _made(WADO, odd, data).message == "what WADO-RS gives back is no DICOM file"
    _files(odd, data, file, file)
    assert _made(WADO, odd, data).message == "WADO-RS gives 2 parts for one instance"
    _files(odd, data, file, kind="text/plain")
    assert "a part of type text/plain" in _made(WADO, odd, data).message
    _files(odd, data, file, end=b"")
    assert "cannot be read" in _made(WADO, odd, data).message


def test_an_image_is_taken_from_orthanc_when_dicomweb_is_too_old_to_render(odd: Odd, data: TestData) -> None:
    _dicomweb(odd, "/dicom-web/")
    preview = f"/instances/{data.orthanc_instance(data.ct)}/preview"
    side = phantom.SIDE
    odd.script[preview] = (200, {"content-type": "image/png"}, _png(side, side))
    result = _made(RENDERED, odd, data)
    assert (result.status, result.message) == (Status.PASSED, f"PNG of {side} x {side} pixels from Orthanc")
    odd.script[preview] = (200, {}, _png(side, 255))
    assert f"{side} x 255 pixels instead of {side} x {side}" in _made(RENDERED, odd, data).message
    odd.script[preview] = (200, {}, b"<html>")
    assert "gives no image: it is neither PNG nor JPEG" in _made(RENDERED, odd, data).message


def test_values_of_dicom_json_are_read_whatever_they_are() -> None:
    assert value({"00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^B"}]}}, "00100010") == "A^B"
    assert value({"00201206": {"vr": "IS", "Value": [1]}}, "00201206") == "1"
    broken: list[Any] = [None, [], {}, {"00100010": None}, {"00100010": {"Value": []}}, {"00100010": {"Value": 3}}]
    assert [value(each, "00100010") for each in broken] == [""] * len(broken)


# Parts and pictures --------------------------------------------------------------------------------------------------

BODY = b'--b\r\nContent-Type: a/b; c="d"\r\n\r\none\r\n--b\t \r\n\r\ntwo\r\n\r\n--b--\r\nepilogue'


@pytest.mark.parametrize("before", [b"", b"\r\n", b"preamble\r\n"])
def test_parts_are_taken_apart_exactly(before: bytes) -> None:
    parts = split("multipart/mixed; boundary=b", before + BODY)
    assert [part.body for part in parts] == [b"one", b"two\r\n"]
    assert parts[0].headers == {"content-type": 'a/b; c="d"'}
    assert parts[1].headers == {}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", BODY),
        ("multipart/mixed", BODY),
        ("multipart/mixed; boundary=" + "b" * 71, BODY),
        ("multipart/mixed; boundary=other", BODY),
        ("multipart/mixed; boundary=b", BODY[:-12]),
        ("multipart/mixed; boundary=b", b"--bb\r\n\r\none\r\n--b--"),
        ("multipart/mixed; boundary=b", b"--b\r\nno colon\r\n\r\none\r\n--b--"),
        ("multipart/mixed; boundary=b", b"--b\r\nname: value\r\none\r\n--b--"),
        ("multipart/mixed; boundary=b", b""),
        ("", BODY),
    ],
)
def test_what_is_not_in_parts_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"^(it|its|no|a|the) "):
        split(content_type, body)


def test_a_type_is_read_with_its_parameters() -> None:
    assert parameters('Multipart/Related; TYPE="application/dicom"; Boundary="a; b"') == (
        "multipart/related",
        {"type": "application/dicom", "boundary": "a; b"},
    )


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * (width + 1) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _jpeg(width: int, height: int) -> bytes:
    frame = b"\xff\xc1\x00\x0b\x0c" + struct.pack(">HH", height, width) + b"\x01\x01\x11\x00"
    return b"\xff\xd8\xff\xe0\x00\x04JF\xff\xff\xc4\x00\x03\x00" + frame + b"\xff\xda\x00\x02data\xff\xd9"


def test_kind_and_size_of_a_picture_are_seen() -> None:
    assert picture.look_at(_png(300, 200)) == picture.Picture("PNG", 300, 200)
    assert picture.look_at(_jpeg(300, 200)) == picture.Picture("JPEG", 300, 200)


@pytest.mark.parametrize(
    "image", [b"", b"GIF89a", _png(9, 9)[:-1], _png(9, 9)[:20], _jpeg(9, 9)[:-1], b"\xff\xd8\xff\xd9", b"\xff\xd8" * 9]
)
def test_a_picture_that_is_cut_off_is_none(image: bytes) -> None:
    with pytest.raises(ValueError, match=r"^(it is neither|the (PNG|JPEG) )"):
        picture.look_at(image)


# Options -------------------------------------------------------------------------------------------------------------


def test_options_are_named_by_their_paths_and_secrets_are_not_shown() -> None:
    shown = dict(
        options(
            {
                "Name": "own",
                "DatabaseServerIdentifier": "own",
                "DicomAet": "ORTHANC",
                "AuthenticationEnabled": True,
                "PostgreSQL": {"ConnectionUri": "postgresql://u:hush@h/d", "Password": 12345, "Lock": False},
                "OrthancPeers": {"far": ["https://far/", "me", "hush"]},
                "Dictionary": {},
            }
        )
    )
    assert set(shown) == {
        "DicomAet",
        "AuthenticationEnabled",
        "PostgreSQL.ConnectionUri",
        "PostgreSQL.Password",
        "PostgreSQL.Lock",
        "OrthancPeers.far",
        "Dictionary",
    }
    assert (shown["DicomAet"], shown["AuthenticationEnabled"], shown["PostgreSQL.Lock"]) == ("ORTHANC", "true", "false")
    assert "hush" not in str(shown) and "12345" not in str(shown)


def test_options_that_are_not_shown_still_differ() -> None:
    first, second = (dict(options({"Password": password})) for password in ("one", "two"))
    assert len(differences({"a": first, "b": second})) == 1
    assert differences({"a": first, "b": dict(options({"Password": "one"}))}) == []
    long = [dict(options({"Text": "x" * 500 + end})) for end in "ab"]
    assert len(differences({"a": long[0], "b": long[1]})) == 1


def test_what_most_servers_have_comes_first() -> None:
    found = {"a": {"x": 1}, "b": {"x": 2}, "c": {"x": 2}, "d": {}}
    assert differences(found) == ["x is 2 at b, c, and 1 at a, and not there at d"]

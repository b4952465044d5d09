"""Who gets in through the web port and what they get, seen with curl."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from pathlib import Path

import pydicom
import pytest
from doors import (
    HAS_IPV6,
    Stalled,
    assert_secure,
    half_client_hello,
    http_answer,
    lax_server,
    log_entry,
    replicas_of,
    s_client,
)
from harness import TestSite
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from orthweb.site.model import HEALTH_USER
from orthweb.site.paths import SitePaths
from orthweb.site.secrets import read_users

HANDSHAKE_SECONDS, GRACE_SECONDS = 10, 5
BIG_MB = 100


# Who comes in --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/system", "/instances", "/app/explorer.html", "/dicom-web/studies", "/nothing"])
def test_who_does_not_log_in_gets_nothing(site: TestSite, path: str) -> None:
    status, headers, body = http_answer(site.curl(path, "--include", user=None))
    assert (status, body) == (401, "")
    assert headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    "login", ["orthanc:orthanc", "admin:admin", "admin:orthanc", "admin:", f"{HEALTH_USER}:{HEALTH_USER}", "root:root"]
)
def test_well_known_logins_do_not_work(site: TestSite, login: str) -> None:
    assert site.status_code("/system", "--user", login, user=None) == 401


def test_a_user_logs_in_with_the_password_that_orthweb_shows(site: TestSite) -> None:
    assert site.json("/system")["DicomAet"] == "ORTHANC"
    assert site.status_code("/app/explorer.html") == 200


@pytest.mark.parametrize(
    "path",
    ["/instances", "/patients", "/studies", "/statistics", "/tools/now", "/app/explorer.html", "/dicom-web/studies"],
)
def test_the_account_of_the_health_check_sees_no_patients(site: TestSite, path: str) -> None:
    login = f"{HEALTH_USER}:{read_users(SitePaths(site.folder))[HEALTH_USER]}"
    assert site.status_code("/changes?last", "--user", login, user=None) == 200, "the account itself works"
    for trick in (path, f"/changes/..{path}", f"/{path}", f"/changes/%2e%2e{path}"):
        assert site.status_code(trick, "--path-as-is", "--user", login, user=None) in (401, 403), trick
    assert site.status_code("/changes", "--request", "DELETE", "--user", login, user=None) in (401, 403)


# TLS and HTTP --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_plain_http_on_the_https_port_is_redirected(site: TestSite, method: str) -> None:
    words = ["--include", "--request", method]
    status, headers, _ = http_answer(site.curl("/app/explorer.html?a=1&b=%20", *words, user=None, scheme="http"))
    assert status == 308
    assert headers["location"] == f"https://localhost:{site.web_port}/app/explorer.html?a=1&b=%20"
    # RFC 6797 section 7.2: never over plain HTTP.
    assert "strict-transport-security" not in headers


@pytest.mark.parametrize(
    ("path", "status"),
    [("/system", 200), ("/nothing", 404), ("/healthz", 200), ("/%00", 400)],
)
def test_every_answer_has_the_security_headers(site: TestSite, path: str, status: int) -> None:
    found, headers, _ = http_answer(site.curl(path, "--include"))
    assert found == status
    assert_secure(headers)


def test_a_refused_login_has_the_security_headers(site: TestSite) -> None:
    found, headers, _ = http_answer(site.curl("/system", "--include", user=None))
    assert found == 401
    assert_secure(headers)


@pytest.mark.parametrize(("option", "version"), [("--http2", "2"), ("--http1.1", "1.1")])
def test_both_versions_of_http_work(site: TestSite, option: str, version: str) -> None:
    done = site.curl("/system", option, "--output", "/dev/null", "--write-out", "%{http_version} %{http_code}")
    assert done.out == f"{version} 200"


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_tls_is_refused(site: TestSite, tmp_path: Path, version: str) -> None:
    with lax_server(tmp_path) as lax:
        assert s_client(lax, version).status == 0, "the client itself cannot speak it"
    done = s_client(site.web_port, version)
    assert done.status != 0
    assert "alert protocol version" in done.err


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
def test_the_site_answers_over_ipv6(site: TestSite) -> None:
    done = site.curl("/system", "--ipv6", "--output", "/dev/null", "--write-out", "%{remote_ip} %{http_code}")
    assert done.out == "::1 200"


def test_stalled_handshakes_hold_up_nobody_and_are_closed(site: TestSite) -> None:
    with contextlib.ExitStack() as stack:
        stalled = Stalled(stack, site.web_port, 100, half_client_hello())
        assert site.status_code("/system") == 200
        assert stalled.still_open() == 100
        stalled.wait_closed(HANDSHAKE_SECONDS + GRACE_SECONDS)


def test_the_proxy_listens_nowhere_but_on_the_ports_of_the_description(site: TestSite) -> None:
    sockets = {os.readlink(handle) for handle in Path(f"/proc/{site.pid('envoy')}/fd").iterdir()}
    listening = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        lines = Path(table).read_text().splitlines()[1:] if Path(table).exists() else []
        for _, local, _, state, *_, inode in (line.split()[:10] for line in lines):
            if state == "0A" and f"socket:[{inode}]" in sockets:
                listening.add(int(local.rpartition(":")[2], 16))
    assert listening == {site.web_port, site.dicom_port}


# What it does --------------------------------------------------------------------------------------------------------


def test_healthz_answers_without_a_login(site: TestSite) -> None:
    status, _, body = http_answer(site.curl("/healthz", "--include", user=None))
    assert (status, body) == (200, "")


def test_an_upload_and_a_download_of_100_mb_are_not_cut(site: TestSite, tmp_path: Path) -> None:
    big, back = tmp_path / "big.dcm", tmp_path / "back.dcm"
    _make_multiframe(big, BIG_MB)
    done = site.curl("/instances", "--request", "POST", "--upload-file", str(big))
    stored = json.loads(done.out)
    assert stored["Status"] == "Success", done.all
    try:
        assert site.curl(f"/instances/{stored['ID']}/file", "--fail", "--output", str(back)).status == 0
        assert _sha256(back) == _sha256(big)
    finally:
        site.curl(f"/instances/{stored['ID']}", "--request", "DELETE")


def test_dicomweb_answers_with_addresses_that_work_from_outside(site: TestSite) -> None:
    sample = get_testdata_file("CT_small.dcm")
    assert site.store(str(sample)).status == 0
    dataset = pydicom.dcmread(str(sample))
    base = f"https://localhost:{site.web_port}"
    (study,) = site.json(f"/dicom-web/studies?StudyInstanceUID={dataset.StudyInstanceUID}")
    (url,) = study["00081190"]["Value"]
    assert url == f"{base}/dicom-web/studies/{dataset.StudyInstanceUID}"
    for _ in ("the site's own", "whatever a client says it is called"):
        (instance,) = site.json(url.removeprefix(base) + "/metadata", "--header", "Forwarded: host=evil;proto=http")
        bulk = instance["7FE00010"]["BulkDataURI"]
        assert bulk.startswith(url)
    done = site.curl(bulk.removeprefix(base), "--fail", "--output", "-")
    assert done.status == 0, done.err
    whole = site.curl(
        url.removeprefix(base), "--include", "--header", 'Accept: multipart/related; type="application/dicom"'
    )
    status, headers, _ = http_answer(whole)
    assert status == 200
    assert headers["content-type"].startswith("multipart/related")


def test_the_log_names_the_client_and_neither_patients_nor_passwords(site: TestSite) -> None:
    assert site.status_code("/dicom-web/studies?PatientName=Innermost^Secret", "--user-agent", "log-reader/1.0") == 200
    entry = log_entry(site, ["web"], agent="log-reader/1.0")
    assert re.fullmatch(r"127\.0\.0\.1:\d+|\[::1\]:\d+", entry["client"])
    assert (entry["method"], entry["path"], entry["status"]) == ("GET", "/dicom-web/studies", 200)
    assert entry["bytes_sent"] > 0
    assert entry["duration_ms"] >= 0
    assert entry["tls"] == "TLSv1.3"
    for log in (site.state / "logs").glob("*.log"):
        text = log.read_text()
        assert "Innermost" not in text, log
        assert site.password() not in text, log
        assert "basic " not in text.lower(), log
        assert "authorization" not in text.lower(), log


def test_a_session_stays_on_its_replica(site: TestSite, tmp_path: Path) -> None:
    jar = str(tmp_path / "cookies")
    for _ in range(30):
        words = ["--cookie", jar, "--cookie-jar", jar, "--user-agent", "one-session"]
        assert site.status_code("/system", *words) == 200
    assert len(replicas_of(site, "one-session", 30)) == 1
    # Sessions of their own are spread, or the first result would say nothing.
    for _ in range(30):
        assert site.status_code("/system", "--user-agent", "many-sessions") == 200
    assert len(replicas_of(site, "many-sessions", 30)) > 1
    cookie = http_answer(site.curl("/system", "--include"))[1]["set-cookie"]
    assert {"Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))


def _make_multiframe(path: Path, megabytes: int) -> None:
    dataset = pydicom.dcmread(str(get_testdata_file("MR_small.dcm")))
    dataset.Rows = dataset.Columns = 1024
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.NumberOfFrames = megabytes
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7.2"  # Multi-frame Grayscale Byte Secondary Capture
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.PixelData = os.urandom(1 << 20) * megabytes
    dataset.save_as(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

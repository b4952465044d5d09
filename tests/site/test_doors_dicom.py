"""Who gets in through the DICOM port and who doesn't, seen with DCMTK and OpenSSL."""

from __future__ import annotations

import contextlib
import datetime
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pydicom
import pydicom.data
import pytest
from doors import (
    HAS_IPV6,
    Stalled,
    dcmtk_options,
    half_client_hello,
    keep,
    lax_server,
    log_entry,
    relay,
    s_client,
    site_authority,
    talk,
)
from harness import TestSite, run

from orthweb.pki import ensure_authority
from orthweb.site.secrets import read_password

TEST_FILES = Path(pydicom.data.__file__).parent / "test_files"
CT = TEST_FILES / "CT_small.dcm"
SERIES = sorted(path for path in (TEST_FILES / "dicomdirtests/98892003").rglob("*") if path.is_file())
# What the site allows a handshake, and what a busy machine adds to it.
HANDSHAKE_SECONDS, GRACE_SECONDS = 10, 5


@pytest.fixture(scope="module")
def lax(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of a server that refuses nothing."""
    with lax_server(tmp_path_factory.mktemp("lax")) as port:
        yield port


def test_a_device_with_a_certificate_is_admitted(site: TestSite) -> None:
    echo, store = site.echo(), site.store(CT)
    assert (echo.status, store.status) == (0, 0), echo.all + store.all
    uid = str(pydicom.dcmread(CT, stop_before_pixels=True).SOPInstanceUID)
    found = json.loads(site.curl("/tools/lookup", "--data-binary", uid).out)
    assert [entry["Type"] for entry in found] == ["Instance"]


def test_a_device_without_a_certificate_is_refused(site: TestSite) -> None:
    anonymous = ["+tla", "-rc", "+cf", str(site.ca)]
    echo, store = site.echo(tls=anonymous), site.store(CT, tls=anonymous)
    assert echo.status != 0, echo.all
    assert store.status != 0, store.all
    assert "Association Request Failed" in echo.all


def test_a_device_of_another_authority_of_the_same_name_is_refused(site: TestSite, tmp_path: Path) -> None:
    other = ensure_authority(tmp_path / "other", f"{site.description.name} authority")
    assert other.certificate.subject == site_authority(site).certificate.subject
    done = site.echo(tls=dcmtk_options(keep(other.issue_client("device"), tmp_path, "device")))
    assert done.status != 0, done.all


@pytest.mark.parametrize(("start_in_days", "admitted"), [(-3, False), (0, True), (3, False)])
def test_a_device_is_admitted_only_while_its_certificate_is_valid(
    site: TestSite, tmp_path: Path, start_in_days: int, admitted: bool
) -> None:
    start = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=start_in_days)
    pair = keep(site_authority(site).issue_client("device", days=1, now=start), tmp_path, "device")
    done = site.echo(tls=dcmtk_options(pair))
    assert (done.status == 0) is admitted, done.all


def test_the_certificate_of_a_server_is_no_certificate_of_a_device(site: TestSite, tmp_path: Path) -> None:
    pair = keep(site_authority(site).issue_server(["localhost"]), tmp_path, "server")
    assert site.echo(tls=dcmtk_options(pair)).status != 0


def test_dicom_without_tls_is_refused(site: TestSite) -> None:
    echo, store = site.echo(tls=[]), site.store(CT, tls=[])
    assert echo.status != 0, echo.all
    assert store.status != 0, store.all


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_tls_is_refused(site: TestSite, lax: int, version: str) -> None:
    assert s_client(lax, version).status == 0, "the client itself cannot speak it"
    done = s_client(site.dicom_port, version, *_openssl_device(site))
    assert done.status != 0, done.all
    assert "alert protocol version" in done.err


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_current_tls_is_spoken(site: TestSite, version: str) -> None:
    done = s_client(site.dicom_port, version, "-CAfile", site.ca, *_openssl_device(site))
    assert done.status == 0, done.all
    assert "Verify return code: 0 (ok)" in done.out


# No forward secrecy, no authenticated encryption, no encryption, nobody authenticated.
@pytest.mark.parametrize(
    "cipher", ["AES128-GCM-SHA256", "AES128-SHA", "ECDHE-RSA-AES128-SHA256", "NULL-SHA256", "ADH-AES128-SHA"]
)
def test_weak_ciphers_are_refused(site: TestSite, lax: int, cipher: str) -> None:
    chosen = ["-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0"]
    assert s_client(lax, *chosen).status == 0, "the client itself cannot speak it"
    done = s_client(site.dicom_port, *chosen, *_openssl_device(site))
    assert done.status != 0, done.all
    assert "alert handshake failure" in done.err


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(random.Random(1).randbytes(100_000), id="random bytes"),
        pytest.param(bytes(100_000), id="zeros"),
        pytest.param(b"\x16\x03\x01\xff\xff" + random.Random(2).randbytes(1000), id="a TLS record too long"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", id="HTTP"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="SSH"),
    ],
)
def test_what_is_no_tls_is_hung_up_on(site: TestSite, words: bytes) -> None:
    answer = talk(site.dicom_port, words).answer
    # Nothing, or a TLS alert: 15H and 7 bytes.
    assert answer == b"" or (answer[0] == 0x15 and len(answer) == 7)
    assert site.echo().status == 0


def test_http_over_tls_gets_no_answer_from_the_dicom_port(site: TestSite) -> None:
    site.device()
    device = ["--cert", str(site.devices / "device.crt"), "--key", str(site.devices / "device.key")]
    command = ["curl", "--silent", "--noproxy", "*", "--http1.1", "--cacert", str(site.ca), *device]
    done = run([*command, "--write-out", "%{http_code}", f"https://localhost:{site.dicom_port}/"])
    assert done.status != 0
    assert done.out == "000"
    assert site.echo().status == 0


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
def test_the_dicom_port_answers_over_ipv6(site: TestSite) -> None:
    # DCMTK 3.6.7 itself knows IPv4 only.
    with relay(site.dicom_port, host="::1") as port:
        done = run(["echoscu", *site.device(), "-aec", "ORTHANC", "localhost", str(port)])
    assert done.status == 0, done.all


def test_another_called_ae_title_is_refused(site: TestSite) -> None:
    done = site.echo(options=["-aec", "SOMEBODY"])
    assert done.status != 0
    assert "Called AE Title Not Recognized" in done.all


def test_a_hundred_stalled_handshakes_hold_up_nobody_and_are_closed(site: TestSite) -> None:
    # The device's certificate is issued before the clock runs.
    assert site.echo().status == 0
    with contextlib.ExitStack() as stack:
        stalled = Stalled(stack, site.dicom_port, 100, half_client_hello())
        done = site.store(*SERIES)
        assert done.status == 0, done.all
        assert stalled.still_open() == 100, "they were gone before the store was over"
        stalled.wait_closed(HANDSHAKE_SECONDS + GRACE_SECONDS)
    uids = [str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in SERIES]
    found = [json.loads(site.curl("/tools/lookup", "--data-binary", uid).out) for uid in uids]
    assert len(found) >= 10
    assert all(found)


@pytest.mark.parametrize("replica", ["orthanc-1", "orthanc-2", "orthanc-3"])
def test_only_the_proxy_reaches_the_dicom_port_of_an_orthanc_server(site: TestSite, replica: str) -> None:
    port = str(_ports(site)[f"{replica}/dicom"])
    site.device()
    keys = {name: (folder / f"{name}.key", folder / f"{name}.crt") for name, folder in _key_folders(site).items()}

    def echo(tls: list[str]) -> int:
        return run(["echoscu", *tls, "-aec", "ORTHANC", "localhost", port]).status

    assert echo(dcmtk_options(keys["device"])) != 0
    assert echo(["+tla", "-ic"]) != 0
    assert echo([]) != 0
    # The port is alive: it was the certificates that did not do.
    assert echo(dcmtk_options(keys["envoy"])) == 0


@pytest.mark.parametrize("replica", ["orthanc-1", "orthanc-2", "orthanc-3"])
def test_only_the_proxy_reaches_the_web_port_of_an_orthanc_server(site: TestSite, replica: str) -> None:
    port = _ports(site)[f"{replica}/http"]
    site.device()

    def status_code(*words: str | Path, scheme: str = "https") -> str:
        command = ["curl", "--silent", "--insecure", "--noproxy", "*", "--output", "/dev/null"]
        return run([*command, "--write-out", "%{http_code}", *words, f"{scheme}://localhost:{port}/system"]).out

    def shown(name: str) -> list[str | Path]:
        folder = _key_folders(site)[name]
        return ["--cert", folder / f"{name}.crt", "--key", folder / f"{name}.key"]

    assert status_code() == "000"
    assert status_code(*shown("device")) == "000"
    assert status_code(scheme="http") == "000"
    # The port is alive, and asks for a password even then.
    assert status_code(*shown("envoy")) == "401"


def test_the_database_is_reached_with_tls_and_the_right_password_only(site: TestSite) -> None:
    def connect(**change: Any) -> None:
        right: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": _ports(site)["postgresql"],
            "dbname": "orthanc",
            "user": "orthanc",
            "password": read_password(site.state / "secrets/postgres-orthanc"),
            "sslmode": "verify-full",
            "sslrootcert": str(site.state / "pki/internal/ca.crt"),
        }
        psycopg.connect(**{**right, **change}).close()

    connect()
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        connect(sslmode="disable")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(password="orthanc")
    with pytest.raises(psycopg.OperationalError, match="password"):
        connect(user="postgres", dbname="postgres", password="postgres")


def test_the_log_says_who_sent_how_much_for_how_long(site: TestSite) -> None:
    assert site.store(CT, tls=site.device("ct-room-2")).status == 0
    entry = log_entry(site, ["dicom"], certificate_subject="CN=ct-room-2")
    assert entry["client"].rpartition(":")[0] == "127.0.0.1"
    assert entry["bytes_received"] >= len(pydicom.dcmread(CT).PixelData)
    assert entry["bytes_sent"] > 0
    assert 0 < entry["duration_ms"] < 60_000
    assert entry["tls"] in ("TLSv1.2", "TLSv1.3")
    assert entry["tls_failure"] is None
    replicas = {f"127.0.0.1:{port}" for name, port in _ports(site).items() if name.endswith("/dicom")}
    assert entry["replica"] in replicas


def test_the_log_says_who_was_refused_and_why(site: TestSite, tmp_path: Path) -> None:
    talked = talk(site.dicom_port, b"A-ASSOCIATE?")
    plain = log_entry(site, ["dicom", "refused"], talked.began, client=f"127.0.0.1:{talked.port}")
    assert "WRONG_VERSION_NUMBER" in plain["tls_failure"]
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=3)
    pair = keep(site_authority(site).issue_client("old-device", days=1, now=start), tmp_path, "old-device")
    assert site.echo(tls=dcmtk_options(pair)).status != 0
    expired = log_entry(site, ["dicom", "refused"], certificate_subject="CN=old-device")
    assert "certificate_has_expired" in expired["tls_failure"]


def _ports(site: TestSite) -> dict[str, int]:
    return dict(json.loads((site.state / "ports.json").read_text()))


def _key_folders(site: TestSite) -> dict[str, Path]:
    return {"device": site.devices, "envoy": site.state / "pki/internal"}


def _openssl_device(site: TestSite) -> list[str]:
    site.device()
    return ["-key", str(site.devices / "device.key"), "-cert", str(site.devices / "device.crt")]

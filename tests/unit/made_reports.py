"""Reports made by hand, for tests of what is made of them: every status, long and odd evidence, certificates."""

from __future__ import annotations

import datetime
import hashlib
import struct
import zlib

from orthweb.pki import CertificateInfo
from orthweb.validation.check import Check, Report, Result, Status
from orthweb.validation.look import Certificate, Evidence, Finding, Look

STARTED = datetime.datetime(2026, 11, 21, 16, 22, 5, tzinfo=datetime.UTC)
ODD = (
    "a\x00b\x1b[31mred\x1b[0m\x7f\x85 <script>alert(1)</script> ]]> &amp; \"quoted\" 'single'\r\nsecond line\rreturn\n"
    "\t\u05e9\u05dc\u05d5\u05dd, \u0639\u0627\u0644\u0645 \u202eback to front\u202c 心臓 🫀 \ud800 \uffff"
)
"""Text that breaks pages and XML: markup, control characters, both directions, half a surrogate pair."""


def png(width: int, height: int) -> bytes:
    """A grey image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes((x + y) % 256 for x in range(width)) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def made_check(name: str, proves: str = "Something holds.", guide: str = "") -> Check:
    return Check(name, proves, _nothing, guide=guide)


def made_certificate(use: str, since_days: int, days_left: int, fingerprint: str = "", **fields: str) -> Certificate:
    """A certificate that was issued so many days ago and is valid for so many more."""
    digest = hashlib.sha256(use.encode(errors="surrogatepass")).digest()
    texts = {"subject": f"CN={use}", "issuer": "CN=test authority", "key": "EC P-256"} | fields
    return Certificate(
        use,
        CertificateInfo(
            **texts,
            names=("pacs.example.org", "192.0.2.7"),
            serial="01:AB",
            fingerprint_sha256=fingerprint or digest.hex(":").upper(),
            not_before=STARTED - datetime.timedelta(days=since_days),
            not_after=STARTED + datetime.timedelta(days=days_left, hours=1),
            days_left=days_left,
            signature_algorithm="ecdsa-with-SHA256",
        ),
    )


def made_report(*results: Result, **fields: object) -> Report:
    texts = {"site": "pacs", "environment": "test", "owner": "Radiology", "address": "https://pacs.example.org"}
    values = {
        **texts,
        "started": STARTED,
        "seconds": 6.5,
        "results": results,
        "versions": {"Orthanc": "1.12.7", "PostgreSQL": "15.14"},
        "certificates": (),
    }
    return Report(**{**values, **fields})  # type: ignore[arg-type]


def troubled_report() -> Report:
    """A site with something of everything."""
    renewed = "'orthweb certs rotate' issues a new one, which Envoy takes up at once"
    return made_report(
        Result(
            made_check("network.web", "The web port takes connections.", "User Validation"),
            Status.PASSED,
            "pacs.example.org port 443 answers",
            evidence=(Evidence("connected to", "192.0.2.7 port 443"),),
            seconds=0.0123,
        ),
        Result(
            made_check("tls.web.days", "The certificate of the web port is valid for 30 days more."),
            Status.WARNING,
            "12 days are left",
            renewed,
            (Finding("12 days are left", renewed, serious=False),),
            (Evidence("certificate", "CN=pacs.example.org\nvalid to 2026-12-03"),),
            0.2,
        ),
        Result(
            made_check("tls.dicom.versions", "The DICOM port takes TLS 1.2 and 1.3, and nothing older."),
            Status.FAILED,
            "TLS 1.0 was accepted",
            "set tls.minimum to 1.2",
            (
                Finding("a cipher without forward secrecy was accepted", "leave tls.ciphers out", serious=False),
                Finding("TLS 1.0 was accepted", "set tls.minimum to 1.2"),
            ),
            (
                Evidence("ClientHello", "TLS 1.0, all ciphers of OpenSSL"),
                Evidence("odd", ODD),
                Evidence("long", "\n".join(f"line {number} " + "x" * (number % 300) for number in range(400))),
            ),
            1.25,
        ),
        Result(
            made_check("dicom.echo", "A device with a certificate of the site gets an answer to C-ECHO.", "echoscu"),
            Status.SKIPPED,
            "it needs tls.dicom.versions, which failed",
        ),
        Result(
            made_check("dicom.store", "A synthetic CT slice is stored with C-STORE.", "storescu"),
            Status.SKIPPED,
            "it needs tls.dicom.versions, which failed",
        ),
        Result(
            made_check("other.\u05d0\u05d1\u05d2", ODD, ODD),
            Status.FAILED,
            ODD,
            ODD,
            evidence=(Evidence(ODD, ODD),),
            seconds=15.0,
        ),
        image=png(64, 48),
        certificates=(
            made_certificate("authority", 10, 3640),
            made_certificate("device ct1", 900, -12),
            made_certificate("server " + ODD, 380, 12, subject=ODD, issuer=ODD),
        ),
    )


def _nothing(look: Look) -> str:
    raise AssertionError(f"nobody makes this check: {look}")

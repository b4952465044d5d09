"""An authority that only stand-ins trust: what AWS and the distribution's own authorities are outside of the tests."""

from __future__ import annotations

from pathlib import Path

from ground import CACHE, alone, sh

FOLDER = CACHE / "authority"


def authority() -> Path:
    """The authority's certificate, made once: it is part of the images and machines in the cache."""
    with alone("authority"):
        if not (FOLDER / "ca.crt").exists():
            FOLDER.mkdir(mode=0o700, exist_ok=True)
            sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-batch",
               "-days", "3650", "-subj", "/CN=Orthweb tests: stand-in for public authorities",
               "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
               "-keyout", FOLDER / "ca.key", "-out", FOLDER / "ca.new")  # fmt: skip
            (FOLDER / "ca.new").rename(FOLDER / "ca.crt")
    return FOLDER / "ca.crt"


def certificate(folder: Path, *names: str) -> tuple[Path, Path]:
    """Issue a server certificate for these names; gives the paths of certificate and key in `folder`."""
    trusted = authority()
    key, request, issued = folder / "server.key", folder / "server.csr", folder / "server.crt"
    folder.mkdir(parents=True, exist_ok=True)
    text = f"subjectAltName={','.join(f'DNS:{name}' for name in names)}\nextendedKeyUsage=serverAuth\n"
    (folder / "extensions").write_text(text)
    sh("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-batch",
       "-subj", f"/CN={names[0][:60]}", "-keyout", key, "-out", request)  # fmt: skip
    sh("openssl", "x509", "-req", "-in", request, "-CA", trusted, "-CAkey", FOLDER / "ca.key", "-days", "365",
       "-CAcreateserial",
       "-CAserial", folder / "serial", "-extfile", folder / "extensions", "-out", issued)  # fmt: skip
    return issued, key

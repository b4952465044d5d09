#!/usr/bin/python3
"""Ask the Orthanc of this container something that it looks up in its database; exit status 0 when it answers.

Address and credentials come from the configuration that the entry point wrote, as with the public image's probe;
a certificate of the caller's is given with `--certfile` and `--keyfile`.
"""

from __future__ import annotations

import argparse
import base64
import json
import ssl
import sys
import urllib.request
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("http_port", "http_scheme", "user", "pwd", "certfile", "keyfile", "keypwd"):
        parser.add_argument(f"--{name}")
    given = parser.parse_args()
    path = Path("/tmp/orthanc.json")
    settings = json.loads(path.read_text()) if path.exists() else {}
    users = settings.get("RegisteredUsers") or {}
    user, password = given.user, given.pwd
    if settings.get("AuthenticationEnabled") and users:
        user = user or next(iter(users))
        password = password or users.get(user)
    scheme = given.http_scheme or ("https" if settings.get("SslEnabled") or given.certfile else "http")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # As the public image's: it asks itself.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if given.certfile:
        context.load_cert_chain(given.certfile, given.keyfile, given.keypwd)
    port = given.http_port or settings.get("HttpPort", 8042)
    request = urllib.request.Request(f"{scheme}://localhost:{port}/changes?last")
    if user and password:
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    try:
        with urllib.request.urlopen(request, context=context if scheme == "https" else None) as answer:
            return 0 if answer.status == 200 else 1
    except OSError as error:
        print(error)
        return 1


sys.exit(main())

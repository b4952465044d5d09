"""A stand-in for EC2's instance metadata service, version 2 only, as a program: `python metadata_service.py FILE`.

FILE is JSON and read at every request: `user_data`, `tree` (what lies below `meta-data/`, nested), `document` (the
instance's identity) and `credentials` (of the role; `role` names it). It serves on 169.254.169.254, which the machine's
network namespace has on its loopback interface; a request without a token is refused, as with `http_tokens = required`.
"""

from __future__ import annotations

import datetime
import json
import re
import secrets
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Any

ADDRESS = "169.254.169.254"
_TOKENS: set[str] = set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "EC2ws"

    def do_PUT(self) -> None:
        lasts = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if not re.fullmatch("/[^/]+/api/token", self.path) or self.headers.get("X-Forwarded-For"):
            self._answer(403, "Forbidden")
        elif not lasts.isdigit() or not 1 <= int(lasts) <= 21600:
            self._answer(400, "Bad Request")
        else:
            token = secrets.token_urlsafe(40)
            _TOKENS.add(token)
            self._answer(200, token, {"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": lasts})

    def do_GET(self) -> None:
        if self.headers.get("X-aws-ec2-metadata-token") not in _TOKENS:
            self._answer(401, "Unauthorized")
            return
        told = json.loads(Path(sys.argv[1]).read_text())
        _, _version, *path = self.path.split("?")[0].split("/") if self.path != "/" else ["", ""]
        found = _look(told, path)
        if found is None:
            self._answer(404, "Not Found")
        else:
            self._answer(200, found)

    def _answer(self, status: int, text: str, more: dict[str, str] | None = None) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "text/plain", "Content-Length": str(len(body)), **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *words: Any) -> None:
        # Who asks with which token is nobody's business; what was asked helps.
        sys.stderr.write(f"{self.command} {self.path} {words[1] if len(words) > 1 else ''}\n")


def _look(told: dict[str, Any], path: list[str]) -> str | None:
    """Find what is at a path below a version; a folder is the list of what it holds."""
    if path in ([], [""]):
        return "dynamic\nmeta-data\nuser-data"
    if path == ["user-data"]:
        return told.get("user_data")
    tree: Any = {"instance-identity": {"document": json.dumps(told["document"])}}
    if path[0] == "meta-data":
        tree = dict(told["tree"])
    elif path[0] != "dynamic":
        return None
    if path[0] == "meta-data" and told.get("role"):
        arn = f"arn:aws:iam::123456789012:instance-profile/{told['role']}"
        tree["iam"] = {
            "info": json.dumps({"Code": "Success", "InstanceProfileArn": arn}),
            "security-credentials": {told["role"]: _credentials(told)},
        }
    for word in filter(None, path[1:]):
        tree = tree.get(word) if isinstance(tree, dict) else None
    if isinstance(tree, dict):
        return "\n".join(f"{name}/" if isinstance(tree[name], dict) else name for name in sorted(tree))
    return None if tree is None else str(tree)


def _credentials(told: dict[str, Any]) -> str:
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    return json.dumps(
        {
            "Code": "Success",
            "LastUpdated": now.isoformat().replace("+00:00", "Z"),
            "Type": "AWS-HMAC",
            **told["credentials"],
            "Expiration": (now + datetime.timedelta(hours=6)).isoformat().replace("+00:00", "Z"),
        },
        indent=2,
    )


if __name__ == "__main__":
    # HTTPServer would look its own name up first, and in this network nobody answers that.
    ThreadingTCPServer.allow_reuse_address, ThreadingTCPServer.daemon_threads = True, True
    with ThreadingTCPServer((ADDRESS, 80), _Handler) as server:
        server.serve_forever()

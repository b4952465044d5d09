"""Asks the processes of a site how they are, from inside: each Orthanc over HTTPS, Envoy over its socket."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
from pathlib import Path
from typing import Any

from orthweb.site.model import HEALTH_USER, INTERNAL_NAME


class OrthancProbe:
    """Speaks to the Orthanc servers as the proxy does: with its certificate and the health check's account."""

    def __init__(self, internal_pki: Path, password: str) -> None:
        self._context = ssl.create_default_context(cafile=str(internal_pki / "ca.crt"))
        self._context.load_cert_chain(internal_pki / "envoy.crt", internal_pki / "envoy.key")
        self._authorization = "Basic " + base64.b64encode(f"{HEALTH_USER}:{password}".encode()).decode()

    def healthy(self, port: int, timeout: float = 2, host: str = "127.0.0.1") -> bool:
        """Whether the Orthanc server on this port reaches its database."""
        return self.get(port, "/changes?last", timeout, host) is not None

    def get(self, port: int, path: str, timeout: float = 2, host: str = "127.0.0.1") -> Any:
        """Read a resource as JSON; None when it isn't to be had."""
        try:
            plain = socket.create_connection((host, port), timeout)
            with plain, self._context.wrap_socket(plain, server_hostname=INTERNAL_NAME) as secure:
                return _request(secure, path, {"Authorization": self._authorization})
        except (OSError, http.client.HTTPException, ValueError):
            return None


def envoy_admin(admin: Path, path: str, method: str = "GET", timeout: float = 5) -> str | None:
    """Ask Envoy's administration socket; None when it doesn't answer 200."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(str(admin))
            status, body = _exchange(connection, path, {}, method)
            return body if status == 200 else None
    except (OSError, http.client.HTTPException):
        return None


def healthy_hosts(admin: Path) -> dict[str, dict[str, bool]]:
    """Which endpoints Envoy holds for healthy: cluster name to address to health. Empty when Envoy doesn't answer."""
    answer = envoy_admin(admin, "/clusters?format=json")
    if answer is None:
        return {}
    clusters: dict[str, dict[str, bool]] = {}
    for cluster in json.loads(answer).get("cluster_statuses", []):
        hosts = clusters.setdefault(cluster["name"], {})
        for host in cluster.get("host_statuses", []):
            address = host["address"]["socket_address"]
            failed = any(value for key, value in host["health_status"].items() if key.startswith("failed_"))
            pending = host["health_status"].get("pending_active_hc", False)
            hosts[f"{address['address']}:{address['port_value']}"] = not failed and not pending
    return clusters


def _request(connection: socket.socket, path: str, headers: dict[str, str]) -> Any:
    status, body = _exchange(connection, path, headers, "GET")
    return json.loads(body) if status == 200 else None


def _exchange(connection: socket.socket, path: str, headers: dict[str, str], method: str) -> tuple[int, str]:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if method == "POST":
        lines.append("Content-Length: 0")
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return response.status, response.read().decode(errors="replace")

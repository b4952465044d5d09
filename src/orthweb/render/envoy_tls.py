"""TLS in the proxy's configuration: what it shows, what it asks of clients, how it speaks to Orthanc."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from orthweb.render.place import Place
from orthweb.site.model import INTERNAL_NAME, ClientCertificates

# Forward secrecy and authenticated encryption only; TLS 1.3 has no others.
_CIPHERS = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
]
_TLS = "envoy.extensions.transport_sockets.tls.v3."


def typed(kind: str, **fields: Any) -> dict[str, Any]:
    """Make a typed configuration of the protobuf message `kind`."""
    return {"@type": f"type.googleapis.com/{kind}", **fields}


def server_secret(certificate: PurePosixPath, key: PurePosixPath) -> dict[str, Any]:
    """Make what Envoy watches for the site's certificate: renaming this file swaps it with its key in one step."""
    pair = {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(key)}}
    return _secret("server", {"tls_certificate": pair})


def devices_secret(authority: PurePosixPath) -> dict[str, Any]:
    """Make what Envoy watches for the authority of the devices' certificates."""
    return _secret("devices", {"validation_context": {"trusted_ca": {"filename": str(authority)}}})


def downstream_tls(
    place: Place, alpn: Sequence[str] = (), clients: ClientCertificates = ClientCertificates.OFF
) -> dict[str, Any]:
    """Make the transport socket that shows the site's certificate and asks `clients` of the other side."""
    common: dict[str, Any] = {
        "tls_params": {
            "tls_minimum_protocol_version": "TLSv1_2",
            "tls_maximum_protocol_version": "TLSv1_3",
            "cipher_suites": _CIPHERS,
        },
        "tls_certificate_sds_secret_configs": [_watched(place, "server")],
    }
    if alpn:
        common["alpn_protocols"] = list(alpn)
    if clients is not ClientCertificates.OFF:
        common["validation_context_sds_secret_config"] = _watched(place, "devices")
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": typed(
            f"{_TLS}DownstreamTlsContext",
            require_client_certificate=clients is ClientCertificates.REQUIRED,
            common_tls_context=common,
        ),
    }


def upstream_tls(place: Place, authority: PurePosixPath) -> dict[str, Any]:
    """Make the transport socket to an Orthanc server: each side shows and verifies a certificate.

    Parameters
    ----------
    authority:
        Who signed what the Orthanc server shows, as a file.
    """
    internal = place.files.pki / "internal"
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": typed(
            f"{_TLS}UpstreamTlsContext",
            sni=INTERNAL_NAME,
            common_tls_context={
                "tls_params": {
                    "tls_minimum_protocol_version": "TLSv1_2",
                    "tls_maximum_protocol_version": "TLSv1_3",
                },
                "tls_certificates": [
                    {
                        "certificate_chain": {"filename": str(internal / "envoy.crt")},
                        "private_key": {"filename": str(internal / "envoy.key")},
                    }
                ],
                "validation_context": {
                    "trusted_ca": {"filename": str(authority)},
                    "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": INTERNAL_NAME}}],
                },
            },
        ),
    }


def _watched(place: Place, name: str) -> dict[str, Any]:
    path: PurePosixPath = place.files.config / f"envoy/sds-{name}.yaml"
    return {
        "name": name,
        "sds_config": {"resource_api_version": "V3", "path_config_source": {"path": str(path)}},
    }


def _secret(name: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"resources": [typed(f"{_TLS}Secret", name=name, **content)]}

"""The proxy's DICOM listeners: associations, whole and authenticated, and only then a connection to Orthanc."""

from __future__ import annotations

from typing import Any

from orthweb.render.envoy_clusters import DICOM_CLUSTER
from orthweb.render.envoy_listener import HANDSHAKE, listener, rbac
from orthweb.render.envoy_log import access_log, dicom_log
from orthweb.render.envoy_tls import downstream_tls, typed
from orthweb.render.gate import LONGEST_REQUEST
from orthweb.render.place import Place
from orthweb.site.model import PlaintextDicom, Site

_MOST_CONNECTIONS = 1024
# For the request, from the TCP connection on, and then for Orthanc's answer.
_GATE_MS = 15_000


def dicom_listener(site: Site, place: Place) -> dict[str, Any]:
    """Make the listener that ends TLS and verifies the device's certificate."""
    dicom = site.dicom
    return listener(
        "dicom",
        place,
        dicom.port,
        dicom.allowed_cidrs,
        [
            {
                "name": "dicom",
                "transport_socket_connect_timeout": HANDSHAKE,
                "transport_socket": downstream_tls(place, clients=dicom.client_certificates),
                "filters": [rbac("dicom", place, dicom.allowed_cidrs), *_association(place, "dicom")],
            }
        ],
    )


def plaintext_listener(place: Place, plaintext: PlaintextDicom) -> dict[str, Any]:
    """Make the listener for devices without TLS."""
    return listener(
        "dicom-plaintext",
        place,
        plaintext.port,
        plaintext.allowed_cidrs,
        [
            {
                "name": "dicom-plaintext",
                "filters": [
                    rbac("dicom-plaintext", place, plaintext.allowed_cidrs),
                    *_association(place, "dicom-plaintext"),
                ],
            }
        ],
    )


def _association(place: Place, name: str) -> list[dict[str, Any]]:
    return [
        {
            "name": "envoy.filters.network.connection_limit",
            "typed_config": typed(
                "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
                stat_prefix=name,
                max_connections=_MOST_CONNECTIONS,
            ),
        },
        _gate(place),
        {
            "name": "envoy.filters.network.tcp_proxy",
            "typed_config": typed(
                "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                stat_prefix=name,
                cluster=DICOM_CLUSTER,
                # Orthanc accepts one connection at a time: it is dialled once the gate lets a request through.
                upstream_connect_mode="ON_DOWNSTREAM_DATA",
                max_early_data_bytes=LONGEST_REQUEST,
                max_connect_attempts=3,
                idle_timeout="3600s",
                access_log=[access_log(place, "dicom", dicom_log())],
            ),
        },
    ]


def _gate(place: Place) -> dict[str, Any]:
    """Make the filter that holds a client back until its whole A-ASSOCIATE-RQ is there."""
    return {
        "name": "envoy.filters.network.wasm",
        "typed_config": typed(
            "envoy.extensions.filters.network.wasm.v3.Wasm",
            config={
                "name": "associate_gate",
                "failure_policy": "FAIL_RELOAD",
                "configuration": typed("google.protobuf.StringValue", value=str(_GATE_MS)),
                "vm_config": {
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": str(place.files.gate)}},
                },
            },
        ),
    }

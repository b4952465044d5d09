"""The proxy's access logs: who connected, with which certificate, how much, for how long."""

from __future__ import annotations

from typing import Any

from orthweb.render.envoy_tls import typed
from orthweb.render.place import Place

_CONNECTION = {
    "time": "%START_TIME%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "certificate_subject": "%DOWNSTREAM_PEER_SUBJECT%",
    "certificate_serial": "%DOWNSTREAM_PEER_SERIAL%",
    "tls": "%DOWNSTREAM_TLS_VERSION%",
    "tls_failure": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
    "replica": "%UPSTREAM_HOST%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration_ms": "%DURATION%",
    "flags": "%RESPONSE_FLAGS%",
}


def dicom_log() -> dict[str, str]:
    """One line a DICOM connection.

    The bytes are those on the wire: what the gate holds back would be counted again at every read.
    """
    return {
        **_CONNECTION,
        "bytes_received": "%DOWNSTREAM_WIRE_BYTES_RECEIVED%",
        "bytes_sent": "%DOWNSTREAM_WIRE_BYTES_SENT%",
        "refused": "%FILTER_STATE(wasm.associate_gate:PLAIN)%",
    }


def web_log() -> dict[str, str]:
    """One line a request; the query string may name a patient and is left out."""
    return {
        **_CONNECTION,
        "method": "%REQ(:METHOD)%",
        "path": "%PATH(NQ)%",
        "status": "%RESPONSE_CODE%",
        "protocol": "%PROTOCOL%",
        "agent": "%REQ(USER-AGENT)%",
    }


def access_log(place: Place, name: str, fields: dict[str, str]) -> dict[str, Any]:
    """Make an access log of JSON lines: `name`.log in the site's folder of logs, or lines with `log` on the output."""
    kind = "envoy.extensions.access_loggers"
    if place.files.logs is None:
        stream = typed(f"{kind}.stream.v3.StdoutAccessLog", log_format={"json_format": {"log": name, **fields}})
        return {"name": "envoy.access_loggers.stdout", "typed_config": stream}
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": typed(
            f"{kind}.file.v3.FileAccessLog",
            path=str(place.files.logs / f"{name}.log"),
            log_format={"json_format": fields},
        ),
    }

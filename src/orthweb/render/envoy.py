"""The configuration of the Envoy proxy, as data: two TLS listeners in front of the Orthanc servers."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Container, Sequence
from pathlib import PurePosixPath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.representer import RoundTripRepresenter

from orthweb.render.envoy_clusters import WEB_CLUSTER, clusters, endpoints
from orthweb.render.envoy_dicom import dicom_listener, plaintext_listener
from orthweb.render.envoy_listener import HANDSHAKE, listener, rbac, tls_inspector
from orthweb.render.envoy_log import access_log, web_log
from orthweb.render.envoy_tls import devices_secret, downstream_tls, server_secret, typed
from orthweb.render.place import Place, Rendered, Secrets
from orthweb.site.model import HEALTH_USER, Site

_DAY = 24 * 3600


def envoy_files(site: Site, place: Place, secrets: Secrets) -> dict[str, Rendered]:
    """Make `envoy.yaml`, which holds the health check's password, and the files that Envoy watches."""
    files = place.files
    return {
        "envoy/envoy.yaml": Rendered(_dump(_bootstrap(site, place, secrets)), secret=True),
        "envoy/sds-devices.yaml": Rendered(_dump(devices_secret(files.pki / "ca.crt"))),
        **server_files(files.server_certificate, files.server_key),
        **endpoint_files(place),
    }


def endpoint_files(place: Place, leaving: Container[str] = ()) -> dict[str, Rendered]:
    """Make the files that tell a running proxy which replicas get something new: not those that are `leaving`."""
    return {path: Rendered(_dump(content)) for path, content in endpoints(place, leaving).items()}


def server_files(certificate: PurePosixPath, key: PurePosixPath) -> dict[str, Rendered]:
    """Make the file that swaps the site's certificate on a running proxy."""
    return {"envoy/sds-server.yaml": Rendered(_dump(server_secret(certificate, key)))}


def _bootstrap(site: Site, place: Place, secrets: Secrets) -> dict[str, Any]:
    listeners = [_web_listener(site, place), dicom_listener(site, place)]
    if site.web.redirect_port is not None:
        listeners.append(_redirect_listener(site, place, site.web.redirect_port))
    if site.dicom.plaintext is not None:
        listeners.append(plaintext_listener(place, site.dicom.plaintext))
    credentials = f"{HEALTH_USER}:{secrets.users[HEALTH_USER]}".encode()
    return {
        "node": {"id": site.name, "cluster": "orthweb"},
        # A socket in a folder of mode 0700: whoever reaches the administration can stop the proxy.
        "admin": {"address": {"pipe": {"path": str(place.files.run / "envoy.sock"), "mode": 0o600}}},
        "static_resources": {
            "listeners": listeners,
            "clusters": clusters(place, "Basic " + base64.b64encode(credentials).decode()),
        },
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": typed(
                        "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                        max_active_downstream_connections=4096,
                    ),
                }
            ]
        },
    }


def _web_listener(site: Site, place: Place) -> dict[str, Any]:
    # Plain HTTP that arrives on the HTTPS port is told the way instead of being hung up on.
    return listener(
        "web",
        place,
        site.web.port,
        site.web.allowed_cidrs,
        [
            {
                "name": "https",
                "filter_chain_match": {"transport_protocol": "tls"},
                "transport_socket_connect_timeout": HANDSHAKE,
                "transport_socket": downstream_tls(place, alpn=["h2", "http/1.1"]),
                "filters": [rbac("web", place, site.web.allowed_cidrs), _http(place)],
            },
            {
                "name": "redirect",
                "filter_chain_match": {"transport_protocol": "raw_buffer"},
                "filters": [rbac("web", place, site.web.allowed_cidrs), _redirect(place, site.web.port)],
            },
        ],
        listener_filters=[tls_inspector()],
    )


def _redirect_listener(site: Site, place: Place, port: int) -> dict[str, Any]:
    return listener(
        "redirect",
        place,
        port,
        site.web.allowed_cidrs,
        [
            {
                "name": "redirect",
                "filters": [rbac("redirect", place, site.web.allowed_cidrs), _redirect(place, site.web.port)],
            }
        ],
    )


def _http(place: Place) -> dict[str, Any]:
    return _connection_manager(
        "web",
        place,
        http_filters=[_healthz(), _router()],
        virtual_host={
            "name": "orthanc",
            "domains": ["*"],
            # What only reads may be asked of another server even when one broke off while it answered.
            "routes": [_route(_retry_policy("reset"), headers=[_READS]), _route(_retry_policy("reset-before-request"))],
            # Orthanc would make its DICOMweb addresses from what a client says here.
            "request_headers_to_remove": ["forwarded"],
            "response_headers_to_add": _security_headers(),
            "response_headers_to_remove": ["server"],
        },
        # What Envoy answers before it has found a route, such as 400 for a malformed path.
        local_reply_config={"mappers": [{"filter": _any_error(), "headers_to_add": _security_headers()}]},
    )


_SECURITY_HEADERS = {
    "strict-transport-security": f"max-age={365 * _DAY}; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "same-origin",
}


def _affinity_cookie() -> dict[str, Any]:
    # The ring of the cluster moves a dead replica's sessions, and only those, to the others.
    return {
        "name": "orthweb-affinity",
        "path": "/",
        "ttl": "0s",
        "attributes": [
            {"name": "Secure", "value": ""},
            {"name": "HttpOnly", "value": ""},
            {"name": "SameSite", "value": "Lax"},
        ],
    }


_READS = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}


def _route(retry_policy: dict[str, Any], **match: Any) -> dict[str, Any]:
    return {
        "match": {"prefix": "/", **match},
        "route": {
            "cluster": WEB_CLUSTER,
            # A study of gigabytes takes as long as it takes; the stream's idle time is the limit.
            "timeout": "0s",
            "hash_policy": [{"cookie": _affinity_cookie()}],
            "retry_policy": retry_policy,
        },
    }


def _retry_policy(reset: str) -> dict[str, Any]:
    predicate = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    return {
        # Of an upload only what no Orthanc server has seen: it must not be stored twice.
        "retry_on": f"connect-failure,refused-stream,{reset}",
        "num_retries": 3,
        # Until its health check fails, the ring names a dead server again and again: pass it over.
        "retry_host_predicate": [
            {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": typed(predicate)}
        ],
        "host_selection_retry_max_attempts": 10,
    }


def _redirect(place: Place, https_port: int) -> dict[str, Any]:
    return _connection_manager(
        "redirect",
        place,
        http_filters=[_router()],
        virtual_host={
            "name": "redirect",
            "domains": ["*"],
            "routes": [
                {
                    "match": {"prefix": "/"},
                    "redirect": {
                        "https_redirect": True,
                        "port_redirect": https_port,
                        "response_code": "PERMANENT_REDIRECT",
                    },
                }
            ],
        },
    )


def _connection_manager(
    name: str,
    place: Place,
    http_filters: Sequence[dict[str, Any]],
    virtual_host: dict[str, Any],
    **more: Any,
) -> dict[str, Any]:
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": typed(
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix=name,
            codec_type="AUTO",
            use_remote_address=True,
            normalize_path=True,
            merge_slashes=False,
            server_header_transformation="PASS_THROUGH",
            common_http_protocol_options={
                "idle_timeout": "300s",
                "headers_with_underscores_action": "REJECT_REQUEST",
            },
            http2_protocol_options={
                "max_concurrent_streams": 100,
                "initial_stream_window_size": 1024 * 1024,
                "initial_connection_window_size": 4 * 1024 * 1024,
            },
            request_headers_timeout="10s",
            stream_idle_timeout="300s",
            access_log=[access_log(place, "web", web_log())],
            http_filters=list(http_filters),
            route_config={"name": name, "virtual_hosts": [virtual_host]},
            **more,
        ),
    }


def _healthz() -> dict[str, Any]:
    """Answer /healthz without credentials: 200 only while a replica that reaches its database is healthy."""
    return {
        "name": "envoy.filters.http.health_check",
        "typed_config": typed(
            "envoy.extensions.filters.http.health_check.v3.HealthCheck",
            pass_through_mode=False,
            headers=[{"name": ":path", "string_match": {"exact": "/healthz"}}],
            cluster_min_healthy_percentages={WEB_CLUSTER: {"value": 1.0}},
        ),
    }


def _router() -> dict[str, Any]:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": typed("envoy.extensions.filters.http.router.v3.Router", suppress_envoy_headers=True),
    }


def _security_headers() -> list[dict[str, Any]]:
    return [_header(name, value) for name, value in _SECURITY_HEADERS.items()]


def _any_error() -> dict[str, Any]:
    value = {"default_value": 400, "runtime_key": "orthweb.local_reply"}
    return {"status_code_filter": {"comparison": {"op": "GE", "value": value}}}


def _header(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


# What YAML 1.1, which Envoy reads, takes for true or false: a site may be called so.
_TRUTHS = re.compile("y|yes|n|no|true|false|on|off", re.IGNORECASE)


def _text(representer: RoundTripRepresenter, text: str) -> Any:
    style = '"' if _TRUTHS.fullmatch(text) else None
    return representer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


class _Representer(RoundTripRepresenter):
    """Of its own: what is added to ruamel's would count for every YAML file."""


_Representer.add_representer(str, _text)


def _dump(data: Any) -> str:
    yaml, text = YAML(), io.StringIO()
    yaml.Representer = _Representer
    yaml.width = 120
    # A block that several listeners share is written out for each.
    yaml.representer.ignore_aliases = lambda *_: True
    yaml.dump(data, text)
    return text.getvalue()

"""The proxy's clusters: the Orthanc servers as HTTPS and as DICOM endpoints, and how their health is told."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from orthweb.render.envoy_tls import typed, upstream_tls
from orthweb.render.orthanc import spreads_writers
from orthweb.render.place import Place, Replica

WEB_CLUSTER = "orthanc-web"
DICOM_CLUSTER = "orthanc-dicom"


def clusters(place: Place, authorization: str) -> list[dict[str, Any]]:
    """Make both clusters; `authorization` is the header of the health check's account."""
    return [_web(place, authorization), _dicom(place, authorization)]


def _web(place: Place, authorization: str) -> dict[str, Any]:
    return {
        **_cluster(WEB_CLUSTER, place, authorization),
        "lb_policy": "RING_HASH",
        "transport_socket": upstream_tls(place, place.files.pki / "internal/ca.crt"),
    }


def _dicom(place: Place, authorization: str) -> dict[str, Any]:
    return {
        **_cluster(DICOM_CLUSTER, place, authorization),
        "lb_policy": "LEAST_REQUEST",
        # Over DICOM an Orthanc server shows a certificate of the site's authority, over HTTP an internal one.
        "transport_socket": upstream_tls(place, place.files.pki / "internal/authorities.crt"),
    }


def endpoints(place: Place, leaving: Container[str] = ()) -> dict[str, dict[str, Any]]:
    """Make the files that Envoy watches for the servers of each cluster, by their path.

    Parameters
    ----------
    leaving:
        Names of the replicas that get nothing new; what they are at goes on.
    """
    # With a plugin whose writers wait for each other, one Orthanc takes all associations and the others stand by.
    groups = [place.replicas] if spreads_writers(place) else [(replica,) for replica in place.replicas]
    web = [_endpoint(replica, replica.http_port, replica.name in leaving) for replica in place.replicas]
    dicom = [
        {
            "priority": priority,
            "lb_endpoints": [
                # Asked over HTTP: a hung Orthanc still takes TCP connections, and a bare one would block it.
                _endpoint(replica, replica.dicom_port, replica.name in leaving, {"port_value": replica.http_port})
                for replica in group
            ],
        }
        for priority, group in enumerate(groups)
    ]
    return {
        _watched(WEB_CLUSTER): _assignment(WEB_CLUSTER, [{"lb_endpoints": web}]),
        _watched(DICOM_CLUSTER): _assignment(DICOM_CLUSTER, dicom),
    }


def _watched(cluster: str) -> str:
    return f"envoy/eds-{cluster}.yaml"


def _assignment(cluster: str, localities: list[dict[str, Any]]) -> dict[str, Any]:
    kind = "envoy.config.endpoint.v3.ClusterLoadAssignment"
    return {"resources": [typed(kind, cluster_name=cluster, endpoints=localities)]}


def _cluster(name: str, place: Place, authorization: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {
            "eds_config": {
                "resource_api_version": "V3",
                "path_config_source": {"path": str(place.files.config / _watched(name))},
            }
        },
        "connect_timeout": "2s",
        # Whoever waits for a replica that died or hangs is told at once, and tries again elsewhere.
        "close_connections_on_host_health_failure": True,
        # Without the window a server is still chosen for a second after it was found dead, and not yet when it is back.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}, "update_merge_window": "0s"},
        "circuit_breakers": {
            "thresholds": [{"max_connections": 4096, "max_pending_requests": 4096, "max_requests": 4096}]
        },
        "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 60}},
        "health_checks": [
            {
                "timeout": "2s",
                "interval": "1s",
                "no_traffic_interval": "1s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "http_health_check": {
                    # Reads the database: a replica that lost it is no use to anybody.
                    "path": "/changes?last",
                    "request_headers_to_add": [
                        {
                            "header": {"key": "authorization", "value": authorization},
                            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                        }
                    ],
                },
            }
        ],
    }


def _endpoint(replica: Replica, port: int, leaving: bool, health: dict[str, Any] | None = None) -> dict[str, Any]:
    endpoint: dict[str, Any] = {"address": {"socket_address": {"address": replica.host, "port_value": port}}}
    if health:
        endpoint["health_check_config"] = health
    return {"endpoint": endpoint, "health_status": "DRAINING" if leaving else "HEALTHY"}

"""What every listener of the proxy has: addresses, ranges that may connect, and limits."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from orthweb.render.envoy_log import access_log, dicom_log
from orthweb.render.envoy_tls import typed
from orthweb.render.place import Place

HANDSHAKE = "5s"
"""How long a client may take for the TLS handshake: three round trips of a slow line with a lost packet in each."""


def listener(
    name: str,
    place: Place,
    port: int,
    allowed_cidrs: Sequence[str],
    filter_chains: Sequence[dict[str, Any]],
    listener_filters: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Make a listener on `port` that only `allowed_cidrs` reach."""
    first, *others = _addresses(place, allowed_cidrs)
    return {
        "name": name,
        "address": _address(first, port),
        "additional_addresses": [{"address": _address(address, port)} for address in others],
        # A client that opens a connection and says nothing is let go before it costs a handshake.
        "listener_filters_timeout": HANDSHAKE,
        "listener_filters": list(listener_filters),
        "access_log": [access_log(place, "refused", dicom_log()) | {"filter": _refused()}],
        # With SO_REUSEPORT a second site on this port would silently take half of the connections.
        "enable_reuse_port": False,
        # A few long associations decide: each worker gets as many.
        "connection_balance_config": {"exact_balance": {}},
        "filter_chains": [_for_ranges(chain, _allowed(place, allowed_cidrs)) for chain in filter_chains],
    }


def rbac(name: str, place: Place, allowed_cidrs: Sequence[str]) -> dict[str, Any]:
    """Make the filter that lets only `allowed_cidrs` pass."""
    return {
        "name": "envoy.filters.network.rbac",
        "typed_config": typed(
            "envoy.extensions.filters.network.rbac.v3.RBAC",
            stat_prefix=name,
            rules={
                "action": "ALLOW",
                "policies": {
                    "allowed-cidrs": {
                        "permissions": [{"any": True}],
                        "principals": [{"direct_remote_ip": _range(cidr)} for cidr in _allowed(place, allowed_cidrs)]
                        or [{"not_id": {"any": True}}],
                    }
                },
            },
        ),
    }


def tls_inspector() -> dict[str, Any]:
    """Make the listener filter that tells TLS from anything else."""
    return {
        "name": "envoy.filters.listener.tls_inspector",
        "typed_config": typed("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"),
    }


def only_loopback(allowed_cidrs: Sequence[str]) -> bool:
    """Whether every range lies on this machine."""
    return all(ipaddress.ip_network(cidr).is_loopback for cidr in allowed_cidrs)


def _allowed(place: Place, cidrs: Sequence[str]) -> Sequence[str]:
    if place.gateway is None or not any(ipaddress.ip_network(cidr).is_loopback for cidr in cidrs):
        return cidrs
    return [*cidrs, f"{place.gateway}/32"]


def _for_ranges(chain: dict[str, Any], allowed_cidrs: Sequence[str]) -> dict[str, Any]:
    # RBAC speaks once the handshake is over; a chain that does not match ends a stranger's connection before it.
    match = {
        **chain.get("filter_chain_match", {}),
        "source_prefix_ranges": [_range(cidr) for cidr in allowed_cidrs],
    }
    return {**chain, "filter_chain_match": match}


def _addresses(place: Place, allowed_cidrs: Sequence[str]) -> list[str]:
    if only_loopback(allowed_cidrs) and not place.remote_proxy:
        return ["127.0.0.1", "::1"] if place.ipv6 else ["127.0.0.1"]
    return ["0.0.0.0", "::"] if place.ipv6 else ["0.0.0.0"]  # noqa: S104 - the ranges decide who may connect


def _address(address: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": address, "port_value": port}}


def _range(cidr: str) -> dict[str, Any]:
    network = ipaddress.ip_network(cidr)
    return {"address_prefix": str(network.network_address), "prefix_len": network.prefixlen}


def _refused() -> dict[str, Any]:
    # No chain matched (NR) or RBAC said no (UAEX): the connections that no other log names.
    return {"response_flag_filter": {"flags": ["NR", "UAEX"]}}

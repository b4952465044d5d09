"""Takes an Orthanc server out of what the running proxy hands out, until nobody is at it, and puts it back."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from orthweb.errors import Failure
from orthweb.render.envoy import endpoint_files
from orthweb.render.envoy_clusters import DICOM_CLUSTER, WEB_CLUSTER
from orthweb.render.place import Place, Rendered, Replica
from orthweb.running.probe import envoy_admin
from orthweb.waiting import wait_for

_TAKEN_UP_SECONDS = 10
Write = Callable[[Mapping[str, Rendered]], None]


class Rota:
    """Which replicas of a site the proxy hands requests and associations to.

    Parameters
    ----------
    admin:
        Envoy's administration socket.
    write:
        Writes rendered files to where Envoy watches them, each in one step.
    """

    def __init__(self, admin: Path, place: Place, write: Write) -> None:
        self._admin, self._place, self._write = admin, place, write

    @contextmanager
    def without(self, replica: Replica, limit: float) -> Iterator[bool]:
        """Hand a replica nothing new while the body runs, which begins when it has come to rest.

        Where the proxy does not run, or no other replica could take over, the body begins at once.

        Parameters
        ----------
        limit:
            Seconds that requests and associations in flight may take at the most.

        Yields
        ------
        bool
            Whether nobody was left at it.
        """
        others = [other for other in self._place.replicas if other != replica]
        if not any(self._hosts(other) and self._serves(other) for other in others):
            yield False
            return
        self._hand_out({replica.name})
        try:
            yield self._rests(replica, limit)
        finally:
            self._hand_out(())
        # Until then nobody else may leave: the proxy would have nobody to hand a request to.
        with suppress(Failure):
            wait_for(lambda: self._serves(replica), _TAKEN_UP_SECONDS, f"Envoy to take {replica.name} back")

    def _hand_out(self, leaving: Container[str]) -> None:
        self._write(endpoint_files(self._place, leaving))

    def _rests(self, replica: Replica, limit: float) -> bool:
        def taken_up() -> bool:
            hosts = self._hosts(replica)
            return not hosts or all(_is_leaving(host) for host in hosts.values())

        def at_rest() -> bool:
            hosts = self._hosts(replica)
            # Connections that carry no request stay open in the pool; an association is its connection.
            busy = {WEB_CLUSTER: "rq_active", DICOM_CLUSTER: "cx_active"}
            return all(_count(host, busy[cluster]) == 0 for cluster, host in hosts.items())

        try:
            wait_for(taken_up, _TAKEN_UP_SECONDS, f"Envoy to leave {replica.name} out")
            wait_for(at_rest, limit, f"{replica.name} to come to rest")
        except Failure:
            return False
        return True

    def _serves(self, replica: Replica) -> bool:
        hosts = self._hosts(replica)
        return len(hosts) == len((WEB_CLUSTER, DICOM_CLUSTER)) and all(_is_well(host) for host in hosts.values())

    def _hosts(self, replica: Replica) -> dict[str, Mapping[str, object]]:
        """What Envoy says of a replica, by cluster; empty when it does not answer."""
        answer = envoy_admin(self._admin, "/clusters?format=json")
        if answer is None:
            return {}
        ports = {WEB_CLUSTER: replica.http_port, DICOM_CLUSTER: replica.dicom_port}
        return {
            cluster["name"]: host
            for cluster in json.loads(answer).get("cluster_statuses", [])
            for host in cluster.get("host_statuses", [])
            if cluster["name"] in ports
            and host["address"]["socket_address"]["address"] == replica.host
            and host["address"]["socket_address"]["port_value"] == ports[cluster["name"]]
        }


def _is_leaving(host: Mapping[str, object]) -> bool:
    health = host.get("health_status")
    return isinstance(health, Mapping) and health.get("eds_health_status") == "DRAINING"


def _is_well(host: Mapping[str, object]) -> bool:
    health = host.get("health_status")
    if not isinstance(health, Mapping) or health.get("eds_health_status") != "HEALTHY":
        return False
    return not health.get("pending_active_hc") and not any(
        value for name, value in health.items() if name.startswith("failed_")
    )


def _count(host: Mapping[str, object], name: str) -> int:
    stats = host.get("stats")
    entries = stats if isinstance(stats, list) else []
    return sum(int(entry.get("value", 0)) for entry in entries if entry.get("name") == name)

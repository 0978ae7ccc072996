"""The verbs of the node's network, as the agent needs them. Netlink and nftables serve them for real, a fake in tests.

Desired state is always given whole; an implementation compares and changes only what differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from orchestr8.errors import Orchestr8Error


class NetworkFailed(Orchestr8Error):
    """The kernel refused a change; ``message`` holds the tool's own words."""

    code = "NetworkFailed"


class Backend(msgspec.Struct, frozen=True, order=True):
    ip: str
    port: int


class ServicePort(msgspec.Struct, frozen=True, kw_only=True):
    """One (address, protocol, port) that is translated to backends. ``node_port`` 0: none.

    ``name``: ``namespace/service/port``, unique. ``protocol``: tcp or udp. ``backends``: of all nodes; those of this
    node again in ``local_backends``. ``affinity_seconds`` 0: none. ``local_only``: NodePort traffic from elsewhere goes
    to backends of this node and keeps its source. ``internal_local_only``: so does traffic to the cluster address.
    """

    name: str
    cluster_ip: str
    protocol: str
    port: int
    node_port: int = 0
    backends: tuple[Backend, ...] = ()
    local_backends: tuple[Backend, ...] = ()
    affinity_seconds: int = 0
    local_only: bool = False
    internal_local_only: bool = False


class NodeRoute(msgspec.Struct, frozen=True, kw_only=True):
    """Packets for ``pod_cidr`` go by ``node_ip``."""

    node: str
    node_ip: str
    pod_cidr: str


class PodNetwork(Protocol):
    async def open(self, node_ip: str, pod_cidr: str, service_cidr: str) -> None:
        """Prepares the host (forwarding, gateway address, route for Services). Links, routes and Services of an earlier
        run stay in force until they are changed. ``pod_cidr`` may be "" until the node has one; call again then."""
        ...

    async def attach(self, pod_uid: str, network_pid: int, ip: str) -> None:
        """Gives the network namespace of ``network_pid`` the address; already so: success. A namespace that was lost
        (the sandbox was started anew) is attached anew."""
        ...

    async def detach(self, pod_uid: str) -> None:
        """Removes the pod's link and route; none: success."""
        ...

    async def attached(self) -> Mapping[str, str]:
        """Pod uid -> address of every link of ours on this host; "" for a link that was only half made."""
        ...

    async def sync_routes(self, routes: tuple[NodeRoute, ...]) -> None:
        """Routes to all other nodes and no more. Those that the kernel takes are set even if it refuses some.
        After a start call it before ``sync_services``: what is not a pod or a node is left by the node's address."""
        ...

    async def sync_services(self, ports: tuple[ServicePort, ...]) -> None:
        """Replaces the whole table in one transaction and removes UDP flows to backends that are gone. Calls that come
        quickly one after the other are made one: each returns when its ports, or newer ones, are in force. Called
        again with the same ports it puts back a table that somebody else has flushed."""
        ...

    async def close(self) -> None:
        """Removes all that ``open`` and its followers made (uninstall, end of a test). Pods lose their network."""
        ...

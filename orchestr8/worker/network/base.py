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

    ``affinity_seconds`` 0: none. ``local_only``: NodePort traffic goes to backends of this node and keeps its source.
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


class NodeRoute(msgspec.Struct, frozen=True, kw_only=True):
    """Packets for ``pod_cidr`` go by ``node_ip``."""

    node: str
    node_ip: str
    pod_cidr: str


class PodNetwork(Protocol):
    async def open(self, node_ip: str, pod_cidr: str, service_cidr: str) -> None:
        """Prepares the host (forwarding, gateway address, own nft table). May be called again with the same values."""
        ...

    async def attach(self, pod_uid: str, network_pid: int, ip: str) -> None:
        """Gives the network namespace of ``network_pid`` the address; already so: success."""
        ...

    async def detach(self, pod_uid: str) -> None:
        """Removes the pod's link and route; none: success."""
        ...

    async def attached(self) -> Mapping[str, str]:
        """Pod uid -> address of every link of ours on this host."""
        ...

    async def sync_routes(self, routes: tuple[NodeRoute, ...]) -> None: ...

    async def sync_services(self, ports: tuple[ServicePort, ...]) -> None:
        """Replaces the whole table in one transaction and removes UDP flows to backends that are gone."""
        ...

    async def close(self) -> None:
        """Removes all that ``open`` and its followers made (uninstall, end of a test). Pods lose their network."""
        ...

"""The node's network in memory, for simulation and for tests of the agent."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from orchestr8.worker.network.base import NetworkFailed, NodeRoute, ServicePort


class FakeNetwork:
    """A PodNetwork. What it was told last can be read: ``pids`` and ``addresses`` by pod uid, ``routes``, ``ports``.

    It outlives the agent that uses it, as the kernel does. ``lose``: the sandbox died, and its link with it.
    """

    def __init__(self) -> None:
        self.node_ip = ""
        self.pod_cidr = ""
        self.service_cidr = ""
        self.addresses: dict[str, str] = {}
        self.pids: dict[str, int] = {}
        self.routes: tuple[NodeRoute, ...] = ()
        self.ports: tuple[ServicePort, ...] = ()

    async def open(self, node_ip: str, pod_cidr: str, service_cidr: str) -> None:
        await trio.lowlevel.checkpoint()
        self.node_ip, self.pod_cidr, self.service_cidr = node_ip, pod_cidr, service_cidr

    async def attach(self, pod_uid: str, network_pid: int, ip: str) -> None:
        await trio.lowlevel.checkpoint()
        self._opened()
        if network_pid <= 0:
            raise NetworkFailed(f"the sandbox's process {network_pid} is gone: start the sandbox again")
        owner = next((uid for uid, address in self.addresses.items() if address == ip and uid != pod_uid), None)
        if owner is not None:
            raise NetworkFailed(f"{ip} belongs to pod {owner} on this node")
        self.addresses[pod_uid], self.pids[pod_uid] = ip, network_pid

    async def detach(self, pod_uid: str) -> None:
        await trio.lowlevel.checkpoint()
        self.addresses.pop(pod_uid, None)
        self.pids.pop(pod_uid, None)

    async def attached(self) -> Mapping[str, str]:
        await trio.lowlevel.checkpoint()
        return dict(self.addresses)

    async def sync_routes(self, routes: tuple[NodeRoute, ...]) -> None:
        await trio.lowlevel.checkpoint()
        self._opened()
        self.routes = routes

    async def sync_services(self, ports: tuple[ServicePort, ...]) -> None:
        await trio.lowlevel.checkpoint()
        self._opened()
        self.ports = ports

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()
        self.addresses.clear()
        self.pids.clear()
        self.routes, self.ports, self.node_ip = (), (), ""

    def lose(self, network_pid: int) -> None:
        for uid in [uid for uid, pid in self.pids.items() if pid == network_pid]:
            del self.addresses[uid], self.pids[uid]

    def _opened(self) -> None:
        if not self.node_ip:
            raise NetworkFailed("the node's address is not known yet: open comes first")

"""The node's network for real: veth links, routes and one nft table."""

from __future__ import annotations

from collections.abc import Mapping

from orchestr8.worker.network.base import NetworkFailed, NodeRoute, ServicePort
from orchestr8.worker.network.commands import Commands
from orchestr8.worker.network.host_routes import HostRoutes
from orchestr8.worker.network.links import Links
from orchestr8.worker.network.nft import Table
from orchestr8.worker.network.ruleset import Place


class KernelNetwork:
    """A PodNetwork (see base.py). Needs root, iproute2, nftables, util-linux and conntrack."""

    def __init__(self) -> None:
        commands = Commands()
        self._links = Links(commands)
        self._host = HostRoutes(commands)
        self._table = Table(commands)
        self._place: Place | None = None
        self._routes: tuple[NodeRoute, ...] = ()
        self._ports: tuple[ServicePort, ...] | None = None

    async def open(self, node_ip: str, pod_cidr: str, service_cidr: str) -> None:
        await self._host.prepare(node_ip, service_cidr)
        self._place = Place(node_ip=node_ip, pod_cidr=pod_cidr)
        await self._load()

    async def attach(self, pod_uid: str, network_pid: int, ip: str) -> None:
        await self._links.attach(pod_uid, network_pid, ip)

    async def detach(self, pod_uid: str) -> None:
        await self._links.detach(pod_uid)

    async def attached(self) -> Mapping[str, str]:
        return await self._links.attached()

    async def sync_routes(self, routes: tuple[NodeRoute, ...]) -> None:
        self._routes = routes
        await self._host.sync(routes)
        await self._load()

    async def sync_services(self, ports: tuple[ServicePort, ...]) -> None:
        if self._place is None:
            raise NetworkFailed("sync_services before open: the node's address is not known yet")
        self._ports = ports
        await self._load()

    async def close(self) -> None:
        for link in await self._links.ours():
            await self._links.delete(link["ifname"])
        await self._table.remove()
        await self._host.remove()

    async def _load(self) -> None:
        """Until the Services are known, those of an earlier run stay in force."""
        if self._ports is not None and self._place is not None:
            await self._table.load(self._ports, self._routes, self._place)

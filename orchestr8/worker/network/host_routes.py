"""The node's own part: forwarding, the gateway address, the way to Services and to other nodes' pods.

Our routes carry the protocol number 88, so that we never touch a route of somebody else and find our own again. The
route for Services exists because a connection without any route fails before it is translated; it must not point to
``lo``, for then the source address would be the gateway's, which no other node can answer.
"""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import trio

from orchestr8.worker.network.base import NetworkFailed, NodeRoute
from orchestr8.worker.network.commands import Commands
from orchestr8.worker.network.links import GATEWAY

PROTOCOL = 88
_FORWARD = trio.Path("/proc/sys/net/ipv4/ip_forward")


class HostRoutes:
    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._service_cidr = ""

    async def prepare(self, node_ip: str, service_cidr: str) -> None:
        """Raises NetworkFailed if no interface but ``lo`` has the address."""
        device = await self._device_of(node_ip)
        if (await _FORWARD.read_text()).strip() != "1":
            await _FORWARD.write_text("1")
        self._service_cidr = service_cidr
        await self._commands.ip(
            f"addr replace {GATEWAY}/32 dev lo scope link",
            f"route replace {service_cidr} dev {device} src {node_ip} proto {PROTOCOL}",
        )

    async def sync(self, routes: tuple[NodeRoute, ...]) -> None:
        wanted = {route.pod_cidr: route.node_ip for route in routes}
        present = {str(entry["dst"]): str(entry.get("gateway", "")) for entry in await self._ours()}
        changes = [f"route delete {cidr} proto {PROTOCOL}" for cidr in present if cidr not in wanted]
        changes += [
            f"route replace {cidr} via {node_ip} proto {PROTOCOL}"
            for cidr, node_ip in wanted.items()
            if present.get(cidr) != node_ip
        ]
        if changes:
            await self._commands.ip(*changes, go_on=True)

    async def remove(self) -> None:
        """All of it but forwarding, which others on this host may rely on by now."""
        await self._commands.run("ip", "-4", "route", "flush", "proto", str(PROTOCOL))
        try:
            await self._commands.ip(f"addr delete {GATEWAY}/32 dev lo")
        except NetworkFailed as error:
            if "Cannot assign requested address" not in error.message:
                raise

    async def _ours(self) -> list[dict[str, Any]]:
        """The routes to other nodes' pods: ours, without the one to Services."""
        text = await self._commands.run("ip", "-j", "-4", "route", "show", "proto", str(PROTOCOL))
        return [entry for entry in json.loads(text or "[]") if entry and entry["dst"] != self._service_cidr]

    async def _device_of(self, node_ip: str) -> str:
        for link in json.loads(await self._commands.run("ip", "-j", "-4", "addr", "show") or "[]"):
            if any(address.get("local") == node_ip for address in link.get("addr_info", ())):
                if ipaddress.IPv4Address(node_ip).is_loopback or link["ifname"] == "lo":
                    raise NetworkFailed(f"pods cannot answer {node_ip}: set worker.address to that of a real link")
                return str(link["ifname"])
        raise NetworkFailed(f"no link of this host has the address {node_ip}: correct worker.address")

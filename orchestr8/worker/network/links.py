"""One veth pair per pod: ``eth0`` with the pod's /32 in its namespace, ``o8...`` with a route to it on the host.

The pod's gateway is 169.254.1.1, which the host has on ``lo`` and so answers for on every link. The host's end
carries the pod's uid as its alias: after a restart of the agent the links themselves tell whose they are. A link goes
with the namespace, and its route goes with the link.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestr8.worker.network.base import NetworkFailed
from orchestr8.worker.network.commands import Commands

GATEWAY = "169.254.1.1"
_PREFIX = "o8"


def link_name(pod_uid: str) -> str:
    """At most 15 bytes, as the kernel wants; the same for the same pod."""
    return _PREFIX + hashlib.sha256(pod_uid.encode()).hexdigest()[:11]


class Links:
    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def attach(self, pod_uid: str, network_pid: int, ip: str) -> None:
        _refuse_own_namespace(network_pid)
        name = link_name(pod_uid)
        try:
            await self._make(name, pod_uid, network_pid, ip)
        except NetworkFailed as error:
            if "File exists" not in error.message:
                raise
            if await self._is_made(name, network_pid, ip):
                await self._commands.ip(f"route replace {ip}/32 dev {name}")
                return
            # Left from an earlier life of the sandbox, or half made.
            await self.delete(name)
            await self._delete_inside(network_pid)
            await self._make(name, pod_uid, network_pid, ip)

    async def detach(self, pod_uid: str) -> None:
        await self.delete(link_name(pod_uid))

    async def delete(self, name: str) -> None:
        """A link that is not there: success."""
        try:
            await self._commands.run("ip", "link", "delete", name)
        except NetworkFailed as error:
            if "Cannot find device" not in error.message:
                raise

    async def attached(self) -> Mapping[str, str]:
        """Pod uid -> address, "" where the route is missing."""
        routes = _decode(await self._commands.run("ip", "-j", "-4", "route", "show"))
        addresses = {route.get("dev"): route["dst"] for route in routes}
        return {link["ifalias"]: addresses.get(link["ifname"], "") for link in await self.ours() if "ifalias" in link}

    async def ours(self) -> list[dict[str, Any]]:
        """Our links as ``ip -j link`` shows them; one that was never finished has no ``ifalias``."""
        links = _decode(await self._commands.run("ip", "-j", "link", "show", "type", "veth"))
        return [link for link in links if str(link.get("ifname", "")).startswith(_PREFIX)]

    async def _make(self, name: str, pod_uid: str, network_pid: int, ip: str) -> None:
        await self._commands.ip(
            f"link add {name} type veth peer name eth0 netns {network_pid}",
            f"link set {name} alias {pod_uid} up",
            f"route replace {ip}/32 dev {name}",
        )
        await self._inside(
            network_pid,
            "link set lo up",
            f"addr add {ip}/32 dev eth0",
            "link set eth0 up",
            f"route add {GATEWAY} dev eth0 scope link",
            f"route add default via {GATEWAY}",
        )

    async def _is_made(self, name: str, network_pid: int, ip: str) -> bool:
        """The pod's eth0 is the other end of our link and complete."""
        ends = [link for link in await self.ours() if link["ifname"] == name]
        try:
            inner = _decode(await self._run_inside(network_pid, "ip", "-j", "-4", "addr", "show", "dev", "eth0"))
            routes = _decode(await self._run_inside(network_pid, "ip", "-j", "-4", "route", "show", "default"))
        except NetworkFailed:
            return False
        return any(
            end["ifindex"] == eth0.get("link_index") and [address["local"] for address in eth0["addr_info"]] == [ip]
            for end in ends
            for eth0 in inner
            if eth0 and routes
        )

    async def _delete_inside(self, network_pid: int) -> None:
        try:
            await self._inside(network_pid, "link delete eth0")
        except NetworkFailed as error:
            if "Cannot find device" not in error.message:
                raise

    async def _inside(self, network_pid: int, *lines: str) -> None:
        stdin = "".join(f"{line}\n" for line in lines)
        await self._run_inside(network_pid, "ip", "-batch", "-", stdin=stdin)

    async def _run_inside(self, network_pid: int, *argv: str, stdin: str = "") -> str:
        return await self._commands.run("nsenter", "--target", str(network_pid), "--net", "--", *argv, stdin=stdin)


def _refuse_own_namespace(network_pid: int) -> None:
    """A sandbox that died may have left its pid to a process of the host; its eth0 is not ours to change."""
    try:
        theirs = Path(f"/proc/{network_pid}/ns/net").readlink()
    except OSError as error:
        raise NetworkFailed(f"the sandbox's process {network_pid} is gone: start the sandbox again") from error
    if theirs == Path("/proc/self/ns/net").readlink():
        raise NetworkFailed(f"process {network_pid} lives in the host's own network: it is not a sandbox of a pod")


def _decode(text: str) -> list[dict[str, Any]]:
    """``ip -j`` prints nothing, or empty objects, for what it has filtered out."""
    found: list[dict[str, Any]] = [entry for entry in json.loads(text or "[]") if entry]
    return found

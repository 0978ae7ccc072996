"""Puts the table in force: whole, in one transaction, at most one load in ``LOAD_SECONDS_MIN``.

The first change after a pause is loaded at once, so an endpoint that is no longer ready leaves within a moment; what
comes while a load is due is loaded together with it. A call that changes nothing only looks whether the table is still
there: made now and then, it mends what others have flushed.
"""

from __future__ import annotations

import json

import trio

from orchestr8.worker.network import conntrack, ruleset
from orchestr8.worker.network.base import NetworkFailed, NodeRoute, ServicePort
from orchestr8.worker.network.commands import Commands

LOAD_SECONDS_MIN = 0.2


class Table:
    """``place`` may be changed at any time; the next ``load`` takes it into account."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._lock = trio.Lock()
        self._wanted: tuple[tuple[ServicePort, ...], tuple[NodeRoute, ...], ruleset.Place] | None = None
        self._loaded_text = ""
        self._loaded_ports: tuple[ServicePort, ...] | None = None
        self._earliest = -float("inf")

    async def load(self, ports: tuple[ServicePort, ...], routes: tuple[NodeRoute, ...], place: ruleset.Place) -> None:
        """Returns when this, or what a later call wants, is in force."""
        self._wanted = (ports, routes, place)
        async with self._lock:
            await trio.sleep_until(max(self._earliest, trio.current_time()))
            ports, routes, place = self._wanted
            text = ruleset.render(ports, place, routes)
            if text == self._loaded_text and await self._is_there():
                return
            self._earliest = trio.current_time() + LOAD_SECONDS_MIN
            affinity = await self._read_affinity(ports)
            await self._commands.run("nft", "-f", "-", stdin=ruleset.render(ports, place, routes, affinity))
            await self._forget_stale_flows(ports, place)
            self._loaded_text, self._loaded_ports = text, ports

    async def remove(self) -> None:
        async with self._lock:
            await self._commands.run("nft", "-f", "-", stdin=f"table {ruleset.TABLE}\ndelete table {ruleset.TABLE}\n")
            self._loaded_text, self._loaded_ports = "", None

    async def _is_there(self) -> bool:
        """A restart of the host's own firewall flushes every table, ours too."""
        return f"table {ruleset.TABLE}" in (await self._commands.run("nft", "list", "tables", "ip")).splitlines()

    async def _forget_stale_flows(self, ports: tuple[ServicePort, ...], place: ruleset.Place) -> None:
        """Also after a start, when endpoints may have gone while nobody looked."""
        udp = [port for port in ports if port.protocol == "udp"]
        if udp and udp != [port for port in self._loaded_ports or () if port.protocol == "udp"]:
            await conntrack.remove_stale(self._commands, ports, place.node_ip)

    async def _read_affinity(self, ports: tuple[ServicePort, ...]) -> dict[str, dict[str, int]]:
        """Who is bound to which backend now: the new table takes it over."""
        wanted = ruleset.affinity_sets(ports)
        if not wanted:
            return {}
        try:
            listed = json.loads(await self._commands.run("nft", "-j", "list", "table", *ruleset.TABLE.split()))
        except NetworkFailed as error:
            if "No such file or directory" in error.message:
                return {}
            raise
        sets = (entry["set"] for entry in listed["nftables"] if "set" in entry)
        return {found["name"]: _clients(found) for found in sets if found["name"] in wanted}


def _clients(found: dict[str, object]) -> dict[str, int]:
    elements = found.get("elem", [])
    assert isinstance(elements, list)
    return {entry["elem"]["val"]: int(entry["elem"].get("expires", 0)) for entry in elements if "elem" in entry}

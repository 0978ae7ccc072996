"""Which UDP flows still go to a backend that is gone, and their removal.

The kernel translates a flow's first packet and then remembers; UDP has no end of a connection that would make it
forget. What is stale is decided purely, from the flows and the ports in force.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from orchestr8.worker.network.base import Backend, NetworkFailed, ServicePort
from orchestr8.worker.network.commands import Commands

_FIELD = re.compile(r"\b(src|dst|sport|dport)=(\S+)")


class Flow(msgspec.Struct, frozen=True, order=True):
    """A client sent to ``address:port``; ``answers`` is who answers it (the target itself if it is not translated)."""

    address: str
    port: int
    answers: Backend


def parse(text: str) -> set[Flow]:
    """The lines of ``conntrack -L``; each has the fields of the request first and those of the answer after them."""
    flows = set()
    for line in text.splitlines():
        fields = _FIELD.findall(line)
        if [name for name, _ in fields] == ["src", "dst", "sport", "dport"] * 2:
            values = [value for _, value in fields]
            flows.add(Flow(values[1], int(values[3]), Backend(values[4], int(values[6]))))
    return flows


def stale(flows: Iterable[Flow], ports: Iterable[ServicePort], node_ip: str) -> list[Flow]:
    """Flows to a UDP Service's address or node port that none of its backends answers."""
    backends = {
        target: {*port.backends, *port.local_backends}
        for port in ports
        if port.protocol == "udp"
        for target in ((port.cluster_ip, port.port), (node_ip, port.node_port))
    }
    return sorted(flow for flow in flows if flow.answers not in backends.get((flow.address, flow.port), {flow.answers}))


async def remove_stale(commands: Commands, ports: tuple[ServicePort, ...], node_ip: str) -> None:
    """Raises NetworkFailed if the package conntrack is missing."""
    for flow in stale(parse(await commands.run("conntrack", "-L", "-p", "udp")), ports, node_ip):
        target = ("--orig-dst", flow.address, "--orig-port-dst", str(flow.port))
        try:
            await commands.run("conntrack", "-D", "-p", "udp", *target, "--reply-src", flow.answers.ip)
        except NetworkFailed as error:
            # It ended by itself meanwhile.
            if "0 flow entries have been deleted" not in error.message:
                raise

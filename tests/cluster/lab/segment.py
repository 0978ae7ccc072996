"""The network segment that joins a lab's hosts: a bridge in a namespace of its own, without uplink."""

from __future__ import annotations

import subprocess
from collections import Counter

PREFIX = "10.77.0"
_BRIDGE_MAC = "02:00:0a:4d:00:01"


class LabFailed(Exception):
    """A tool that builds the lab refused; the message holds its words."""


class Segment:
    """``netns``: the bridge's namespace. A host's port gets a new name at each boot: the kernel removes links late."""

    def __init__(self, lab_id: str) -> None:
        self.netns = f"o8lab-{lab_id}-net"
        self._boots: Counter[str] = Counter()

    def make(self) -> None:
        run("ip", "netns", "add", self.netns)
        # An address of its own: else it takes the lowest of its ports' and changes it when that host goes off; the
        # others learn that only from ARP's time-outs.
        bridge = (
            f"link add br0 address {_BRIDGE_MAC} type bridge",
            f"addr add {PREFIX}.1/24 dev br0",
            "link set br0 up",
        )
        _ip(self.netns, "link set lo up", *bridge)

    def connect(self, host: str, netns: str, ip: str) -> None:
        """Makes the host's network namespace with its ``eth0`` on the bridge."""
        self._boots[host] += 1
        port = self._port(host)
        run("ip", "netns", "add", netns)
        _ip(self.netns, f"link add {port} type veth peer name eth0 netns {netns}", f"link set {port} master br0 up")
        _ip(netns, "link set lo up", f"addr add {ip}/24 dev eth0", "link set eth0 up")

    def silence(self, host: str) -> None:
        """From now on nothing of the host is heard on the segment."""
        _ip(self.netns, f"link set {self._port(host)} down")

    def disconnect(self, host: str, netns: str) -> None:
        _ip(self.netns, f"link delete {self._port(host)}")
        run("ip", "netns", "delete", netns)

    def _port(self, host: str) -> str:
        return f"{host[:10]}.{self._boots[host]}"


def run(*argv: str, stdin: str | None = None) -> str:
    """A tool's output as text. Raises LabFailed with its words if it refuses."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabFailed(f"`{' '.join(argv)}` ended with {done.returncode}: {done.stderr.strip()}\n{stdin or ''}")
    return done.stdout


def _ip(netns: str, *lines: str) -> None:
    run("ip", "-n", netns, "-batch", "-", stdin="".join(f"{line}\n" for line in lines))

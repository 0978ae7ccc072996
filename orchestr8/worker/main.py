"""What runs in a worker: its identity, the container runtime, the pod network, and the agent that uses both.

The worker needs no master to start: the last accepted assignments are on its disk. On a stop it only lets go; the
containers, their addresses and the Service rules stay as they are.
"""

from __future__ import annotations

import fcntl
import functools
import random
import socket
import struct
from pathlib import Path

import trio

from orchestr8 import __version__
from orchestr8.clock import Clock
from orchestr8.config import WorkerSettings
from orchestr8.errors import ConfigError
from orchestr8.pki import contexts, files, join, renewal
from orchestr8.rpc.client import connect
from orchestr8.rpc.network import TlsNetwork, split_address
from orchestr8.supervise import Lifetime
from orchestr8.worker.agent.main import run_agent
from orchestr8.worker.agent.settings import AgentSettings
from orchestr8.worker.network.kernel import KernelNetwork
from orchestr8.worker.runtime.podman import open_podman

_ELSEWHERE = "192.0.2.1"  # TEST-NET-1 (RFC 5737): routed like the internet, nobody's
_SIOCGIFADDR = 0x8915


async def run_worker(settings: WorkerSettings, lifetime: Lifetime) -> None:
    """A worker of this host until ``lifetime`` stops it. Raises ConfigError if it has not joined."""
    worker = settings.worker
    clock, chance = Clock(), random.SystemRandom()
    folder = Path(worker.data_dir)
    identity = await trio.to_thread.run_sync(files.load_identity, folder / "pki")
    if identity is None or not worker.masters:
        raise ConfigError(
            f"this worker has not joined a cluster ({folder}/pki or worker.masters is empty): run"
            " `orchestr8 token create` on a master, then the `orchestr8 join` line it prints here"
        )
    network = TlsNetwork(client=contexts.rpc_client(identity.ca_pem, identity))
    podman = functools.partial(open_podman, worker.podman_socket or f"{worker.run_dir}/podman.sock")
    async with trio.open_nursery() as nursery, podman(foreign=bool(worker.podman_socket)) as runtime:
        nursery.start_soon(_keep_certificate_fresh, folder, identity, network, worker.masters, clock, chance)
        agent = functools.partial(
            run_agent,
            AgentSettings(
                node_name=worker.name,
                node_ip=worker.address or address_towards(worker.masters[0]),
                masters=worker.masters,
                labels=worker.labels,
                taints=worker.taints,
                max_pods=worker.max_pods,
                reserved_cpu_millis=worker.reserved_cpu_millis,
                reserved_memory_bytes=worker.reserved_memory_bytes,
                version=f"v{__version__}",
            ),
            runtime,
            KernelNetwork(),
            network,
            clock,
            chance,
            state_dir=folder,
            run_dir=Path(worker.run_dir),
        )
        await nursery.start(agent)
        lifetime.ready(f"node {worker.name} runs its pods")
        await lifetime.stopping.wait()
        nursery.cancel_scope.cancel()


def address_towards(master: str) -> str:
    """This host's address on the route to ``master`` (host:port). No packet is sent."""
    host, port = split_address(master)
    try:
        return _source_address(host, port)
    except OSError as error:
        raise ConfigError(
            f"there is no route to master {master}: {error.strerror}; set worker.address to this host's own address"
        ) from error


def main_address() -> str:
    """This host's address on its default route, else that of its first link but loopback. No packet is sent."""
    try:
        return _source_address(_ELSEWHERE, 9)
    except OSError:  # no default route
        return next(filter(None, map(_address_of, _links())), "127.0.0.1")


def _source_address(host: str, port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, port))
        return str(probe.getsockname()[0])


def _links() -> list[str]:
    """Names of the links that are neither loopback nor made for pods."""
    return [name for _, name in socket.if_nameindex() if not name.startswith(("lo", "o8", "podman", "cni", "veth"))]


def _address_of(link: str) -> str:
    """The IPv4 address of a link, or "": netdevice(7), SIOCGIFADDR."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", link.encode()))
        except OSError:
            return ""
    return socket.inet_ntoa(answer[20:24])


async def _keep_certificate_fresh(
    folder: Path,
    identity: files.Identity,
    network: TlsNetwork,
    masters: tuple[str, ...],
    clock: Clock,
    chance: random.Random,
) -> None:
    """Also brings back a worker whose certificate ended while it was off: its pods run meanwhile, from its disk."""

    async def renew(old: files.Identity) -> files.Identity:
        if renewal.is_expired(old, clock.now()):
            renewed = await join.renew_expired(masters, old)
        else:
            async with connect(network, chance.choice(masters)) as connection:
                renewed = await join.renew(connection, old)
        await trio.to_thread.run_sync(files.save_identity, folder / "pki", renewed)
        return renewed

    def use(renewed: files.Identity) -> None:
        network.use(client=contexts.rpc_client(renewed.ca_pem, renewed))

    await renewal.keep_fresh(identity, renew, use, clock, chance)

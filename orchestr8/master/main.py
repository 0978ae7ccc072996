"""What runs in a master: read ``serve_master`` top to bottom.

``run_master`` gathers the real things a master stands on (certificates, TLS, disk, time, chance); ``serve_master`` is
the same task tree in production and in simulation. Both end when the role is asked to stop, after leadership was handed
over and requests under way were answered; anything unexpected leaves as an error and ends the process.
"""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import trio

from orchestr8.clock import Clock
from orchestr8.config import MasterSettings
from orchestr8.errors import ConfigError, Unauthenticated, Unavailable
from orchestr8.master import status
from orchestr8.master.apiserver.deps import ApiDeps, Identity
from orchestr8.master.apiserver.server import serve_api
from orchestr8.master.controllers.loop import run_controllers
from orchestr8.master.controllers.registry import ControllerSettings
from orchestr8.master.nodes.service import NodeService
from orchestr8.master.scheduler import explain
from orchestr8.master.scheduler.shell import run_scheduler
from orchestr8.names import Names, system_names
from orchestr8.pki import bearer, ca, contexts, files, renewal
from orchestr8.pki.bootstrap import BootstrapTokens
from orchestr8.pki.desk import Desk
from orchestr8.raft.disk import Disk, FolderDisk
from orchestr8.raft.leadership import Leadership
from orchestr8.raft.store import RaftSettings, ReplicatedStore, open_store
from orchestr8.rpc.client import connect
from orchestr8.rpc.network import Network, TlsNetwork
from orchestr8.rpc.server import serve
from orchestr8.rpc.service import Service
from orchestr8.supervise import Lifetime

_QUORUM_PATIENCE_SECONDS = 10.0  # how long readiness waits for the others; a first master must not wait for ever
_STATUS_LINE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What a master stands on. Simulation gives every part another."""

    network: Network
    disk: Disk
    clock: Clock
    names: Names
    chance: random.Random


class ServeApi(Protocol):
    """Serves the API until ``stopping``; started when it listens."""

    def __call__(
        self, deps: ApiDeps, *, stopping: trio.Event, task_status: trio.TaskStatus[Any]
    ) -> Awaitable[None]: ...


async def run_master(settings: MasterSettings, lifetime: Lifetime) -> None:
    """A master of this host, for real, until ``lifetime`` stops it. Raises ConfigError if it was never set up."""
    clock, chance = Clock(), random.SystemRandom()
    folder = Path(settings.master.data_dir)
    authority = await trio.to_thread.run_sync(files.load_authority, folder / "pki")
    if authority is None:
        raise ConfigError(
            f"{folder}/pki has no cluster CA: run `orchestr8 master init` on the first master,"
            " `orchestr8 join ADDRESS TOKEN --master` on the others"
        )
    addresses = (settings.master.address, settings.master.name)
    renew_master = functools.partial(
        renewal.master_identity, folder / "pki", authority, settings.master.name, addresses
    )
    identity = await trio.to_thread.run_sync(renew_master, clock.now())
    api_tls = contexts.api_server(identity)
    network = TlsNetwork(client=contexts.rpc_client(identity.ca_pem, identity), server=contexts.rpc_server(identity))

    def use(renewed: files.Identity) -> None:
        network.use(client=contexts.rpc_client(renewed.ca_pem, renewed), server=contexts.rpc_server(renewed))
        contexts.reload(api_tls, renewed)

    async def renew(_: files.Identity) -> files.Identity:
        return await trio.to_thread.run_sync(renew_master, clock.now())

    async def api(deps: ApiDeps, *, stopping: trio.Event, task_status: trio.TaskStatus[Any]) -> None:
        await serve_api(
            deps, api_tls, settings.master.listen, settings.master.api_port, stopping=stopping, task_status=task_status
        )

    async with FolderDisk(folder / "raft") as disk, trio.open_nursery() as nursery:
        nursery.start_soon(renewal.keep_fresh, identity, renew, use, clock, chance)
        ground = Ground(network, disk, clock, system_names(), chance)
        await serve_master(settings, ground, authority, lifetime, api=api)
        nursery.cancel_scope.cancel()


async def serve_master(
    settings: MasterSettings, ground: Ground, authority: ca.Authority, lifetime: Lifetime, *, api: ServeApi
) -> None:
    """The task tree of a master."""
    me = settings.master.name
    members = settings.members or {me: f"{settings.master.address}:{settings.master.rpc_port}"}
    offered = Service()
    raft_settings = RaftSettings(node_id=me, members=members)
    async with open_store(raft_settings, ground.network, ground.disk, ground.chance, offered) as store:
        nodes = NodeService(
            store,
            me=me,
            members=members,
            dial=lambda address: connect(ground.network, address, offered),
            clock=ground.clock,
            names=ground.names,
            chance=ground.chance,
            service_cidr=settings.network.service_cidr,
        )
        tokens = BootstrapTokens(Path(settings.master.data_dir) / "bootstrap-tokens")
        desk = Desk(authority, members, store, ground.clock, ground.names, tokens)
        offered.include(nodes.service)
        offered.include(desk.service())
        deps = _api_deps(settings, ground, authority, store, nodes)
        async with trio.open_nursery() as nursery:
            rpc_address = f"{settings.master.listen}:{settings.master.rpc_port}"
            await nursery.start(serve, ground.network, rpc_address, offered, nodes.on_connection)
            nursery.start_soon(nodes.run)
            nursery.start_soon(run_scheduler, store, ground.clock, ground.names)
            nursery.start_soon(store.while_leading, _controllers(settings, ground, store, nodes))
            api_stopped = trio.Event()
            api_stopping = trio.Event()

            async def run_api(task_status: trio.TaskStatus[Any]) -> None:
                await api(deps, stopping=api_stopping, task_status=task_status)
                api_stopped.set()

            await nursery.start(run_api)
            nursery.start_soon(_tell_readiness, store, lifetime)
            await lifetime.stopping.wait()
            await store.transfer_leadership()
            api_stopping.set()
            await api_stopped.wait()
            nursery.cancel_scope.cancel()


def _controllers(
    settings: MasterSettings, ground: Ground, store: ReplicatedStore, nodes: NodeService
) -> Callable[[Leadership], Awaitable[None]]:
    ranges = ControllerSettings(
        cluster_cidr=settings.network.cluster_cidr,
        service_cidr=settings.network.service_cidr,
        node_port_range=settings.network.node_port_range,
        eviction_seconds=settings.master.eviction_seconds,
    )

    async def lead(leadership: Leadership) -> None:
        await run_controllers(leadership, store, ground.clock, ground.names, nodes.heartbeats, ranges)

    return lead


def _api_deps(
    settings: MasterSettings, ground: Ground, authority: ca.Authority, store: ReplicatedStore, nodes: NodeService
) -> ApiDeps:
    def verify(token: str) -> Identity | None:
        try:
            found = bearer.verify(authority.certificate, token, ground.clock.now())
        except Unauthenticated:
            return None
        return Identity(found.user, found.groups)

    def why(namespace: str, pod: str) -> Any:
        answer = explain.explain(store.view(), namespace, pod)
        return {"text": explain.table(answer, ground.clock.now()), "explanation": answer}

    return ApiDeps(
        store=store,
        sessions=nodes.workers,
        names=ground.names,
        clock=ground.clock,
        verifier=verify,
        status_fn=lambda: status.cluster_status(store.status(), store.view()),
        why_fn=why,
        service_cidr=settings.network.service_cidr,
        node_port_range=settings.network.node_port_range,
        ready_fn=lambda: "" if status.has_quorum(store.status()) else "no quorum: no leader is heard",
    )


async def _tell_readiness(store: ReplicatedStore, lifetime: Lifetime) -> None:
    """Ready when this master has applied what was acknowledged before it came, or when there is no quorum to ask."""
    with trio.move_on_after(_QUORUM_PATIENCE_SECONDS), contextlib.suppress(Unavailable):
        await store.read_barrier()
    told = status.one_line(store.status(), store.view())
    lifetime.ready(told)
    while True:
        await trio.sleep(_STATUS_LINE_SECONDS)
        line = status.one_line(store.status(), store.view())
        if line != told:
            told = line
            lifetime.status(line)

"""What must hold in every simulated cluster: at each look, and once everything has healed.

Each check returns its complaints as sentences; none means that it holds.
"""

from __future__ import annotations

from collections import defaultdict

from orchestr8.api.node import Node
from orchestr8.api.pod import Pod
from orchestr8.api.service import EndpointSlice
from orchestr8.api.workloads import Deployment
from orchestr8.store.view import View
from orchestr8.worker.runtime.base import ContainerPhase, Sandbox
from tests.simulation.cluster.client import Client
from tests.simulation.cluster.world import SimWorker, World


async def no_pod_on_two_nodes(world: World) -> list[str]:
    """Never two running containers of one pod uid on two hosts."""
    where: dict[str, set[str]] = defaultdict(set)
    for worker in world.workers.values():
        for sandbox in await live_sandboxes(worker):
            where[sandbox.pod_uid].add(worker.name)
    return [f"pod {uid} runs on {' and '.join(sorted(names))}" for uid, names in where.items() if len(names) > 1]


async def no_address_twice(world: World) -> list[str]:
    """No two live pods of the cluster have one address."""
    owners: dict[str, set[str]] = defaultdict(set)
    for worker in world.workers.values():
        living = {sandbox.pod_uid for sandbox in await live_sandboxes(worker)}
        for uid, address in worker.kernel.addresses.items():
            if uid in living:
                owners[address].add(uid)
    return [f"{address} belongs to pods {', '.join(sorted(uids))}" for address, uids in owners.items() if len(uids) > 1]


def masters_agree(world: World) -> list[str]:
    """All masters that have applied the log up to one index have the same state."""
    digests: dict[int, set[str]] = defaultdict(set)
    for store in world.stores():
        digests[store.status().applied_index].add(store.digest())
    return [f"states differ at index {index}" for index, seen in digests.items() if len(seen) > 1]


def nothing_acknowledged_is_lost(world: World, client: Client) -> list[str]:
    complaints = []
    for deps in world.api():
        view = deps.store.view()
        for name, value in client.acknowledged.items():
            stored = view.stored("ConfigMap", "default", name)
            if stored is None or stored.obj.data.get("value") != value:  # type: ignore[attr-defined]
                complaints.append(f"{name} was acknowledged and is not on every master")
    return sorted(set(complaints))


async def converged(world: World) -> list[str]:
    """All masters agree; what was made is there; every Deployment has its replicas, ready, behind its Service; no
    container is left over."""
    masters = world.api()
    if len(masters) < len(world.masters):
        return ["a master is down"]
    if len({deps.store.revision for deps in masters}) != 1:
        return ["masters are at different revisions"]
    view = masters[0].store.view()
    complaints = [f"node {n.metadata.name} is not ready" for n in view.list(Node) if not _is(n, "Ready")]
    complaints += [f"{key.kind} {key.name} is gone" for key in sorted(world.created) if view.stored(*key) is None]
    for deployment in view.list(Deployment):
        complaints += _deployment(view, deployment)
    wanted = {pod.metadata.uid for pod in view.list(Pod)}
    for worker in world.workers.values():
        for sandbox in await live_sandboxes(worker):
            if sandbox.pod_uid not in wanted:
                complaints.append(f"{worker.name} still runs {sandbox.pod_uid}, which no pod owns")
    return complaints


async def live_sandboxes(worker: SimWorker) -> list[Sandbox]:
    """Those with a container that runs."""
    return [
        sandbox
        for sandbox in await worker.runtime.list_sandboxes()
        if any(container.phase is ContainerPhase.RUNNING for container in sandbox.containers)
    ]


def _deployment(view: View, deployment: Deployment) -> list[str]:
    name, wanted = deployment.metadata.name or "", deployment.spec.replicas
    status = deployment.status
    if (status.replicas or 0, status.ready_replicas or 0, status.updated_replicas or 0) != (wanted, wanted, wanted):
        return [
            f"deployment {name} wants {wanted}: has {status.replicas}, ready {status.ready_replicas},"
            f" updated {status.updated_replicas}"
        ]
    ready = {
        pod.status.pod_ip
        for pod in view.list(Pod, "default")
        if _is(pod, "Ready") and pod.metadata.labels.get("app") == name
    }
    behind = {
        address
        for piece in view.list(EndpointSlice, "default")
        if piece.metadata.labels.get("kubernetes.io/service-name") == name
        for endpoint in piece.endpoints
        if endpoint.conditions is not None and endpoint.conditions.ready
        for address in endpoint.addresses
    }
    return [] if behind == ready else [f"service {name} has {sorted(behind)}, its ready pods are {ready}"]


def _is(obj: Node | Pod, condition: str) -> bool:
    return any(each.type == condition and each.status == "True" for each in obj.status.conditions)

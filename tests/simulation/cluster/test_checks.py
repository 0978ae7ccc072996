"""The checkers can fail: each finds the fault that is planted for it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.simulation.cluster import checks
from tests.simulation.cluster.client import Client, deployment, service
from tests.simulation.cluster.run import Violation, _raise
from tests.simulation.cluster.world import World, world_of


async def settle(world: World) -> None:
    with trio.fail_after(60):
        while await checks.converged(world):  # noqa: ASYNC110 - time is virtual
            await trio.sleep(0.2)


async def test_a_pod_that_runs_twice_is_found(autojump_clock: MockClock) -> None:
    async with world_of(1) as world:
        client = Client(world)
        await client.create(deployment("web", 2))
        await client.create(service("web"))
        await settle(world)
        one, other = world.workers.values()
        await other.kill()
        other.runtime._sandboxes.update(one.runtime._sandboxes)
        other.runtime._containers.update(one.runtime._containers)
        assert await checks.no_pod_on_two_nodes(world)


async def test_an_address_that_two_pods_have_is_found(autojump_clock: MockClock) -> None:
    async with world_of(1) as world:
        client = Client(world)
        await client.create(deployment("web", 4))
        await client.create(service("web"))
        await settle(world)
        for worker in world.workers.values():
            worker.kernel.addresses = dict.fromkeys(worker.kernel.addresses, "10.70.0.9")
        assert await checks.no_address_twice(world)


async def test_a_lost_write_is_found(autojump_clock: MockClock) -> None:
    async with world_of(1) as world:
        client = Client(world)
        client.acknowledged["never-written"] = "1"
        await settle(world)
        assert checks.nothing_acknowledged_is_lost(world, client)


async def test_a_container_without_a_pod_is_found(autojump_clock: MockClock) -> None:
    async with world_of(1) as world:
        client = Client(world)
        await client.create(deployment("web", 1))
        await client.create(service("web"))
        await settle(world)
        for worker in world.workers.values():
            for sandbox in await checks.live_sandboxes(worker):
                await worker.kill()
                worker.runtime._sandboxes[sandbox.id] = type(sandbox)(
                    id=sandbox.id,
                    pod_uid="stranger",
                    labels=sandbox.labels,
                    network_pid=sandbox.network_pid,
                    created_at=sandbox.created_at,
                )
        assert [line for line in await checks.converged(world) if "which no pod owns" in line]


async def test_a_violation_tells_how_to_replay_it(autojump_clock: MockClock) -> None:
    async with world_of(7) as world:
        with pytest.raises(Violation, match=r"python -m tests\.simulation\.cluster 7"):
            _raise(world, ["something is wrong"])

"""One simulated life of a cluster: a user works, things break by seed, everything is mended, then it must be right."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
import trio.testing
from trio._core import _run as trio_run

from tests.simulation.cluster import checks
from tests.simulation.cluster.client import Client, deployment, service
from tests.simulation.cluster.world import World, world_of

FAULTS = 6
HEAL_SECONDS = 90.0
_LOOK_SECONDS = 0.25


class Violation(AssertionError):
    """A check failed; the message is the story of the run and the command that replays it."""


def simulate(seed: int) -> World:
    """Runs one seed to its end; raises Violation. One seed gives one life, in another process too."""
    trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True  # else trio shuffles tasks that are ready together
    trio_run._r.seed(seed)
    return trio.run(_life, seed, clock=trio.testing.MockClock(autojump_threshold=0))


async def _life(seed: int) -> World:
    async with world_of(seed) as world:
        client = Client(world)
        await client.create(deployment("web", 3))
        await client.create(service("web"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.write_for_ever)
            nursery.start_soon(_watch, world)
            await _until_converged(world, "after the start")
            for _ in range(FAULTS):
                name, fault = world.random.choice(_FAULTS)
                world.tell(name)
                await fault(world, client)
                await trio.sleep(world.random.uniform(0.2, 12.0))
            await _mend(world)
            await _until_converged(world, "after everything was mended")
            nursery.cancel_scope.cancel()
        _raise(world, checks.nothing_acknowledged_is_lost(world, client))
        assert client.acknowledged, "the run wrote nothing: it tested nothing"
        return world


async def _watch(world: World) -> None:
    while True:
        found = await checks.no_pod_on_two_nodes(world) + await checks.no_address_twice(world)
        _raise(world, found + checks.masters_agree(world))
        await trio.sleep(_LOOK_SECONDS)


async def _until_converged(world: World, when: str) -> None:
    with trio.move_on_after(HEAL_SECONDS) as patience:
        while await checks.converged(world):  # noqa: ASYNC110 - time is virtual
            await trio.sleep(_LOOK_SECONDS)
    if patience.cancelled_caught:
        _raise(world, [f"{when}, within {HEAL_SECONDS} s: {line}" for line in await checks.converged(world)])


def _raise(world: World, complaints: list[str]) -> None:
    if complaints:
        world.tell("VIOLATION: " + "; ".join(complaints))
        story = "\n".join(world.story)
        raise Violation(
            f"seed {world.seed}\n{story}\nreplay: .venv/bin/python -m tests.simulation.cluster {world.seed}"
        )


# -- faults ----------------------------------------------------------------------------------------------------


async def _kill_master(world: World, client: Client) -> None:
    running = [master for master in world.masters.values() if master.running]
    if len(running) == len(world.masters):
        victim = world.random.choice(running)
        world.tell(f"  {victim.name}")
        await victim.kill()


async def _start_masters(world: World, client: Client) -> None:
    for master in world.masters.values():
        if not master.running:
            world.tell(f"  {master.name}")
            await master.start()


async def _all_masters_lose_power(world: World, client: Client) -> None:
    for master in world.masters.values():
        if master.running:
            await master.kill()
    await trio.sleep(world.random.uniform(0.1, 20.0))
    await _start_masters(world, client)


async def _cut_somebody_off(world: World, client: Client) -> None:
    everybody = [*world.masters, *world.workers]
    victim = world.random.choice(everybody)
    world.tell(f"  {victim}")
    world.network.isolate(victim, everybody)


async def _heal(world: World, client: Client) -> None:
    world.network.heal()


async def _restart_a_worker(world: World, client: Client) -> None:
    worker = world.random.choice([*world.workers.values()])
    world.tell(f"  {worker.name}")
    if worker.running:
        await worker.kill()
    await trio.sleep(world.random.uniform(0.0, 2.0))
    await worker.start()


async def _worker_loses_power(world: World, client: Client) -> None:
    worker = world.random.choice([*world.workers.values()])
    world.tell(f"  {worker.name}")
    await worker.lose_power()


async def _kill_a_container(world: World, client: Client) -> None:
    for worker in world.workers.values():
        for sandbox in await checks.live_sandboxes(worker):
            world.tell(f"  {sandbox.containers[0].name} of {sandbox.pod_uid} on {worker.name}")
            worker.runtime.kill(sandbox.containers[0].id)
            return


async def _delete_a_pod(world: World, client: Client) -> None:
    world.tell(f"  {await client.delete_a_pod()}")


async def _scale(world: World, client: Client) -> None:
    replicas = world.random.randint(1, 8)
    world.tell(f"  to {replicas}")
    with trio.move_on_after(10):
        await client.scale("web", replicas)


async def _roll(world: World, client: Client) -> None:
    with trio.move_on_after(10):
        await client.set_image("web", f"registry/web:{world.random.randint(2, 9)}")


async def _mend(world: World) -> None:
    world.tell("everything is mended")
    world.network.heal()
    for master in world.masters.values():
        if not master.running:
            await master.start()
    for worker in world.workers.values():
        if not worker.running:
            await worker.start()


_FAULTS: list[tuple[str, Callable[[World, Client], Awaitable[None]]]] = [
    ("kill a master", _kill_master),
    ("kill a master", _kill_master),
    ("start the masters that are down", _start_masters),
    ("all masters lose power", _all_masters_lose_power),
    ("cut somebody off", _cut_somebody_off),
    ("cut somebody off", _cut_somebody_off),
    ("heal the network", _heal),
    ("restart a worker's process", _restart_a_worker),
    ("a worker loses power", _worker_loses_power),
    ("kill a container", _kill_a_container),
    ("delete a pod", _delete_a_pod),
    ("scale", _scale),
    ("roll to another image", _roll),
]

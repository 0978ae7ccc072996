"""The API of three real masters (virtual clock, network and disks in memory): any of them serves, whoever leads."""

from __future__ import annotations

import json

import trio

from orchestr8.master.apiserver.deps import ApiDeps
from orchestr8.master.apiserver.handler import ApiHandler
from orchestr8.master.apiserver.messages import Answer, Query, Request, Response, StreamResponse
from orchestr8.raft.store import ReplicatedStore
from tests.simulation.cluster.world import World, world_of
from tests.unit.master.apiserver.samples import CONFIG_MAPS, config_map
from tests.unit.master.apiserver.stand_in import ADMIN


async def _leader(world: World) -> str:
    """The master that leads, once all agree and the first namespaces are there."""
    while True:
        stores = [store for store in world.stores() if isinstance(store, ReplicatedStore)]
        leaders = {store.status().leader for store in stores}
        settled = all(store.view().stored("Namespace", "", "default") is not None for store in stores)
        if settled and len(leaders) == 1 and None not in leaders:
            return str(leaders.pop())
        await trio.sleep(0.1)


async def _ask(api: ApiHandler, method: str, path: str, body: object = None) -> Answer:
    bare, _, query = path.partition("?")
    data = json.dumps(body).encode() if body is not None else b""
    return await api.handle(Request(method, bare, Query.parse(query), body=data, certificate=ADMIN))


async def test_a_write_on_a_follower_is_read_on_every_master_at_once(autojump_clock: object) -> None:
    async with world_of(seed=11, masters=3, workers=0) as world:
        leader = await _leader(world)
        apis = {name: ApiHandler(_deps(world, name)) for name in world.masters}
        followers = [name for name in apis if name != leader]
        made = await _ask(apis[followers[0]], "POST", CONFIG_MAPS, config_map("c"))
        assert isinstance(made, Response) and made.status == 201
        for name in apis:
            read = await _ask(apis[name], "GET", f"{CONFIG_MAPS}/c")
            assert isinstance(read, Response) and read.status == 200 and read.body == made.body


async def test_a_watch_on_a_follower_survives_the_loss_of_the_leader(autojump_clock: object) -> None:
    async with world_of(seed=12, masters=3, workers=0) as world:
        leader = await _leader(world)
        apis = {name: ApiHandler(_deps(world, name)) for name in world.masters}
        watcher, writer = (name for name in apis if name != leader)
        seen: list[str] = []
        came = trio.Event()

        async def send(data: bytes) -> None:
            for line in data.splitlines():
                seen.append(json.loads(line)["object"]["metadata"]["name"])
                if seen[-1] == "after":
                    came.set()

        watch = await _ask(apis[watcher], "GET", f"{CONFIG_MAPS}?watch=true")
        assert isinstance(watch, StreamResponse)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.run, send)
            await _ask(apis[writer], "POST", CONFIG_MAPS, config_map("before"))
            await world.masters[leader].kill()
            with trio.fail_after(60):
                made = await _ask(apis[writer], "POST", CONFIG_MAPS, config_map("after"))
                assert isinstance(made, Response) and made.status == 201, made.body
                await came.wait()
            nursery.cancel_scope.cancel()
        assert seen == ["before", "after"]


async def test_without_a_majority_reads_from_memory_go_on_and_the_rest_is_told_503(autojump_clock: object) -> None:
    async with world_of(seed=13, masters=3, workers=0) as world:
        leader = await _leader(world)
        await _ask(ApiHandler(_deps(world, leader)), "POST", CONFIG_MAPS, config_map("c"))
        survivor = next(name for name in world.masters if name != leader)
        api = ApiHandler(_deps(world, survivor))
        await _ask(api, "GET", f"{CONFIG_MAPS}/c")  # linearizable: from here on it is in this master's memory
        for name in world.masters:
            if name != survivor:
                await world.masters[name].kill()
        await trio.sleep(10)
        old = await _ask(api, "GET", f"{CONFIG_MAPS}/c?resourceVersion=0")
        assert isinstance(old, Response) and old.status == 200
        status = await _ask(api, "GET", "/orchestr8/v1/status")
        assert isinstance(status, Response) and json.loads(status.body)["quorum"] is False
        for method, path, body in (("GET", f"{CONFIG_MAPS}/c", None), ("POST", CONFIG_MAPS, config_map("d"))):
            refused = await _ask(api, method, path, body)
            assert isinstance(refused, Response) and refused.status in (503, 504), refused.body
            assert b"leader" in refused.body or b"answer" in refused.body


def _deps(world: World, name: str) -> ApiDeps:
    deps = world.masters[name].deps
    assert deps is not None
    return deps

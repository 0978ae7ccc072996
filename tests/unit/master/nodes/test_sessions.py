"""Streams reach a worker from any master, and every master knows when each worker was last heard of."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from orchestr8.errors import Forbidden, NotFound, Unavailable
from orchestr8.rpc.client import connect
from orchestr8.rpc.service import MASTERS, MessageStream, Peer, Service
from tests.unit.master.nodes.fakes import Masters, master_peer, masters
from tests.unit.master.nodes.test_service import register

THREE = ("m1", "m2", "m3")


async def logs(peer: Peer, params: Any, stream: MessageStream) -> None:
    """Three lines of a container that exists; what happens here happens on the worker."""
    if params["uid"] != "u1":
        raise NotFound(f"no pod {params['uid']} on this node")
    for i in range(3):
        await stream.send(f"line {i}\n".encode())


async def echo(peer: Peer, params: Any, stream: MessageStream) -> None:
    async for message in stream:
        await stream.send({"channel": "stdout", "data": message["data"].upper()})
    await stream.send({"exit_code": 7})


def worker_service(**streams: Any) -> Service:
    return Service(streams={"pod.logs": logs, "pod.exec": echo, **streams}, roles=(MASTERS,))


async def settled(made: Masters) -> None:
    """Links are up and reports were exchanged."""
    await trio.sleep(3)


@pytest.mark.parametrize("asked", THREE)
async def test_logs_come_from_whichever_master_is_asked(asked: str, autojump_clock: trio.abc.Clock) -> None:
    async with masters(*THREE) as made, made.worker("w1", "m2", worker_service()):
        await settled(made)
        async with made.nodes[asked].workers.open_stream("w1", "pod.logs", {"uid": "u1"}) as stream:
            assert [line async for line in stream] == [b"line 0\n", b"line 1\n", b"line 2\n"]


@pytest.mark.parametrize("asked", ["m2", "m3"])
async def test_exec_goes_both_ways_and_ends_with_its_exit_code(asked: str, autojump_clock: trio.abc.Clock) -> None:
    async with masters(*THREE) as made, made.worker("w1", "m2", worker_service()):
        await settled(made)
        async with made.nodes[asked].workers.open_stream("w1", "pod.exec", {"uid": "u1"}) as stream:
            await stream.send({"channel": "stdin", "data": b"hello"})
            assert (await stream.receive())["data"] == b"HELLO"
            await stream.send_eof()
            assert [message async for message in stream] == [{"exit_code": 7}]


@pytest.mark.parametrize("asked", ["m2", "m3"])
async def test_the_workers_error_reaches_who_asked(asked: str, autojump_clock: trio.abc.Clock) -> None:
    async with masters(*THREE) as made, made.worker("w1", "m2", worker_service()):
        await settled(made)
        async with made.nodes[asked].workers.open_stream("w1", "pod.logs", {"uid": "other"}) as stream:
            with pytest.raises(NotFound, match="no pod other"):
                await stream.receive()


@pytest.mark.parametrize("asked", ["m2", "m3"])
async def test_leaving_a_stream_ends_it_on_the_worker(asked: str, autojump_clock: trio.abc.Clock) -> None:
    ended = trio.Event()

    async def follow(peer: Peer, params: Any, stream: MessageStream) -> None:
        try:
            await stream.send(b"first")
            await trio.sleep_forever()
        finally:
            ended.set()

    async with masters(*THREE) as made, made.worker("w1", "m2", worker_service(**{"pod.logs": follow})):
        await settled(made)
        async with made.nodes[asked].workers.open_stream("w1", "pod.logs", {}) as stream:
            assert await stream.receive() == b"first"
        await ended.wait()


async def test_a_slow_reader_holds_up_the_worker_and_not_the_masters_memory(autojump_clock: trio.abc.Clock) -> None:
    sent = 0

    async def flood(peer: Peer, params: Any, stream: MessageStream) -> None:
        nonlocal sent
        while True:
            await stream.send(b"x")
            sent += 1

    async with masters(*THREE) as made, made.worker("w1", "m2", worker_service(**{"pod.logs": flood})):
        await settled(made)
        async with made.nodes["m3"].workers.open_stream("w1", "pod.logs", {}) as stream:
            await stream.receive()
            await trio.sleep(5)
            assert sent < 4 * 64


async def test_a_stream_to_a_worker_that_nobody_hears_says_so(autojump_clock: trio.abc.Clock) -> None:
    async with masters(*THREE) as made:
        await settled(made)
        with pytest.raises(Unavailable, match="node w9 is not connected"):
            async with made.nodes["m1"].workers.open_stream("w9", "pod.logs", {}):
                raise AssertionError("opened")


async def test_a_stream_breaks_with_a_clear_error_when_the_worker_goes(autojump_clock: trio.abc.Clock) -> None:
    async def follow(peer: Peer, params: Any, stream: MessageStream) -> None:
        await stream.send(b"first")
        await trio.sleep_forever()

    async with masters(*THREE) as made:
        async with trio.open_nursery() as nursery:
            gone = trio.CancelScope()

            async def worker() -> None:
                with gone:
                    async with made.worker("w1", "m2", worker_service(**{"pod.logs": follow})):
                        await trio.sleep_forever()

            nursery.start_soon(worker)
            await settled(made)
            async with made.nodes["m1"].workers.open_stream("w1", "pod.logs", {}) as stream:
                await stream.receive()
                gone.cancel()
                with pytest.raises(Unavailable):
                    await stream.receive()


async def test_masters_relay_nothing_but_logs_and_exec(autojump_clock: trio.abc.Clock) -> None:
    async with masters("m1") as made, connect(made.network.of(master_peer("m2")), "m1:7443") as other:
        params = {"node": "w1", "method": "node.shutdown", "params": {}}
        async with other.stream("master.worker_stream", params) as stream:
            with pytest.raises(Forbidden):
                await stream.receive()


async def test_a_newer_connection_of_a_worker_replaces_the_older(autojump_clock: trio.abc.Clock) -> None:
    async def older(peer: Peer, params: Any, stream: MessageStream) -> None:
        await stream.send(b"from the older")

    async with masters("m1") as made:
        async with made.worker("w1", "m1", worker_service(**{"pod.logs": older})):
            workers = made.nodes["m1"].workers
            async with made.worker("w1", "m1", worker_service()):
                await trio.sleep(1)
                async with workers.open_stream("w1", "pod.logs", {"uid": "u1"}) as stream:
                    assert await stream.receive() == b"line 0\n"
            await trio.sleep(1)
            # The newer one is gone; the older is not brought back behind the worker's back.
            with pytest.raises(Unavailable):
                async with workers.open_stream("w1", "pod.logs", {}):
                    raise AssertionError("opened")


async def test_every_master_knows_when_each_worker_was_last_heard_of(autojump_clock: trio.abc.Clock) -> None:
    async with masters(*THREE) as made, made.worker("w1", "m2") as worker:
        await settled(made)
        await register(worker)
        await worker.call("node.heartbeat", {"boot_id": "b", "sequence": 1})
        beaten = trio.current_time()
        await trio.sleep(4)
        for name in THREE:
            assert abs(made.nodes[name].heartbeats.last_seen("w1") - beaten) < 0.01


async def test_a_worker_is_found_at_once_after_it_moved_to_another_master(autojump_clock: trio.abc.Clock) -> None:
    async with masters(*THREE) as made:
        async with made.worker("w1", "m1", worker_service()):
            await settled(made)
        async with made.worker("w1", "m2", worker_service()):
            await trio.sleep(0.01)
            async with made.nodes["m3"].workers.open_stream("w1", "pod.logs", {"uid": "u1"}) as stream:
                assert await stream.receive() == b"line 0\n"


async def test_a_master_without_contact_to_the_others_sends_its_workers_away(autojump_clock: trio.abc.Clock) -> None:
    async with masters(*THREE) as made, made.worker("w1", "m2") as worker:
        await settled(made)
        await register(worker)
        await made.network.cut_off(("m2", "m1:7443"), ("m2", "m3:7443"), ("m1", "m2:7443"), ("m3", "m2:7443"))
        await trio.sleep(4)
        with pytest.raises(Unavailable, match="connect to another"):
            await worker.call("node.heartbeat", {"boot_id": "b", "sequence": 9})


async def test_links_between_masters_come_back_by_themselves(autojump_clock: trio.abc.Clock) -> None:
    async with masters(*THREE) as made, made.worker("w1", "m2") as worker:
        await settled(made)
        await register(worker)
        await made.network.cut_off(("m2", "m1:7443"), ("m2", "m3:7443"))
        await trio.sleep(60)
        made.network.cut.clear()
        await trio.sleep(10)
        await worker.call("node.heartbeat", {"boot_id": "b", "sequence": 9})
        beaten = trio.current_time()
        await trio.sleep(2)
        assert abs(made.nodes["m1"].heartbeats.last_seen("w1") - beaten) < 0.01

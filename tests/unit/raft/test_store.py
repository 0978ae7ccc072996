"""Masters in one process, with real rpc and files on a network and disks in memory, on a virtual clock."""

from __future__ import annotations

import errno
import itertools

import pytest
import trio
from trio.testing import MockClock

from orchestr8 import limits
from orchestr8.errors import (
    AlreadyExists,
    ConfigError,
    Conflict,
    Expired,
    LimitExceeded,
    OutcomeUnknown,
    TooManyRequests,
    Unavailable,
)
from orchestr8.raft.disk import SyncFailed
from orchestr8.raft.leadership import Leadership
from orchestr8.raft.store import RaftSettings, open_store
from orchestr8.rpc.client import connect
from orchestr8.rpc.service import MASTERS, NODES, Service
from orchestr8.store.command import Compare, Key, Put, Txn
from tests.simulation.raft.cluster import Cluster, put, running


def has(cluster: Cluster, name: str, what: str) -> bool:
    return cluster.stores[name].view().stored("ConfigMap", "default", what) is not None


def followers(cluster: Cluster) -> list[str]:
    return [name for name in cluster.stores if name != cluster.leader()]


# -- writing -------------------------------------------------------------------------------------------------------
async def test_a_write_on_any_master_is_seen_there_at_once_and_on_all_soon(autojump_clock: MockClock) -> None:
    async with running() as cluster:
        for place, name in enumerate(cluster.members, start=1):
            assert await cluster.propose(name, put(f"on-{name}")) == place
            assert has(cluster, name, f"on-{name}")
        await cluster.converge()


async def test_a_refused_transaction_raises_what_the_state_machine_said(autojump_clock: MockClock) -> None:
    async with running() as cluster:
        await cluster.propose("m1", put("a"))
        for name in cluster.members:
            with pytest.raises(Conflict):
                await cluster.propose(name, Txn(f"c-{name}", (Compare(Key("ConfigMap", "default", "a"), 77),), ()))
            with pytest.raises(AlreadyExists):
                await cluster.propose(name, Txn(f"e-{name}", (Compare(Key("ConfigMap", "default", "a"), 0),), ()))


async def test_writes_that_come_together_share_an_entry_and_a_disk_write(autojump_clock: MockClock) -> None:
    async with running() as cluster:
        leader = await cluster.wait_leader()
        await cluster.converge()
        before, entries = cluster.disks[leader].appends, cluster.stores[leader].status().last_index
        async with trio.open_nursery() as nursery:
            for number in range(400):
                nursery.start_soon(cluster.propose, leader, put(f"n{number}"))
        await cluster.converge()
        assert cluster.stores[leader].revision == 400
        assert cluster.stores[leader].status().last_index - entries <= 8
        assert cluster.disks[leader].appends - before <= 8


async def test_a_write_during_the_loss_of_the_leader_succeeds_and_the_client_hears_nothing_of_it(
    autojump_clock: MockClock,
) -> None:
    async with running() as cluster:
        leader = await cluster.wait_leader()
        survivor = followers(cluster)[0]
        await cluster.propose(survivor, put("before"))
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(cluster.propose, survivor, put(f"n{number}"))
            await trio.sleep(0.002)
            await cluster.kill(leader)
        assert all(has(cluster, survivor, f"n{number}") for number in range(20))
        assert cluster.stores[survivor].revision == 21, "each was applied once"


async def test_without_a_majority_a_write_ends_with_the_callers_deadline_and_says_what_is_known(
    autojump_clock: MockClock,
) -> None:
    async with running() as cluster:
        leader = await cluster.wait_leader()
        others = followers(cluster)
        cluster.network.isolate(leader, cluster.members)
        with pytest.raises(OutcomeUnknown):
            await cluster.propose(leader, put("in vain"), seconds=1.0)
        await cluster.kill(others[0])
        await trio.sleep(5.0)
        with pytest.raises(Unavailable):
            await cluster.propose(others[1], put("nobody leads"), seconds=2.0)


async def test_the_same_request_sent_again_is_applied_once(autojump_clock: MockClock) -> None:
    async with running() as cluster:
        first = await cluster.propose("m1", put("a", "x", request_id="same"))
        await cluster.kill(await cluster.wait_leader())
        again = await cluster.propose(next(iter(cluster.stores)), put("a", "x", request_id="same"))
        assert again == first


async def test_above_the_bound_of_proposals_the_answer_is_immediate(autojump_clock: MockClock) -> None:
    async with running() as cluster:
        leader = await cluster.wait_leader()
        cluster.network.isolate(leader, cluster.members)
        refused: list[float] = []

        async def propose(number: int) -> None:
            try:
                await cluster.propose(leader, put(f"n{number}"), seconds=1.0)
            except TooManyRequests:
                refused.append(trio.current_time())
            except OutcomeUnknown:
                pass

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(limits.PROPOSALS_IN_FLIGHT + 5):
                nursery.start_soon(propose, number)
        assert refused == [began] * 5


async def test_a_transaction_that_is_too_large_is_refused_before_it_travels(autojump_clock: MockClock) -> None:
    async with running() as cluster:
        body = b'{"metadata":{"name":"a","namespace":"n"},"data":{"x":"%s"}}' % (b"x" * limits.TXN_BYTES)
        with pytest.raises(LimitExceeded):
            await cluster.propose("m1", Txn("big", (), (Put(Key("ConfigMap", "n", "a"), body),)))


async def test_a_single_master_acknowledges_only_what_is_safe_on_its_disk(autojump_clock: MockClock) -> None:
    async with running(size=1) as cluster:
        for number in range(20):
            await cluster.propose("m1", put(f"n{number}"))
            if number % 5 == 4:
                await cluster.kill("m1")
                await cluster.start("m1")
        await cluster.wait_leader()
        assert all(has(cluster, "m1", f"n{number}") for number in range(20))


async def test_after_a_power_cut_of_all_masters_every_acknowledged_write_is_there(autojump_clock: MockClock) -> None:
    async with running(seed=5) as cluster:
        acknowledged = []

        async def write(name: str, number: int) -> None:
            for step in range(1_000):
                await cluster.propose(name, put(f"{name}-{number}-{step}"), seconds=100.0)
                acknowledged.append(f"{name}-{number}-{step}")

        async with trio.open_nursery() as nursery:
            for name in cluster.members:
                for number in range(4):
                    nursery.start_soon(write, name, number)
            await trio.sleep(4.0)
            nursery.cancel_scope.cancel()
        await cluster.kill(*cluster.members)
        await cluster.start()
        await cluster.converge()
        assert len(acknowledged) > 200
        assert all(has(cluster, "m1", name) for name in acknowledged)


# -- reading -------------------------------------------------------------------------------------------------------
async def test_a_read_barrier_on_any_master_shows_what_was_acknowledged_on_another(autojump_clock: MockClock) -> None:
    async with running(delay_seconds=(0.001, 0.05)) as cluster:
        for number in range(12):
            writer, reader = f"m{number % 3 + 1}", f"m{(number + 1) % 3 + 1}"
            revision = await cluster.propose(writer, put(f"n{number}"))
            with trio.fail_after(5):
                assert await cluster.stores[reader].read_barrier() >= revision
            assert has(cluster, reader, f"n{number}")


async def test_a_leader_that_was_cut_off_confirms_no_read(autojump_clock: MockClock) -> None:
    async with running() as cluster:
        leader = await cluster.wait_leader()
        cluster.network.isolate(leader, cluster.members)
        with trio.fail_after(1.0), pytest.raises(Unavailable):
            await cluster.stores[leader].read_barrier()


async def test_a_watch_sees_every_change_once_in_order_through_a_change_of_leader(autojump_clock: MockClock) -> None:
    async with running() as cluster:
        await cluster.wait_leader()
        watcher = followers(cluster)[0]
        seen: list[int] = []

        async def watch() -> None:
            async with cluster.stores[watcher].watch(0) as changes:
                async for batch in changes:
                    seen.extend(change.revision for change in batch)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            for number in range(10):
                await cluster.propose(watcher, put(f"n{number}"))
            leader = cluster.leader()
            assert leader is not None
            await cluster.kill(leader)
            for number in range(10, 20):
                await cluster.propose(watcher, put(f"n{number}"))
            await trio.sleep(0.1)
            nursery.cancel_scope.cancel()
        assert seen == list(range(1, 21))


async def test_a_watch_from_a_forgotten_revision_is_expired(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as cluster:
        leader = await cluster.wait_leader()
        for number in range(5):
            await cluster.propose(leader, put(f"n{number}"))
        history = cluster.stores[leader]._driver.replica.state._history
        history._changes.popleft()
        with pytest.raises(Expired):
            async with cluster.stores[leader].watch(0) as changes:
                await anext(changes)


# -- leading -------------------------------------------------------------------------------------------------------
async def test_leader_only_work_ends_with_the_tenure_and_its_late_writes_are_refused(autojump_clock: MockClock) -> None:
    async with running() as cluster:
        events: list[tuple[str, str, int]] = []
        tenures: dict[str, Leadership] = {}

        def lead(name: str) -> None:
            async def work(leadership: Leadership) -> None:
                tenures[name] = leadership
                events.append(("begin", name, leadership.claim))
                try:
                    await trio.sleep_forever()
                finally:
                    events.append(("end", name, leadership.claim))

            nursery.start_soon(cluster.stores[name].while_leading, work)

        async with trio.open_nursery() as nursery:
            for name in cluster.members:
                lead(name)
            leader = await cluster.wait_leader()
            await trio.sleep(0.5)
            await tenures[leader].propose(put("led"))
            cluster.network.isolate(leader, cluster.members)
            await trio.sleep(6.0)
            new = cluster.leader()
            assert new is not None and new != leader
            assert events == [("begin", leader, 1), ("end", leader, 1), ("begin", new, 2)] or events == [
                ("begin", leader, 1),
                ("begin", new, 2),
                ("end", leader, 1),
            ]
            cluster.network.heal()
            await trio.sleep(1.0)
            with pytest.raises(Conflict, match="claim 1"):
                await tenures[leader].propose(put("too late"))
            nursery.cancel_scope.cancel()


async def test_a_planned_hand_over_costs_writers_little_time(autojump_clock: MockClock) -> None:
    async with running() as cluster:
        leader = await cluster.wait_leader()
        writer = followers(cluster)[0]
        times: list[float] = []

        async def write() -> None:
            for number in range(10_000):
                await cluster.propose(writer, put(f"n{number}"))
                times.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await trio.sleep(0.5)
            assert await cluster.stores[leader].transfer_leadership()
            await trio.sleep(0.5)
            nursery.cancel_scope.cancel()
        assert not cluster.stores[leader].leads
        assert max(later - earlier for earlier, later in itertools.pairwise(times)) < 0.2


async def test_when_the_leaders_process_dies_the_next_write_succeeds_within_a_second(autojump_clock: MockClock) -> None:
    for seed in range(5):
        async with running(seed=seed) as cluster:
            leader = await cluster.wait_leader()
            survivor = followers(cluster)[0]
            await cluster.propose(survivor, put("before"))
            await cluster.kill(leader)
            began = trio.current_time()
            await cluster.propose(survivor, put("after"))
            assert trio.current_time() - began < 1.0


async def test_a_hand_over_without_anybody_to_take_over_keeps_the_leader(autojump_clock: MockClock) -> None:
    async with running() as cluster:
        leader = await cluster.wait_leader()
        await cluster.kill(*followers(cluster))
        assert not await cluster.stores[leader].transfer_leadership()


# -- disks and snapshots ---------------------------------------------------------------------------------------------
async def test_row_22_a_full_disk_acknowledges_nothing_and_heals_by_itself(autojump_clock: MockClock) -> None:
    async with running() as cluster:
        leader = await cluster.wait_leader()
        await cluster.propose(leader, put("before"))
        cluster.disks[leader].full = True
        writer = followers(cluster)[0]
        await cluster.propose(writer, put("during"), seconds=10.0)
        assert cluster.leader() != leader, "leadership moved to a master that can write"
        assert "space" in cluster.stores[leader].status().disk_error
        assert has(cluster, leader, "before"), "it still answers reads"
        cluster.disks[leader].full = False
        await trio.sleep(2.0)
        await cluster.converge()
        assert cluster.stores[leader].status().disk_error == ""


async def test_a_failed_fsync_ends_the_master(autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(SyncFailed, flatten_subgroups=True, allow_unwrapped=True):
        async with running(size=1) as cluster:
            await cluster.wait_leader()

            async def fails(*_: object) -> None:
                raise SyncFailed(errno.EIO, "fdatasync failed")

            cluster.disks["m1"].append = fails  # type: ignore[method-assign]
            await cluster.propose("m1", put("a"))


async def test_a_master_that_was_away_for_long_gets_the_snapshot(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOG_ENTRIES_BEFORE_SNAPSHOT", 40)
    monkeypatch.setattr(limits, "LOG_ENTRIES_KEPT_AFTER_SNAPSHOT", 5)
    monkeypatch.setattr(limits, "SNAPSHOT_CHUNK_BYTES", 500)
    monkeypatch.setattr(limits, "JOURNAL_SEGMENT_BYTES", 4_000)
    async with running() as cluster:
        leader = await cluster.wait_leader()
        away, writer = followers(cluster)
        await cluster.propose(writer, put("first"))
        await cluster.kill(away)
        for number in range(150):
            await cluster.propose(writer, put(f"n{number}"))
        assert cluster.stores[leader].status().snapshot_index > 40
        assert "wal-0000000000000001" not in cluster.disks[leader].files, "old segments are gone"
        term = cluster.stores[leader].status().term
        await cluster.start(away)
        await cluster.converge()
        assert cluster.stores[away].status().snapshot_index > 40
        assert (cluster.leader(), cluster.stores[leader].status().term) == (leader, term), "nobody was deposed by it"
        await cluster.kill(*cluster.members)
        await cluster.start()
        await cluster.converge()
        assert all(has(cluster, away, f"n{number}") for number in range(150))


# -- who may take part -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("roles", "identity"), [([NODES], "system:node:m2"), ([MASTERS], "system:master:m9"), ([], "")]
)
async def test_only_members_may_speak(roles: list[str], identity: str, autojump_clock: MockClock) -> None:
    async with running() as cluster:
        leader = await cluster.wait_leader()
        stranger = cluster.network.host("stranger", roles, "stranger:1", identity)
        term = cluster.stores[leader].status().term
        async with connect(stranger, cluster.members[leader]) as connection:
            for name in ("raft", "raft.snapshot"):
                with pytest.raises(Exception, match=r"may not use|not a member|gone|closed"):
                    async with connection.stream(name) as stream:
                        await stream.send([{"type": "higher_term", "term": term + 5}])
                        await stream.receive()
            for name in ("raft.propose", "raft.barrier"):
                with pytest.raises(Exception, match=r"may not use|not a member"):
                    await connection.call(name, {"commands": [b""]})
        assert cluster.stores[leader].status().term == term


async def test_a_member_that_others_do_not_know_is_refused_and_harms_nobody(autojump_clock: MockClock) -> None:
    async with running() as cluster:
        await cluster.kill("m3")
        members, cluster.members = cluster.members, {**cluster.members, "m4": "m4:7443"}
        cluster.disks["m4"] = type(cluster.disks["m3"])(cluster.random)
        await cluster.start("m4")
        cluster.members = members
        await trio.sleep(20.0)
        assert cluster.stores["m4"].status().role != "leader"
        assert cluster.leader() in ("m1", "m2")
        await cluster.propose("m1", put("a"))


async def test_settings_that_do_not_name_this_master_are_refused(autojump_clock: MockClock) -> None:
    async with running() as cluster:
        host = cluster.network.host("x", [MASTERS], "x:1")
        with pytest.raises(ConfigError, match="not among the members"):
            async with open_store(
                RaftSettings("x", cluster.members), host, cluster.disks["m1"], cluster.random, Service()
            ):
                pass


async def test_an_idle_store_writes_nothing(autojump_clock: MockClock) -> None:
    async with running() as cluster:
        await cluster.wait_leader()
        await cluster.converge()
        before = {name: disk.appends for name, disk in cluster.disks.items()}
        await trio.sleep(600.0)
        assert {name: disk.appends for name, disk in cluster.disks.items()} == before

"""The scheduler at work on a store: what it writes, when it tries again, and what it does when the store says no."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from orchestr8.api.config import Namespace
from orchestr8.api.events import Event
from orchestr8.api.meta import ObjectMeta, with_metadata
from orchestr8.api.node import Node, Taint
from orchestr8.api.pod import Pod, Toleration
from orchestr8.api.pod_status import PodCondition
from orchestr8.clock import Clock
from orchestr8.errors import OutcomeUnknown, Unavailable
from orchestr8.master.scheduler import shell
from orchestr8.master.scheduler.shell import run_scheduler
from orchestr8.names import system_names
from tests.unit.master.nodes.fakes import EPOCH_SECONDS, FakeStore
from tests.unit.master.scheduler.world import node, pod

DEFAULT = Namespace(metadata=ObjectMeta(name="default"))


@asynccontextmanager
async def scheduler(*objects: Any) -> AsyncIterator[FakeStore]:
    store = FakeStore()
    store.put(DEFAULT, *objects)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_scheduler, store, Clock(EPOCH_SECONDS), system_names())
        yield store
        nursery.cancel_scope.cancel()


def get(store: FakeStore, name: str) -> Pod:
    found = store.view().get(Pod, "default", name)
    assert found is not None
    return found


def scheduled(store: FakeStore, name: str) -> PodCondition:
    (found,) = (each for each in get(store, name).status.conditions if each.type == "PodScheduled")
    return found


def nodes_of(store: FakeStore) -> dict[str, str | None]:
    return {each.metadata.name: each.spec.node_name for each in store.view().list(Pod)}


async def test_a_pod_is_bound_with_its_condition_and_event_in_one_transaction(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with scheduler(node("a")) as store:
        await trio.sleep(1)
        store.put(pod("web"))
        await trio.sleep(1)
        assert get(store, "web").spec.node_name == "a"
        assert scheduled(store, "web").status == "True"
        assert scheduled(store, "web").last_transition_time is not None
        (event,) = store.view().list(Event)
        assert (event.reason, event.message) == ("Scheduled", "Successfully assigned default/web to a")
        assert len(store.proposals) == 1


async def test_pods_that_waited_before_the_tenure_are_placed(autojump_clock: trio.abc.Clock) -> None:
    async with scheduler(node("a"), pod("web")) as store:
        await trio.sleep(1)
        assert get(store, "web").spec.node_name == "a"


async def test_many_pods_travel_in_few_transactions(autojump_clock: trio.abc.Clock) -> None:
    async with scheduler(
        *(node(f"n{i}") for i in range(20)), *(pod(f"p{i}", owner="rs") for i in range(1_000))
    ) as store:
        await trio.sleep(5)
        assert all(nodes_of(store).values())
        assert len(store.proposals) <= 4


async def test_a_pod_that_fits_nowhere_says_why_once(autojump_clock: trio.abc.Clock) -> None:
    async with scheduler(node("a", cpu="1"), pod("web", cpu="2")) as store:
        await trio.sleep(100)
        condition = scheduled(store, "web")
        assert (condition.status, condition.reason) == ("False", "Unschedulable")
        assert condition.message == "0/1 nodes are available: 1 Insufficient cpu."
        (event,) = store.view().list(Event)
        assert (event.type, event.reason, event.count) == ("Warning", "FailedScheduling", 1)
        assert len(store.proposals) == 1


CHANGES = [
    ("a node that joins", pod("web", cpu="2"), node("a", cpu="1"), node("b", cpu="4")),
    ("a node that grows", pod("web", cpu="2"), node("a", cpu="1"), node("a", cpu="4")),
    ("a node that becomes ready", pod("web"), node("a", ready=False), node("a")),
    ("an uncordoned node", pod("web"), node("a", cordoned=True), node("a")),
    ("a taint that goes", pod("web"), node("a", taints=[Taint(key="t", effect="NoSchedule")]), node("a")),
    ("a label", pod("web", selector={"disk": "ssd"}), node("a"), node("a", labels={"disk": "ssd"})),
]


@pytest.mark.parametrize(("what", "waiting", "on", "change"), CHANGES, ids=[row[0] for row in CHANGES])
async def test_a_waiting_pod_is_placed_at_once_by(
    what: str, waiting: Pod, on: Node, change: Node, autojump_clock: trio.abc.Clock
) -> None:
    async with scheduler(on, waiting) as store:
        await trio.sleep(7)
        assert get(store, "web").spec.node_name is None
        store.put(change)
        await trio.sleep(0.1)
        assert get(store, "web").spec.node_name is not None


async def test_a_waiting_pod_takes_the_room_that_another_leaves(autojump_clock: trio.abc.Clock) -> None:
    async with scheduler(node("a", cpu="2"), pod("busy", cpu="2", on="a"), pod("web", cpu="1")) as store:
        await trio.sleep(7)
        assert get(store, "web").spec.node_name is None
        store.delete(pod("busy"))
        await trio.sleep(0.1)
        assert get(store, "web").spec.node_name == "a"


async def test_messages_that_keep_changing_are_rewritten_slowly(autojump_clock: trio.abc.Clock) -> None:
    async with scheduler(node("n0", cpu="1"), pod("web", cpu="2")) as store:
        for i in range(1, 41):
            await trio.sleep(0.25)
            store.put(node(f"n{i}", cpu="1"))
        await trio.sleep(6)
        assert scheduled(store, "web").message == "0/41 nodes are available: 41 Insufficient cpu."
        assert len(store.proposals) <= 4


async def test_gates_hold_a_pod_back_until_the_last_is_removed(autojump_clock: trio.abc.Clock) -> None:
    async with scheduler(node("a"), pod("web", gates=["example.com/quota"])) as store:
        await trio.sleep(1)
        assert scheduled(store, "web").reason == "SchedulingGated"
        assert get(store, "web").spec.node_name is None
        store.put(pod("web"))
        await trio.sleep(1)
        assert get(store, "web").spec.node_name == "a"


async def test_pods_of_another_scheduler_and_pods_that_end_are_left_alone(autojump_clock: trio.abc.Clock) -> None:
    ending = with_metadata(pod("ending"), deletion_timestamp=pod("x").metadata.creation_timestamp)
    async with scheduler(node("a"), pod("foreign", scheduler="mine"), ending, pod("done", phase="Failed")) as store:
        await trio.sleep(40)
        assert store.proposals == []


async def test_a_pod_that_tolerates_a_cordon_is_placed_on_a_cordoned_node(autojump_clock: trio.abc.Clock) -> None:
    async with scheduler(node("a", cordoned=True), pod("web", tolerations=[Toleration(operator="Exists")])) as store:
        await trio.sleep(1)
        assert get(store, "web").spec.node_name == "a"


async def test_a_node_cordoned_at_the_last_moment_gets_nothing(autojump_clock: trio.abc.Clock) -> None:
    async with scheduler(node("a", cpu="8"), node("b")) as store:
        await trio.sleep(1)
        store.before_apply = lambda: store.put(node("a", cpu="8", cordoned=True))
        store.put(pod("web"))
        await trio.sleep(1)
        assert get(store, "web").spec.node_name == "b"


async def test_a_pod_changed_at_the_last_moment_spoils_only_its_own_binding(autojump_clock: trio.abc.Clock) -> None:
    async with scheduler(node("a"), node("b")) as store:
        await trio.sleep(1)
        edits = iter([with_metadata(pod("p3"), labels={"x": "y"})])

        def edit() -> None:
            for obj in edits:
                store.put(obj)

        store.before_apply = edit
        for i in range(8):
            store.put(pod(f"p{i}"))
        await trio.sleep(1)
        assert all(nodes_of(store).values())
        assert get(store, "p3").metadata.labels == {"x": "y"}


async def test_a_pod_deleted_at_the_last_moment_is_not_brought_back(autojump_clock: trio.abc.Clock) -> None:
    async with scheduler(node("a")) as store:
        await trio.sleep(1)
        deletions = iter([pod("web")])

        def delete() -> None:
            for obj in deletions:
                store.delete(obj)

        store.before_apply = delete
        store.put(pod("web"), pod("other"))
        await trio.sleep(1)
        assert nodes_of(store) == {"other": "a"}


@pytest.mark.parametrize("error", [Unavailable("no leader"), OutcomeUnknown("connection lost")])
async def test_a_store_that_does_not_answer_is_asked_again(error: Exception, autojump_clock: trio.abc.Clock) -> None:
    async with scheduler(node("a")) as store:
        await trio.sleep(1)
        store.failures = [error, error]
        store.put(pod("web"), pod("big", cpu="99"))
        await trio.sleep(20)
        assert nodes_of(store) == {"web": "a", "big": None}
        assert scheduled(store, "big").reason == "Unschedulable"


async def test_falling_out_of_the_history_starts_afresh(autojump_clock: trio.abc.Clock) -> None:
    async with scheduler(node("a")) as store:
        await trio.sleep(1)
        for i in range(17_000):  # more than the history keeps, without a turn of the loop
            store.put(with_metadata(node("a"), annotations={"i": str(i)}))
        store.put(pod("web"))
        await trio.sleep(1)
        assert get(store, "web").spec.node_name == "a"


async def test_an_idle_cluster_is_left_alone(autojump_clock: trio.abc.Clock) -> None:
    async with scheduler(node("a"), pod("web")) as store:
        await trio.sleep(1)
        revision = store.revision
        await trio.sleep(600)
        assert store.revision == revision


async def test_the_slow_full_pass_makes_up_for_a_change_that_nobody_thought_of(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.abc.Clock
) -> None:
    monkeypatch.setattr(shell.Cluster, "put_node", _silent(shell.Cluster.put_node))
    async with scheduler(node("a", cpu="1"), pod("web", cpu="2")) as store:
        await trio.sleep(1)
        store.put(node("a", cpu="4"))
        await trio.sleep(shell.FULL_PASS_SECONDS + 1)
        assert get(store, "web").spec.node_name == "a"


def _silent(put_node: Any) -> Any:
    def put(self: Any, obj: Node) -> Any:
        put_node(self, obj)
        return shell.Wake.NONE

    return put

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import trio
import trio.testing

from orchestr8.api import codec
from orchestr8.api.config import Namespace
from orchestr8.api.defaults import apply_defaults
from orchestr8.api.events import Event
from orchestr8.api.meta import ObjectMeta, with_metadata
from orchestr8.api.pod import Pod
from orchestr8.api.service import Service, ServicePort, ServiceSpec
from orchestr8.api.workloads import Deployment, ReplicaSet
from orchestr8.clock import Clock
from orchestr8.errors import Conflict, Expired, LimitExceeded, OutcomeUnknown, Unavailable
from orchestr8.master.controllers import loop
from orchestr8.master.controllers.controller import Controller, key_of_change
from orchestr8.master.controllers.facts import is_ready
from orchestr8.master.controllers.loop import run_controllers
from orchestr8.store.command import Key, Put, Txn
from orchestr8.store.plan import Create, Note, Plan
from tests.unit.master.controllers.world import EPOCH, LocalStore, World, deployment, key, node, pod, template

SHOP = Key("Namespace", "", "default")


class Beating:
    def last_seen(self, node: str) -> float:
        return trio.current_time()


class Recording:
    """A controller that writes down when it was asked, and answers with ``plan``."""

    def __init__(self, plan=lambda: Plan(), pause_seconds=0.0):
        self.looks = []
        self._plan = plan
        self._pause_seconds = pause_seconds

    def controller(self):
        return Controller(
            name="recording",
            affected=key_of_change,
            everything=lambda view: (SHOP,),
            decide=self._decide,
            kinds=frozenset({"Namespace"}),
            pause_seconds=self._pause_seconds,
        )

    def _decide(self, view, key, now):
        self.looks.append((key.name, round(trio.current_time(), 3)))
        return self._plan()


@asynccontextmanager
async def running(world, *controllers, store=None):
    store = store or LocalStore(world.state)
    async with trio.open_nursery() as nursery:
        clock = Clock(EPOCH.timestamp())
        nursery.start_soon(loop.run, [each.controller() for each in controllers], store, store, clock, world.names)
        await trio.testing.wait_all_tasks_blocked()
        yield store
        nursery.cancel_scope.cancel()


async def test_everything_is_looked_at_first_and_again_at_each_full_pass(autojump_clock):
    recording = Recording()
    async with running(World(), recording):
        assert recording.looks == [("default", 0.0)]
        await trio.sleep(loop.FULL_PASS_SECONDS + 1)
        assert recording.looks == [("default", 0.0), ("default", loop.FULL_PASS_SECONDS)]


async def test_a_change_wakes_only_the_controllers_that_follow_its_kind(autojump_clock):
    recording = Recording()
    world = World()
    async with running(world, recording) as store:
        recording.looks.clear()
        await write(store, world, pod("a"))
        assert recording.looks == []
        await write(store, world, Namespace(metadata=ObjectMeta(name="shop", uid="u")))
        assert [name for name, _ in recording.looks] == ["shop"]


async def write(store, world, *objects):
    await store.propose(Txn("", (), tuple(Put(key(obj), codec.encode(obj)) for obj in objects)))
    await trio.testing.wait_all_tasks_blocked()


async def test_a_key_is_looked_at_when_its_plan_asked_for_it(autojump_clock):
    wishes = [5.0, 7.0]

    def plan():
        if not wishes:
            return Plan()
        return Plan(wake_at=EPOCH + timedelta(seconds=wishes.pop(0)))

    recording = Recording(plan)
    async with running(World(), recording):
        await trio.sleep(100)
        assert [at for _, at in recording.looks] == [0.0, 5.0, 7.0]


async def test_a_burst_of_changes_is_answered_by_one_look_after_the_pause(autojump_clock):
    recording = Recording(pause_seconds=1.0)
    world = World()
    async with running(world, recording) as store:
        for _ in range(5):
            await trio.sleep(0.1)
            await write(store, world, world.get(Namespace, "default", ""))
        await trio.sleep(10)
        assert [at for _, at in recording.looks] == [0.0, 1.0]


def creating(*names):
    return lambda: Plan(tuple(Create(pod(name)) for name in names))


@pytest.mark.parametrize("error", [OutcomeUnknown("lost"), Unavailable("no leader")])
async def test_a_proposal_without_outcome_is_repeated_under_its_request_id(autojump_clock, error):
    failures = [error, error]

    def refuse(txn):
        if failures:
            raise failures.pop()

    world = World()
    recording = Recording(creating("a"))
    async with running(world, recording, store=LocalStore(world.state, refuse)) as store:
        await trio.sleep(5)
        assert len({txn.request_id for txn in store.proposed}) == 1
        assert len(store.proposed) == 3
        assert len(recording.looks) == 1
        assert world.get(Pod, "a") is not None


async def test_a_proposal_that_gets_no_answer_is_repeated(autojump_clock):
    class Silent(LocalStore):
        async def propose(self, txn):
            result = await super().propose(txn)
            if len(self.proposed) == 1:
                await trio.sleep_forever()
            return result

    world = World()
    async with running(world, Recording(creating("a")), store=Silent(world.state)) as store:
        await trio.sleep(20)
        assert len(store.proposed) == 2
        assert len({txn.request_id for txn in store.proposed}) == 1
        assert world.state.revision == 2


@pytest.mark.parametrize(("error", "at_most"), [(Conflict("changed"), 14), (LimitExceeded("full"), 8)])
async def test_a_refused_plan_is_decided_again_with_growing_pauses(autojump_clock, error, at_most):
    def refuse(txn):
        raise error

    world = World()
    recording = Recording(creating("a"))
    async with running(world, recording, store=LocalStore(world.state, refuse)) as store:
        await trio.sleep(30)
        assert 3 <= len(recording.looks) <= at_most
        store.refuse = None
        await trio.sleep(11)
        assert world.get(Pod, "a") is not None


async def test_notes_become_events_and_the_same_note_is_counted(autojump_clock):
    world = World()
    subject = world.put(pod("a"))
    recording = Recording(lambda: Plan(events=(Note(subject, "Warning", "Odd", "this is odd"),)))
    async with running(world, recording) as store:
        for _ in range(3):
            await trio.sleep(1)
            await write(store, world, world.get(Namespace, "default", ""))
        await trio.sleep(1)
    (event,) = world.list(Event)
    assert event.count == 4
    assert (event.reason, event.type, event.message) == ("Odd", "Warning", "this is odd")
    assert (event.involved_object.name, event.involved_object.uid) == ("a", subject.metadata.uid)
    assert event.source.component == "recording"


async def test_a_controller_that_fell_behind_starts_from_the_whole_state(autojump_clock):
    class Forgetful(LocalStore):
        watches = 0

        def watch(self, since_revision):
            self.watches += 1
            if self.watches == 1:
                raise Expired("too old")
            return super().watch(since_revision)

    recording = Recording()
    world = World()
    async with running(world, recording, store=Forgetful(world.state)) as store:
        assert store.watches == 2
        await write(store, world, Namespace(metadata=ObjectMeta(name="shop", uid="u")))
        assert recording.looks[-1][0] == "shop"


async def test_nothing_is_created_in_a_namespace_that_is_ending(autojump_clock):
    world = World()
    world.put(with_metadata(world.get(Namespace, "default", ""), deletion_timestamp=EPOCH))
    async with running(world, Recording(creating("a"))) as store:
        assert store.proposed == []


async def test_a_deployment_and_its_service_come_up_roll_and_go(autojump_clock):
    """All controllers together; the nodes' part is played by the test."""
    world = World()
    store = LocalStore(world.state)
    world.put(node("n1"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_controllers, store, store, Clock(EPOCH.timestamp()), world.names, Beating())
        selector = ServiceSpec(selector={"app": "web"}, ports=(ServicePort(port=80),))
        await write(store, world, *filled(world, Service(metadata=meta("web"), spec=selector), deployment(3)))
        await settled(store, world)
        assert len(world.list(Pod)) == 3
        assert world.get(Deployment, "web").status.available_replicas == 3
        service = world.get(Service, "web")
        assert service.spec.cluster_ip

        world.change(world.get(Deployment, "web"), spec={"template": template("web:2")})
        store.notify()
        await settled(store, world)
        assert {each.spec.containers[0].image for each in world.list(Pod)} == {"web:2"}
        assert [each.spec.replicas for each in sorted(world.list(ReplicaSet), key=lambda r: r.spec.replicas)] == [0, 3]

        for obj in (service, world.get(Deployment, "web")):
            world.remove(obj)
        store.notify()
        await settled(store, world)
        for kind in ("Pod", "ReplicaSet", "EndpointSlice", "Endpoints"):
            assert world.view.stored_list(kind) == []
        nursery.cancel_scope.cancel()


def meta(name):
    return ObjectMeta(name=name, namespace="default")


def filled(world, *objects):

    return [apply_defaults(with_metadata(obj, uid=world.names.uid(), creation_timestamp=EPOCH)) for obj in objects]


async def settled(store, world):
    """Until controllers have nothing left to do and every pod is ready."""
    for _ in range(100):
        before = world.state.revision
        await trio.sleep(1)
        for each in world.list(Pod):
            if not is_ready(each):
                world.set_ready(each)
        store.notify()
        if world.state.revision == before:
            return
    raise AssertionError("does not settle")

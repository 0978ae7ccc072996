"""Runs the scheduler while this master leads: follows the store, decides in rounds, commits the decisions.

The only file of this room that waits. One task: a round starts when pods are ready to be tried and this master has
followed all changes up to its own last commit; whatever changes meanwhile is taken up by the next round, which is what
batches work under load. A round is small enough (``_ROUND_PODS``, ``_ROUND_RATINGS``) that the process stays
responsive. Every commit is a transaction under the leadership's claim; when one does not go through it is halved until
the decision that spoils it stands alone, and that pod is tried again on newer facts.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import structlog
import trio

from orchestr8.clock import Clock
from orchestr8.errors import AlreadyExists, Conflict, Expired, NotFound, Orchestr8Error
from orchestr8.master.scheduler.cluster import Cluster
from orchestr8.master.scheduler.cycle import Plan, schedule
from orchestr8.master.scheduler.decisions import Decision, step
from orchestr8.master.scheduler.facts import PodFacts
from orchestr8.master.scheduler.filters import Wake
from orchestr8.master.scheduler.queue import Queue
from orchestr8.master.steps import Step, batches, transaction
from orchestr8.names import Names
from orchestr8.store.command import Result, Txn
from orchestr8.store.history import Change
from orchestr8.store.view import View

_ROUND_PODS = 500
_ROUND_RATINGS = 15_000  # families times nodes looked at in one round: some 20 ms, or 100 when none of them fits
_READ_AT_ONCE = 500
FULL_PASS_SECONDS = 30.0
# A waiting pod's message names counts that change with every placement: it is rewritten no more often than this.
MESSAGE_SECONDS = 5.0
_RETRY_SECONDS = 0.5

_log = structlog.get_logger("orchestr8.scheduler")


class Changes(Protocol):
    def __aiter__(self) -> Changes: ...
    async def __anext__(self) -> list[Change]: ...


class Leadership(Protocol):
    async def propose(self, txn: Txn) -> Result: ...


class Store(Protocol):
    """The part of the replicated store (seams, section 3) that the scheduler uses."""

    @property
    def revision(self) -> int: ...
    def view(self) -> View: ...
    def watch(self, since_revision: int) -> AbstractAsyncContextManager[Changes]: ...
    async def while_leading(self, fn: Callable[[Leadership], Awaitable[None]]) -> None: ...


async def run_scheduler(store: Store, clock: Clock, names: Names) -> None:
    """Runs for ever; places pods whenever this master leads."""
    await store.while_leading(functools.partial(schedule_while_leading, store=store, clock=clock, names=names))


async def schedule_while_leading(leadership: Leadership, *, store: Store, clock: Clock, names: Names) -> None:
    """One tenure. Cancelled from outside when it ends."""
    while True:
        try:
            await _Scheduler(leadership, store, clock, names, await _read(store)).run()
        except Expired:
            _log.info("scheduler fell behind the changes and starts from the whole state")


async def _read(store: Store) -> Cluster:
    """The cluster as of now, read in turns: a new leader with many pods must go on sending its heartbeats."""
    view = store.view()
    cluster = Cluster(view.revision)
    for i, stored in enumerate([*view.stored_list("Node"), *view.stored_list("Pod")]):
        cluster.put(stored.obj)
        if i % _READ_AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
    return cluster


class _Scheduler:
    def __init__(self, leadership: Leadership, store: Store, clock: Clock, names: Names, cluster: Cluster) -> None:
        self._leadership = leadership
        self._store = store
        self._clock = clock
        self._names = names
        self._cluster = cluster
        self._queue = Queue()
        self._cursor = 0
        self._placed: list[tuple[str, str]] = []
        self._told_at: dict[tuple[str, str], float] = {}
        self._to_tell: dict[tuple[str, str], Decision] = {}
        for pod in self._cluster.waiting():
            self._take_in(pod)

    async def run(self) -> None:
        """Until Expired."""
        full_pass_at = trio.current_time() + FULL_PASS_SECONDS
        async with self._store.watch(self._cluster.revision) as changes:
            while True:
                while self._cluster.revision < self._store.revision:
                    self._follow(await anext(changes))
                self._check_placed()
                now = trio.current_time()
                if now >= full_pass_at:
                    self._queue.wake_all()
                    full_pass_at = now + FULL_PASS_SECONDS
                if self._queue or self._due(now):
                    await self._round()
                    continue
                with trio.move_on_at(min(full_pass_at, self._next_due())):
                    self._follow(await anext(changes))

    # -- following ------------------------------------------------------------------------------------

    def _follow(self, changes: list[Change]) -> None:
        wake = Wake.NONE
        for change in changes:
            if change.revision <= self._cluster.revision:
                continue
            wake |= self._cluster.apply(change)
            if change.key.kind == "Pod":
                key = (change.key.namespace, change.key.name)
                pod = self._cluster.pods.get(key)
                if pod is not None and pod.waits:
                    self._take_in(pod)
                else:
                    self._queue.discard(key)
                    self._told_at.pop(key, None)
                    self._to_tell.pop(key, None)
        self._queue.wake(wake)

    def _take_in(self, pod: PodFacts) -> None:
        if pod.gates:
            self._queue.discard(pod.key)
            message = f"Scheduling is held back by the pod's gates: {', '.join(pod.gates)}"
            self._to_tell[pod.key] = Decision(pod, reason="SchedulingGated", message=message)
        else:
            self._queue.offer(pod)

    def _check_placed(self) -> None:
        """Whoever still waits after our own commits were followed was not placed after all."""
        for key in self._placed:
            pod = self._cluster.pods.get(key)
            if pod is not None and pod.waits:
                self._take_in(pod)
        self._placed = []

    # -- deciding and committing ----------------------------------------------------------------------

    async def _round(self) -> None:
        nodes = max(1, len(self._cluster.nodes()))
        plan = schedule(
            self._queue.take(_ROUND_PODS, max(1, _ROUND_RATINGS // nodes)), self._cluster, cursor=self._cursor
        )
        self._cursor = plan.cursor
        for binding in plan.bindings:
            self._to_tell.pop(binding.pod.key, None)
        decisions = self._bindings(plan)
        for pod, refusal in plan.explanations:
            self._queue.park(pod, refusal.wake)
            self._to_tell[pod.key] = Decision(pod, reason="Unschedulable", message=refusal.message)
        now = trio.current_time()
        for decision in self._due(now):
            del self._to_tell[decision.pod.key]
            self._told_at[decision.pod.key] = now
            decisions.append(decision)
        committed = await self._commit(decisions)
        self._placed = [binding.pod.key for binding in plan.bindings]
        if not committed:
            self._to_tell = {each.pod.key: each for each in decisions if not each.node_name} | self._to_tell
        await trio.sleep(0 if committed else _RETRY_SECONDS)

    def _bindings(self, plan: Plan) -> list[Decision]:
        view = self._store.view()  # still the state that was decided on: nothing was awaited since
        nodes = {binding.node_name: view.stored("Node", "", binding.node_name) for binding in plan.bindings}
        revisions = {name: stored.revision for name, stored in nodes.items() if stored is not None}
        return [
            Decision(binding.pod, node_name=binding.node_name, node_revision=revisions[binding.node_name])
            for binding in plan.bindings
        ]

    def _due(self, now: float) -> list[Decision]:
        return [told for key, told in self._to_tell.items() if now >= self._tell_at(key)][:_ROUND_PODS]

    def _next_due(self) -> float:
        return min((self._tell_at(key) for key in self._to_tell), default=math.inf)

    def _tell_at(self, key: tuple[str, str]) -> float:
        return self._told_at.get(key, -math.inf) + MESSAGE_SECONDS

    async def _commit(self, decisions: list[Decision]) -> bool:
        """Whether the store took what was decided, apart from decisions that had become void."""
        view, now = self._store.view(), self._clock.now()
        steps = [(each, made) for each in decisions if (made := step(each, view, now, self._names)) is not None]
        for batch in batches(steps):
            if not await self._propose(batch):
                return False
        return True

    async def _propose(self, batch: list[tuple[Decision, Step]]) -> bool:
        try:
            await self._leadership.propose(transaction(self._names.uid(), [each for _, each in batch]))
        except (Conflict, NotFound, AlreadyExists) as error:
            if len(batch) == 1:
                _log.debug("decision overtaken", pod="/".join(batch[0][0].pod.key), error=error.message)
                return True
            middle = len(batch) // 2
            return await self._again(batch[:middle]) and await self._again(batch[middle:])
        except Orchestr8Error as error:
            _log.warning("decisions not committed", decisions=len(batch), code=error.code, error=error.message)
            return False
        return True

    async def _again(self, batch: list[tuple[Decision, Step]]) -> bool:
        return await self._commit([decision for decision, _ in batch])

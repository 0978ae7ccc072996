"""The one shell of all controllers: follows the store, asks each controller about the keys that changed, does what the
plans say. Runs while this master leads.

A controller is a lane: its own timetable and its own task, so that one that waits holds up no other. A round takes the
keys that are due, decides all of them on one view without waiting in between, and then proposes their transactions
side by side; a transaction is repeated under its own request id until its outcome is known, so that a look at the newer
view never repeats work that is still under way. A refused one is decided again after a back-off.
Missing a change costs time, never correctness: every FULL_PASS_SECONDS each controller looks at everything.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import structlog
import trio

from orchestr8.clock import Clock
from orchestr8.errors import (
    AlreadyExists,
    Conflict,
    DeadlineExceeded,
    Expired,
    NotFound,
    Orchestr8Error,
    OutcomeUnknown,
    TooManyRequests,
    Unavailable,
)
from orchestr8.master.controllers import recorder
from orchestr8.master.controllers.controller import Controller, Moment
from orchestr8.master.controllers.node_lifecycle import Heartbeats, Judge
from orchestr8.master.controllers.registry import ControllerSettings, controllers
from orchestr8.master.controllers.timetable import Timetable
from orchestr8.master.controllers.transactions import transactions
from orchestr8.names import Names
from orchestr8.store.command import Key, Result, Txn
from orchestr8.store.history import Change
from orchestr8.store.plan import Note, Plan
from orchestr8.store.view import View

FULL_PASS_SECONDS = 300.0
KEYS_AT_ONCE = 64
_ROUND_SECONDS = 0.02  # decide no longer than this in one go: others run in this process too
_PROPOSE_SECONDS = 5.0
_RETRY_SECONDS = 0.2
_BACKOFF_SECONDS_FIRST = 0.01
_BACKOFF_SECONDS_MAX = 10.0
_NOTES_WAITING = 1_000  # more are dropped: events are for people, and the store comes first
_NOTES_AT_ONCE = 200
_NOTES_SECONDS = 0.2
_OVERTAKEN = (Conflict, AlreadyExists, NotFound)
_UNDECIDED = (Unavailable, OutcomeUnknown, TooManyRequests, DeadlineExceeded)

_log = structlog.get_logger("orchestr8.controllers")


class Leadership(Protocol):
    async def propose(self, txn: Txn) -> Result: ...


class Store(Protocol):
    """The part of the replicated store (seams, section 3) that controllers use."""

    @property
    def revision(self) -> int: ...
    def view(self) -> View: ...
    def watch(self, since_revision: int) -> AbstractAsyncContextManager[AsyncIterator[list[Change]]]: ...


async def run_controllers(
    leadership: Leadership,
    store: Store,
    clock: Clock,
    names: Names,
    heartbeats: Heartbeats,
    settings: ControllerSettings | None = None,
) -> None:
    """One tenure of leadership; runs until cancelled."""
    settings = settings or ControllerSettings()
    judge = Judge(heartbeats, clock.monotonic_seconds(), settings.eviction_seconds)
    await run(controllers(settings, names, judge), leadership, store, clock, names)


async def run(which: Sequence[Controller], leadership: Leadership, store: Store, clock: Clock, names: Names) -> None:
    """These controllers, until cancelled."""
    async with trio.open_nursery() as nursery:
        note_sender, note_receiver = trio.open_memory_channel[tuple[str, Note]](_NOTES_WAITING)
        desk = _Desk(leadership, store, clock, names, note_sender)
        lanes = [_Lane(controller, desk) for controller in which]
        for lane in lanes:
            nursery.start_soon(lane.run)
        nursery.start_soon(_record, desk, note_receiver)
        nursery.start_soon(_pass_over_everything, lanes, store)
        await _follow(lanes, store)


async def _follow(lanes: Sequence[_Lane], store: Store) -> None:
    """Wakes the keys that changes concern."""
    while True:
        since = store.revision
        _look_at_everything(lanes, store)
        try:
            async with store.watch(since) as changes:
                async for batch in changes:
                    view = store.view()
                    for change in batch:
                        for lane in lanes:
                            lane.hear(change, view)
        except Expired:
            _log.info("controllers fell behind the changes and start from the whole state")


async def _pass_over_everything(lanes: Sequence[_Lane], store: Store) -> None:
    while True:
        await trio.sleep(FULL_PASS_SECONDS)
        _look_at_everything(lanes, store)


def _look_at_everything(lanes: Sequence[_Lane], store: Store) -> None:
    view = store.view()
    for lane in lanes:
        lane.hear_everything(view)


class _Desk:
    """What all lanes share."""

    def __init__(
        self,
        leadership: Leadership,
        store: Store,
        clock: Clock,
        names: Names,
        notes: trio.MemorySendChannel[tuple[str, Note]],
    ) -> None:
        self._leadership = leadership
        self._notes = notes
        self.store = store
        self.clock = clock
        self.names = names

    def now(self) -> Moment:
        return Moment(self.clock.now(), self.clock.monotonic_seconds())

    def note(self, component: str, note: Note) -> None:
        try:
            self._notes.send_nowait((component, note))
        except trio.WouldBlock:
            _log.debug("event dropped: too many at once", reason=note.reason)

    async def propose(self, txn: Txn) -> None:
        """Until the outcome is known. Raises what the state machine refuses it with."""
        while True:
            with trio.move_on_after(_PROPOSE_SECONDS):
                try:
                    await self._leadership.propose(txn)
                    return
                except _UNDECIDED as error:
                    _log.debug("proposal repeated", code=error.code)
            await trio.sleep(_RETRY_SECONDS)


class _Lane:
    """One controller at work."""

    def __init__(self, controller: Controller, desk: _Desk) -> None:
        self._controller = controller
        self._desk = desk
        self._timetable = Timetable(controller.pause_seconds)
        self._failures: dict[Key, int] = {}
        self._woken = trio.Event()

    def hear(self, change: Change, view: View) -> None:
        if self._controller.kinds is None or change.key.kind in self._controller.kinds:
            for key in self._controller.affected(change, view):
                self._timetable.wake(key)
                self._woken.set()

    def hear_everything(self, view: View) -> None:
        for key in self._controller.everything(view):
            self._timetable.wake(key)
        self._woken.set()

    async def run(self) -> None:
        while True:
            await self._until_due()
            await self._round()

    async def _until_due(self) -> None:
        await trio.lowlevel.checkpoint()
        while (due := self._timetable.next_due()) > trio.current_time():
            self._woken = trio.Event()
            with trio.move_on_at(due) if due < math.inf else trio.CancelScope():
                await self._woken.wait()

    async def _round(self) -> None:
        view, now = self._desk.store.view(), self._desk.now()
        started = trio.current_time()
        decided: list[tuple[Key, Plan, list[Txn]]] = []
        while len(decided) < KEYS_AT_ONCE and trio.current_time() - started < _ROUND_SECONDS:
            key = self._timetable.take(now.monotonic_seconds)
            if key is None:
                break
            plan = self._controller.decide(view, key, now)
            self._timetable.looked(key, now.monotonic_seconds)
            if plan.wake_at is not None:
                seconds = max(0.0, (plan.wake_at - now.wall).total_seconds())
                self._timetable.wake_at(key, now.monotonic_seconds + seconds)
            decided.append((key, plan, transactions(view, key, plan, now.wall, self._desk.names)))
        async with trio.open_nursery() as nursery:
            for key, plan, txns in decided:
                if txns:
                    nursery.start_soon(self._carry_out, key, plan, txns)
                else:
                    self._succeeded(key, plan)

    async def _carry_out(self, key: Key, plan: Plan, txns: list[Txn]) -> None:
        try:
            for txn in txns:
                await self._desk.propose(txn)
        except _OVERTAKEN as error:
            self._failed(key, error, _BACKOFF_SECONDS_FIRST)
        except Orchestr8Error as error:
            name = self._controller.name
            _log.warning("plan refused", controller=name, key="/".join(key), code=error.code, error=error.message)
            self._failed(key, error, 100 * _BACKOFF_SECONDS_FIRST)
        else:
            self._succeeded(key, plan)

    def _succeeded(self, key: Key, plan: Plan) -> None:
        self._failures.pop(key, None)
        for note in plan.events:
            self._desk.note(self._controller.name, note)

    def _failed(self, key: Key, error: Orchestr8Error, first_seconds: float) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        _log.debug("plan overtaken", controller=self._controller.name, key="/".join(key), code=error.code)
        seconds = min(_BACKOFF_SECONDS_MAX, first_seconds * 2 ** min(failures - 1, 20))
        self._timetable.wake_at(key, trio.current_time() + seconds)
        self._woken.set()


async def _record(desk: _Desk, notes: trio.MemoryReceiveChannel[tuple[str, Note]]) -> None:
    """Writes notes as Events, many in one transaction."""
    while True:
        batch = [await notes.receive()]
        await trio.sleep(_NOTES_SECONDS)
        while len(batch) < _NOTES_AT_ONCE:
            try:
                batch.append(notes.receive_nowait())
            except trio.WouldBlock:
                break
        txn = recorder.record(desk.store.view(), batch, desk.clock.now(), desk.names)
        if txn.writes:
            try:
                await desk.propose(txn)
            except Orchestr8Error as error:
                _log.debug("events not recorded", events=len(batch), code=error.code)

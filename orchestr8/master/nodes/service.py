"""The master's side of workers' connections: what a worker may ask, and what runs for it. Thin: the decisions are in
registration.py, reports.py, events.py and assignments.py.

Any master serves any worker. Every write is decided on the view of the moment and carries the revisions it was decided
on; when they no longer hold it is decided again. A node speaks only for itself: its name comes from its certificate.
"""

from __future__ import annotations

import datetime as dt
import functools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import trio

from orchestr8 import limits
from orchestr8.api import codec
from orchestr8.api.node import Node, NodeStatus
from orchestr8.clock import Clock
from orchestr8.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unavailable,
)
from orchestr8.master.events import Said, recorded
from orchestr8.master.nodes import events, registration, reports
from orchestr8.master.nodes.feed import Feeds
from orchestr8.master.nodes.heartbeats import Heartbeats
from orchestr8.master.nodes.reports import Refused
from orchestr8.master.nodes.seams import Store
from orchestr8.master.nodes.sessions import Dial, WorkerSessions, node_name
from orchestr8.master.steps import Step, batches, transaction
from orchestr8.names import Names
from orchestr8.rpc.service import NODES, MessageStream, Peer, Service
from orchestr8.store.command import Compare, Key, Put
from orchestr8.store.view import View

_ATTEMPTS = 5
_BATCH_ATTEMPTS = 2

Decide = Callable[[View], Step | Refused | None]


class RegisterParams(msgspec.Struct, frozen=True):
    """``node``: JSON of a Node."""

    node: bytes


class HeartbeatParams(msgspec.Struct, frozen=True):
    boot_id: str
    sequence: int


class NodeService:
    """One per master, made inside trio.

    ``service`` and ``on_connection`` are for ``rpc.server.serve``; ``heartbeats`` is what node_lifecycle reads;
    ``workers`` opens streams to workers for logs and exec. ``dial(address)`` opens a connection to another master;
    ``members`` is name to address of all masters, ``me`` included; ``service_cidr`` is told to the workers.
    """

    def __init__(
        self,
        store: Store,
        *,
        me: str,
        members: Mapping[str, str],
        dial: Dial,
        clock: Clock,
        names: Names,
        chance: random.Random,
        service_cidr: str,
    ) -> None:
        self._store = store
        self._service_cidr = service_cidr
        self._members = dict(members)
        self._clock = clock
        self._names = names
        self._feeds = Feeds(store)
        self.heartbeats = Heartbeats(me, members, trio.current_time())
        self.workers = WorkerSessions(me, self._members, dial, self.heartbeats, chance)
        self.on_connection = self.workers.on_connection
        self.service = Service(
            {
                "node.register": self._register,
                "node.heartbeat": self._heartbeat,
                "node.status": self._status,
                "node.events": self._events,
            },
            {"node.assignments": self._assignments},
            roles=(NODES,),
        )
        self.service.include(self.workers.service())

    async def run(self) -> None:
        """Follows the store and keeps the links to the other masters, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._feeds.run)
            nursery.start_soon(self.workers.run)

    # -- what a worker asks ---------------------------------------------------------------------------

    async def _register(self, peer: Peer, params: Any) -> dict[str, Any]:
        name = node_name(peer)
        sent: Node = codec.decode("Node", msgspec.convert(params, RegisterParams).node)
        if sent.metadata.name != name:
            raise Forbidden(f"the certificate is node {name}'s; it cannot register node {sent.metadata.name}")
        now, uid = self._clock.now(), self._names.uid()
        await self._write(lambda view: _node_step(view.get(Node, "", name), sent, now, uid))
        self.heartbeats.beat(name, trio.current_time())
        node = self._store.view().get(Node, "", name)
        return {
            "pod_cidr": (node.spec.pod_cidr or "") if node is not None else "",
            "service_cidr": self._service_cidr,
            "heartbeat_seconds": limits.HEARTBEAT_SECONDS,
            "masters": list(self._members.values()),
        }

    async def _heartbeat(self, peer: Peer, params: Any) -> dict[str, Any]:
        name = node_name(peer)
        msgspec.convert(params, HeartbeatParams)
        self._check_registered(name)
        now = trio.current_time()
        if not self.heartbeats.in_touch(now):
            raise Unavailable("this master has no contact to most of the others: connect to another one")
        self.heartbeats.beat(name, now)
        return {}

    async def _status(self, peer: Peer, params: Any) -> dict[str, Any]:
        name = node_name(peer)
        report = msgspec.convert(params, reports.StatusParams)
        self._check_registered(name)
        now = self._clock.now()
        decides: list[tuple[str, Decide]] = [
            (each.uid, functools.partial(self._pod_step, node=name, report=each)) for each in report.pods
        ]
        decides += [
            (each.uid, functools.partial(reports.finished, node=name, report=each, now=now)) for each in report.finished
        ]
        refused = await self._write_all(decides)
        if report.node_status is not None:
            status = _decoded_status(report.node_status)
            await self._write(lambda view: _status_step(view.get(Node, "", name), status, now))
        return {"refused": [{"uid": r.uid, "code": r.code, "message": r.message} for r in refused]}

    async def _events(self, peer: Peer, params: Any) -> dict[str, Any]:
        name = node_name(peer)
        asked = msgspec.convert(params, events.EventsParams)
        self._check_registered(name)
        view, now = self._store.view(), self._clock.now()
        there = [said for said in asked.events if events.check_own(view, name, said.regarding)]
        await self._write_all(
            [("", functools.partial(self._event_step, said=said, node=name, now=now)) for said in there]
        )
        return {}

    async def _assignments(self, peer: Peer, params: Any, stream: MessageStream) -> None:
        await self._feeds.serve(node_name(peer), stream)

    # -- writing --------------------------------------------------------------------------------------

    async def _write_all(self, decides: Sequence[tuple[str, Decide]]) -> list[Refused]:
        """Writes what is decided per uid: together if possible, one by one where that is overtaken."""
        refused: list[Refused] = []
        left = list(decides)
        for _ in range(_BATCH_ATTEMPTS):
            view = self._store.view()
            steps: list[tuple[tuple[str, Decide], Step]] = []
            for each in left:
                decided = each[1](view)
                if isinstance(decided, Refused):
                    refused.append(decided)
                elif decided is not None:
                    steps.append((each, decided))
            left = []
            for batch in batches(steps):
                try:
                    await self._store.propose(transaction(self._names.uid(), [step for _, step in batch]))
                except _OVERTAKEN:
                    left += [each for each, _ in batch]
            if not left:
                return refused
        for uid, decide in left:
            try:
                answer = await self._write(decide)
            except _OVERTAKEN as error:
                answer = Refused(uid, error.code, error.message)
            if answer is not None:
                refused.append(answer)
        return refused

    async def _write(self, decide: Decide) -> Refused | None:
        """Decides on the view of the moment, again when overtaken. Raises Conflict when it always is."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self._write_once(decide)
            except _OVERTAKEN:
                continue
        return await self._write_once(decide)

    async def _write_once(self, decide: Decide) -> Refused | None:
        decided = decide(self._store.view())
        if isinstance(decided, Step):
            await self._store.propose(transaction(self._names.uid(), [decided]))
            return None
        return decided

    def _pod_step(self, view: View, node: str, report: reports.PodReport) -> Step | Refused | None:
        decided = reports.pod_status(view, node, report)
        if isinstance(decided, reports.StatusStep):
            self._feeds.reported(node, decided.pod, decided.status)
        return decided

    def _event_step(self, view: View, said: Said, node: str, now: dt.datetime) -> Step | None:
        return recorded(view, said, component="worker", host=node, now=now, uid=self._names.uid())

    def _check_registered(self, name: str) -> None:
        if self._store.view().get(Node, "", name) is None:
            raise NotFound(f"node {name} is not registered: register first")


_OVERTAKEN = (Conflict, NotFound, AlreadyExists)


def _node_step(existing: Node | None, sent: Node, now: dt.datetime, uid: str) -> Step | None:
    shall = registration.registered(existing, sent, now, uid)
    return _put_node(existing, shall)


def _status_step(existing: Node | None, status: NodeStatus, now: dt.datetime) -> Step | None:
    return _put_node(existing, registration.reported(existing, status, now)) if existing is not None else None


def _put_node(existing: Node | None, shall: Node) -> Step | None:
    if shall == existing:
        return None
    revision = int(existing.metadata.resource_version or 0) if existing is not None else 0
    key = Key("Node", "", shall.metadata.name or "")
    return Step((Compare(key, revision),), (Put(key, codec.encode(shall)),))


def _decoded_status(data: bytes) -> NodeStatus:
    try:
        return msgspec.json.decode(data, type=NodeStatus)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise Invalid(f"node_status is no NodeStatus: {error}") from error

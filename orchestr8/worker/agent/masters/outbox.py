"""What must reach a master: pods' statuses, pods that are finished, the node's status, events.

Coalesced per pod, so that its size is bounded by the pods of this node; kept until a master has accepted it. A status
that was accepted is remembered, because another writer (the node's lease ran out) may have spoken over it: ``repeat``
and ``correct`` send it again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import trio

from orchestr8 import limits
from orchestr8.api.pod import Pod
from orchestr8.errors import Orchestr8Error
from orchestr8.logs import get_logger

EVENTS_KEPT = 1_000
_CALL_SECONDS = 10
_EVENTS_IN_CALL = 100


class PodName(NamedTuple):
    namespace: str
    name: str
    uid: str

    @classmethod
    def of(cls, pod: Pod) -> PodName:
        return cls(pod.metadata.namespace, pod.metadata.name, pod.metadata.uid)


class Caller(Protocol):
    async def call(self, method: str, params: Any = None) -> Any: ...


class Outbox:
    def __init__(self) -> None:
        self._statuses: dict[PodName, bytes] = {}
        self._unsent: set[PodName] = set()
        self._finished: set[PodName] = set()
        self._node_status: bytes | None = None
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS_KEPT)
        self._news = trio.Event()
        self._urgent = trio.Event()

    def pod_status(self, pod: PodName, status: bytes, *, urgent: bool = False) -> None:
        """``urgent``: its phase or readiness changed, and somebody waits for that; the rest may ride along later."""
        if self._statuses.get(pod) != status:
            self._statuses[pod] = status
            self._unsent.add(pod)
            self._news.set()
            if urgent:
                self._urgent.set()

    def correct(self, pod: PodName) -> None:
        """The master's copy of this status differs from ours: say it again."""
        if pod in self._statuses:
            self._unsent.add(pod)
            self._news.set()

    def finished(self, pod: PodName) -> None:
        """Every container of the deleted pod is gone; this ends what is said about it."""
        self._statuses.pop(pod, None)
        self._unsent.discard(pod)
        self._finished.add(pod)
        self._news.set()
        self._urgent.set()

    def forget(self, pod: PodName) -> None:
        """The master has no such pod any more."""
        self._statuses.pop(pod, None)
        self._unsent.discard(pod)
        self._finished.discard(pod)

    def node_status(self, status: bytes) -> None:
        self._node_status = status
        self._news.set()

    def event(self, regarding: Mapping[str, str], type_: str, reason: str, message: str) -> None:
        """When nobody takes them the oldest are dropped."""
        self._events.append({"regarding": dict(regarding), "type": type_, "reason": reason, "message": message})
        self._news.set()

    def repeat(self) -> None:
        """A new session: whatever the masters believe about these pods is said again."""
        self._unsent |= self._statuses.keys()
        self._news.set()

    async def send(self, master: Caller) -> None:
        """Runs for the length of a session; ends with the error that ended it."""
        self._news.set()  # an earlier session may have ended in the middle of a batch
        while True:
            await self._news.wait()
            self._news, self._urgent = trio.Event(), trio.Event()
            began = trio.current_time()
            if self._unsent or self._finished or self._node_status is not None:
                await self._send_statuses(master)
            if self._events:
                await self._send_events(master)
            with trio.move_on_at(began + limits.STATUS_BATCH_SECONDS):
                await self._urgent.wait()

    async def _send_statuses(self, master: Caller) -> None:
        batch = {pod: self._statuses[pod] for pod in list(self._unsent)[: limits.STATUS_BATCH_PODS]}
        finished, node_status = set(list(self._finished)[: limits.STATUS_BATCH_PODS]), self._node_status
        params = {
            "node_status": node_status,
            "pods": [{**pod._asdict(), "status": status} for pod, status in batch.items()],
            "finished": [pod._asdict() for pod in finished],
        }
        with trio.fail_after(_CALL_SECONDS):
            answer = await master.call("node.status", params)
        for refused in answer.get("refused") or ():
            get_logger().info("a pod's status was refused", uid=refused.get("uid"), why=refused.get("message"))
        # What changed while the call was under way goes with the next one.
        self._unsent -= {pod for pod, status in batch.items() if self._statuses.get(pod) in (status, None)}
        self._finished -= finished
        if self._node_status is node_status:
            self._node_status = None
        if self._unsent or self._finished or self._node_status is not None:
            self._news.set()

    async def _send_events(self, master: Caller) -> None:
        batch = [self._events[index] for index in range(min(len(self._events), _EVENTS_IN_CALL))]
        try:
            with trio.fail_after(_CALL_SECONDS):
                await master.call("node.events", {"events": batch})
        except Orchestr8Error as error:
            # Events are for readers, not for decisions: after one try they may be lost, statuses may not.
            get_logger().info("events were not accepted", why=error.message, events=len(batch))
        for event in batch:
            if self._events and self._events[0] is event:
                self._events.popleft()
        if self._events:
            self._news.set()

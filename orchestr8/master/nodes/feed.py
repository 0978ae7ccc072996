"""Tells every connected worker what changed for it: one watch of the store for all of them.

A change marks keys as dirty for the workers it concerns; each worker's stream turns its dirty keys into messages from
the state as it is when the worker has room for more. So a worker costs memory for keys, never for versions, and a slow
one holds up nobody. When this master itself lost its place in the history, every worker gets its full set again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
import trio

from orchestr8 import limits
from orchestr8.api.pod_status import PodStatus
from orchestr8.errors import Expired
from orchestr8.master.nodes.assignments import Assigned, concerned, is_echo
from orchestr8.master.nodes.seams import Store
from orchestr8.rpc.service import MessageStream
from orchestr8.store.command import Key
from orchestr8.store.history import Change

_log = structlog.get_logger("orchestr8.nodes")


class Feed:
    """What one worker is to be told."""

    def __init__(self, node: str) -> None:
        self.assigned = Assigned(node)
        self.reported: dict[Key, PodStatus] = {}  # by this worker, as it stands in the store once it is written
        self._dirty: dict[Key, None] = {}
        self._full = True
        self._news = trio.Event()
        self._news.set()

    def mark(self, key: Key) -> None:
        if self._full:
            return
        self._dirty[key] = None
        if len(self._dirty) > limits.HISTORY_CHANGES:
            self.mark_all()
        self._news.set()

    def mark_all(self) -> None:
        self._full = True
        self._dirty.clear()
        self._news.set()

    async def wait(self) -> None:
        await self._news.wait()

    def messages(self, store: Store) -> list[dict[str, Any]]:
        """What to send now; the next ``wait`` is for later changes."""
        self._news = trio.Event()
        dirty, full = self._dirty, self._full
        self._dirty, self._full = {}, False
        view = store.view()
        return self.assigned.everything(view) if full else self.assigned.changes(view, dirty)


class Feeds:
    """All workers that listen here. ``run`` follows the store; ``serve`` is one worker's stream."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._feeds: dict[str, dict[Feed, None]] = {}

    async def serve(self, node: str, stream: MessageStream) -> None:
        with self._listening(node) as feed:
            while True:
                await feed.wait()
                for message in feed.messages(self._store):
                    await stream.send(message)

    async def run(self) -> None:
        """Follows the store for ever."""
        while True:
            try:
                async with self._store.watch(self._store.revision) as changes:
                    self._mark_everybody()  # what changed before the watch began
                    while True:
                        for change in await anext(changes):
                            self._mark(change)
            except Expired:
                _log.info("assignments lost their place in the history and are sent in full")

    def reported(self, node: str, pod: Key, status: PodStatus) -> None:
        """The node is about to write this status: it need not be told of it."""
        for feed in self._feeds.get(node, ()):
            feed.reported[pod] = status

    @contextmanager
    def _listening(self, node: str) -> Iterator[Feed]:
        feed = Feed(node)
        self._feeds.setdefault(node, {})[feed] = None
        try:
            yield feed
        finally:
            del self._feeds[node][feed]
            if not self._feeds[node]:
                del self._feeds[node]

    def _mark(self, change: Change) -> None:
        everybody, nodes = concerned(change)
        if everybody:
            for feed in self._all():
                feed.mark(change.key)
        elif change.key.kind in ("ConfigMap", "Secret"):
            for feed in self._all():
                if feed.assigned.concerns(change.key):
                    feed.mark(change.key)
        for node in nodes:
            for feed in self._feeds.get(node, ()):
                reported = feed.reported.get(change.key)
                if reported is None or not is_echo(change, reported):
                    feed.mark(change.key)
                if change.after is None:
                    feed.reported.pop(change.key, None)

    def _mark_everybody(self) -> None:
        for feed in self._all():
            feed.mark_all()

    def _all(self) -> Iterator[Feed]:
        return (feed for feeds in self._feeds.values() for feed in feeds)

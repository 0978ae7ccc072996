"""Watches: what has changed since a revision, as one JSON event a line, until the client or its timeout ends it.

Without a resourceVersion (or with "0") the watch starts with an ADDED for every object there is; with
``sendInitialEvents=true`` as well, closed by a BOOKMARK that says so. An object that begins or stops matching the
selectors is ADDED or DELETED for this watch. A watch whose start is older than the history, or whose reader is too slow
for it, ends with an ERROR event of 410 Expired, and the client lists again.
Source: Kubernetes, "API Concepts", sections on watches, bookmarks and streaming lists.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import trio

from orchestr8 import limits
from orchestr8.api import codec
from orchestr8.api.meta import ListMeta, Object, ObjectMeta, with_metadata
from orchestr8.errors import Expired, Invalid
from orchestr8.master.apiserver.deps import ApiDeps
from orchestr8.master.apiserver.formats import tables
from orchestr8.master.apiserver.messages import Query, Request, Send, StreamResponse
from orchestr8.master.apiserver.routes import Target
from orchestr8.master.apiserver.statuses import status_of
from orchestr8.master.apiserver.verbs.selection import Selection, catch_up, parse_revision, selection
from orchestr8.store.history import Change
from orchestr8.store.stored import Stored

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
_SHARED_DELETIONS = 512
_INITIAL_PIECE = 100  # objects a write


@dataclass(frozen=True, slots=True)
class _Start:
    """``revision`` None: the newest; 0: what this master has. ``initial``: first an ADDED for each object there is."""

    revision: int | None
    initial: bool
    closing_bookmark: bool
    bookmarks: bool
    timeout_seconds: float


class Watches:
    """All watches of one master; they share the encoding of what is the same for each of them."""

    def __init__(self, deps: ApiDeps) -> None:
        self._deps = deps
        self._deletions: OrderedDict[int, bytes] = OrderedDict()
        self.count = 0

    def answer(self, target: Target, request: Request) -> StreamResponse:
        """Raises BadRequest and Invalid for parameters that contradict each other."""
        wanted = selection(target, request.query)
        start = _start(request.query)
        form = tables.form_of(request)
        encode = (
            _Encoder(wanted, self._deleted) if form is None else _TableEncoder(wanted, self._deleted, form, self._deps)
        )

        async def run(send: Send) -> None:
            self.count += 1
            try:
                await send(b"")
                with trio.move_on_after(start.timeout_seconds):
                    await self._follow(wanted, start, encode, send)
            except Expired as error:
                await send(_line("ERROR", codec.encode(status_of(error))))
            finally:
                self.count -= 1

        return StreamResponse(run, content_type=tables.CONTENT_TYPE if form is not None else "application/json")

    async def _follow(self, wanted: Selection, start: _Start, encode: _Encoder, send: Send) -> None:
        store = self._deps.store
        if start.revision is None:
            await store.read_barrier()
        else:
            await catch_up(store, start.revision)
        revision = start.revision or 0
        if start.initial or not revision:
            view = store.view()
            revision = view.revision
            present = await wanted.of(view) if start.initial else []
            for index in range(0, len(present), _INITIAL_PIECE):
                await send(b"".join(encode.added(each) for each in present[index : index + _INITIAL_PIECE]))
        if start.closing_bookmark:
            await send(encode.bookmark(revision, {INITIAL_EVENTS_END: "true"}))
        async with store.watch(revision) as changes:
            while True:
                with trio.move_on_after(limits.WATCH_BOOKMARK_SECONDS) as quiet:
                    batch = await anext(changes)
                    revision = batch[-1].revision
                    lines = b"".join(encode.changed(batch))
                if not quiet.cancelled_caught:
                    if lines:
                        await send(lines)
                elif start.bookmarks:
                    await send(encode.bookmark(revision, {}))

    def _deleted(self, before: Stored, revision: int) -> bytes:
        """The last state of an object that is gone (for a watch), at the revision at which it went."""
        found = self._deletions.get(revision)
        if found is None:
            found = codec.encode(with_metadata(before.obj, resource_version=str(revision)))
            self._deletions[revision] = found
            if len(self._deletions) > _SHARED_DELETIONS:
                self._deletions.popitem(last=False)
        return found


class _Encoder:
    """Changes as lines for one watch: the objects themselves, whose bytes all watches share."""

    def __init__(self, wanted: Selection, deleted: Callable[[Stored, int], bytes]) -> None:
        self._wanted = wanted
        self._deleted = deleted

    def added(self, stored: Stored) -> bytes:
        return _line("ADDED", self._object(stored))

    def changed(self, batch: list[Change]) -> Iterator[bytes]:
        for change in batch:
            if change.key.kind != self._wanted.kind.kind or self._wanted.namespace not in (None, change.key.namespace):
                continue
            before, after = self._meant(change.before), self._meant(change.after)
            if after is not None:
                yield _line("ADDED" if before is None else "MODIFIED", self._object(after))
            elif before is not None:
                yield _line("DELETED", self._gone(before, change.revision))

    def bookmark(self, revision: int, annotations: dict[str, str]) -> bytes:
        kind = self._wanted.kind
        meta = ObjectMeta(resource_version=str(revision), annotations=annotations)
        mark = Object(api_version=kind.api_version, kind=kind.kind, metadata=meta)
        return _line("BOOKMARK", codec.encode(mark))

    def _meant(self, stored: Stored | None) -> Stored | None:
        return stored if stored is not None and (self._wanted.everything or self._wanted.matches(stored.obj)) else None

    def _object(self, stored: Stored) -> bytes:
        return stored.json

    def _gone(self, before: Stored, revision: int) -> bytes:
        return self._deleted(before, revision)


class _TableEncoder(_Encoder):
    """Each event holds a table of one row; the columns are told once."""

    def __init__(
        self, wanted: Selection, deleted: Callable[[Stored, int], bytes], form: tables.Form, deps: ApiDeps
    ) -> None:
        super().__init__(wanted, deleted)
        self._form = form
        self._clock = deps.clock
        self._columns_told = False

    def _object(self, stored: Stored) -> bytes:
        return self._table([stored.obj], stored.revision)

    def _gone(self, before: Stored, revision: int) -> bytes:
        return self._table([with_metadata(before.obj, resource_version=str(revision))], revision)

    def bookmark(self, revision: int, annotations: dict[str, str]) -> bytes:
        kind = self._wanted.kind
        meta = ObjectMeta(resource_version=str(revision), annotations=annotations)
        mark = Object(api_version=kind.api_version, kind=kind.kind, metadata=meta)
        return _line("BOOKMARK", tables.bookmark(mark, self._form))

    def _table(self, objects: list[Object], revision: int) -> bytes:
        meta = ListMeta(resource_version=str(revision))
        found = tables.table(self._wanted.kind, objects, meta, self._form, self._clock.now(), not self._columns_told)
        self._columns_told = True
        return found


def _line(type_: str, obj: bytes) -> bytes:
    return b'{"type":"' + type_.encode() + b'","object":' + obj + b"}\n"


def _start(query: Query) -> _Start:
    revision, match = query.text("resourceVersion"), query.text("resourceVersionMatch")
    bookmarks = query.flag("allowWatchBookmarks")
    streaming = "sendInitialEvents" in {name for name, _ in query}
    wants_initial = query.flag("sendInitialEvents")
    if streaming and match != "NotOlderThan":
        raise Invalid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
    if match and not streaming:
        raise Invalid("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
    number = parse_revision(revision) if revision else None
    asked = query.number("timeoutSeconds")
    return _Start(
        revision=number or (0 if revision else None),
        initial=wants_initial if streaming else not number,
        closing_bookmark=wants_initial and bookmarks,
        bookmarks=bookmarks,
        timeout_seconds=min(asked or limits.WATCH_SECONDS, limits.WATCH_SECONDS),
    )

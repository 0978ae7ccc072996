"""The verbs on stored objects: get, create, update, patch, delete and deletecollection, and /status and /finalize.

What is written is decided by admission.py and api.deletion; how it gets into the store by writes.py. Lists and watches
are in lists.py and watch.py, the other subresources in subresources.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from orchestr8.api import codec, deletion
from orchestr8.api import patch as patches
from orchestr8.api.deletion import Marked
from orchestr8.api.meta import DeleteOptions, ListMeta, Object
from orchestr8.errors import NotFound, Orchestr8Error
from orchestr8.master.apiserver import admission
from orchestr8.master.apiserver.admission import Grounds
from orchestr8.master.apiserver.deps import ApiDeps
from orchestr8.master.apiserver.formats import bodies, tables
from orchestr8.master.apiserver.messages import Refusal, Request, Response
from orchestr8.master.apiserver.routes import Target
from orchestr8.master.apiserver.statuses import About, success
from orchestr8.master.apiserver.verbs import writes
from orchestr8.master.apiserver.verbs.options import WriteOptions, delete_options, warning_headers, write_options
from orchestr8.master.apiserver.verbs.selection import catch_up, parse_revision, selection
from orchestr8.master.apiserver.verbs.writes import GONE, Gone, Written
from orchestr8.master.controllers.service_addresses import Ranges
from orchestr8.store.command import Key
from orchestr8.store.stored import Stored
from orchestr8.store.view import View

_DELETES_AT_ONCE = 32


class Objects:
    def __init__(self, deps: ApiDeps) -> None:
        self._deps = deps
        self._ranges = Ranges.parse(deps.service_cidr, deps.node_port_range)

    async def get(self, target: Target, request: Request) -> Response:
        """Linearizable; with ``resourceVersion=0`` whatever this master has."""
        revision = request.query.text("resourceVersion")
        if revision:
            await catch_up(self._deps.store, parse_revision(revision))
        else:
            await self._deps.store.read_barrier()
        stored = self._deps.store.view().stored(*target.key)
        if stored is None:
            raise NotFound(f'{target.resource} "{target.name}" not found')
        form = tables.form_of(request)
        if form is None:
            return Response(body=stored.json)
        meta = ListMeta(resource_version=str(stored.revision))
        table = tables.table(target.kind, [stored.obj], meta, form, self._deps.clock.now())
        return Response(body=table, content_type=tables.CONTENT_TYPE)

    async def create(self, target: Target, request: Request) -> Response:
        options = write_options(request.query)
        body = await bodies.read(request)
        obj, unknown = codec.read(target.kind.kind, bodies.as_object(body.value))
        warnings = options.unknown(target.kind, unknown, body.duplicates)
        grounds = self._grounds()
        not_run: set[str] = set()

        def admit(view: View) -> Object:
            admitted = admission.admit_new(target, obj, view, grounds)
            not_run.update(admitted.warnings)
            return admitted.obj  # type: ignore[no-any-return]

        written = await writes.create(self._deps, target, admit, dry_run=options.dry_run)
        return Response(201, written.json, headers=warning_headers(sorted({*warnings, *not_run})))

    async def update(self, target: Target, request: Request) -> Response:
        options = write_options(request.query)
        body = await bodies.read(request)
        new, unknown = codec.read(target.kind.kind, bodies.as_object(body.value))
        warnings = options.unknown(target.kind, unknown, body.duplicates)
        return await self._change(target, options, warnings, lambda old: new)

    async def patch(self, target: Target, request: Request) -> Response:
        options = write_options(request.query)
        content_type = patch_type(request)
        body = await bodies.read_json(request.body)
        told: set[str] = set()

        def patched(old: Object) -> Object:
            value = patches.apply_patch(content_type, target.kind.cls, codec.to_builtins(old), body.value)
            new, unknown = codec.read(target.kind.kind, value)
            told.update(options.unknown(target.kind, unknown, body.duplicates))
            return new  # type: ignore[no-any-return]

        return await self._change(target, options, told, patched)

    async def delete(self, target: Target, request: Request) -> Response:
        options, dry_run = await delete_options(request)
        written = await self.remove(target, options, dry_run=dry_run)
        if written.gone:
            return success(About(target.name, target.kind.group, target.kind.plural, written.obj.metadata.uid))
        return Response(body=written.json)

    async def remove(self, target: Target, options: DeleteOptions, *, dry_run: bool = False) -> Written:
        """What DELETE does to one object. Raises NotFound, Conflict, Forbidden and Invalid."""
        admission.check_deletable(target)
        deletion.propagation(options)
        now = self._deps.clock.now()

        def decide(old: Any, view: View) -> Object | Gone:
            outcome = deletion.delete(old, options, now)
            if not isinstance(outcome, Marked):
                return GONE
            return old if outcome.obj == old else outcome.obj  # type: ignore[no-any-return]

        return await writes.change(self._deps, target, decide, dry_run=dry_run)

    async def delete_collection(self, target: Target, request: Request) -> Response:
        options, dry_run = await delete_options(request)
        wanted = selection(target, request.query)
        await self._deps.store.read_barrier()
        view = self._deps.store.view()
        revision = view.revision
        found = await wanted.of(view)
        failures: list[Orchestr8Error] = []
        await _each(found, lambda each: self._delete_one(target, each.key, options, dry_run, failures))
        if failures:
            raise failures[0]
        items = b",".join(each.json for each in found)
        head = f'{{"kind":"{target.kind.kind}List","apiVersion":"{target.kind.api_version}","metadata":'
        meta = codec.encode(ListMeta(resource_version=str(revision)))
        return Response(body=head.encode() + meta + b',"items":[' + items + b"]}")

    async def _delete_one(
        self, target: Target, key: Key, options: DeleteOptions, dry_run: bool, failures: list[Orchestr8Error]
    ) -> None:
        one = Target(target.kind, key.namespace, key.name)
        try:
            await self.remove(one, options, dry_run=dry_run)
        except NotFound:
            pass  # gone is what was wanted
        except Orchestr8Error as error:
            failures.append(error)

    async def _change(
        self,
        target: Target,
        options: WriteOptions,
        warnings: set[str] | list[str],
        propose: Callable[[Object], Object],
    ) -> Response:
        grounds = self._grounds()
        not_run: set[str] = set()

        def decide(old: Any, view: View) -> Object | Gone:
            admitted = admission.admit_change(target, old, propose(old), view, grounds)
            not_run.update(admitted.warnings)
            new = admitted.obj
            if new is not old and deletion.is_finished(new):
                return GONE
            return new  # type: ignore[no-any-return]

        written = await writes.change(self._deps, target, decide, dry_run=options.dry_run)
        return Response(body=written.json, headers=warning_headers(sorted({*warnings, *not_run})))

    def _grounds(self) -> Grounds:
        return Grounds(self._deps.clock.now(), self._deps.names, self._ranges)


async def _each(found: list[Stored], do: Callable[[Stored], Awaitable[None]]) -> None:
    """``do`` for each, a bounded number at once: they share log entries."""
    limiter = trio.CapacityLimiter(_DELETES_AT_ONCE)

    async def one(each: Stored) -> None:
        async with limiter:
            await do(each)

    async with trio.open_nursery() as nursery:
        for each in found:
            nursery.start_soon(one, each)


def patch_type(request: Request) -> str:
    """The content type of a patch. Raises Refusal 415, as clients of server-side apply expect it."""
    content_type = bodies.media_type(request.headers.get("content-type", ""))
    if content_type not in patches.CONTENT_TYPES:
        raise Refusal(
            415,
            "UnsupportedMediaType",
            f"the body of the request was in an unknown format ({content_type or 'no content type'}): "
            f"accepted media types include: {', '.join(patches.CONTENT_TYPES)}",
        )
    return content_type

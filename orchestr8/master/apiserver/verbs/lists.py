"""GET of a collection: which revision, which page, in which form.

Without a resourceVersion the list is linearizable; "0" answers from memory; N answers at least that new. A list cut by
``limit`` goes on at the revision of its first page, rebuilt from the history, so that all pages together are one
snapshot; when the history is gone the client hears 410 Expired. Objects are stored encoded: a list joins their bytes.
Source: Kubernetes, "API Concepts", sections on resource versions and chunking.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

import msgspec

from orchestr8 import limits
from orchestr8.api import codec
from orchestr8.api.meta import ListMeta
from orchestr8.errors import BadRequest, Expired, Invalid
from orchestr8.master.apiserver.deps import ApiDeps
from orchestr8.master.apiserver.formats import tables
from orchestr8.master.apiserver.messages import Answer, Query, Request, Response, Send, StreamResponse
from orchestr8.master.apiserver.routes import Target
from orchestr8.master.apiserver.verbs.selection import Selection, catch_up, parse_revision, selection
from orchestr8.store.stored import Stored
from orchestr8.store.view import View

_WHOLE_BYTES = 1 * limits.MIB  # a longer list is written in pieces, so that only references are held for it
_PIECE_BYTES = 256 * limits.KIB


class _Token(msgspec.Struct, frozen=True, array_like=True):
    """Where the next page starts: behind (namespace, name) at ``revision``."""

    revision: int
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Page:
    stored: list[Stored]
    meta: ListMeta


async def list_collection(deps: ApiDeps, target: Target, request: Request) -> Answer:
    """Raises BadRequest, Invalid and Expired."""
    wanted = selection(target, request.query)
    page = await _page(await _view(deps, request.query), wanted, request.query)
    form = tables.form_of(request)
    if form is not None:
        table = await tables.table_of(target.kind, page.stored, page.meta, form, deps.clock.now())
        return Response(body=table, content_type=tables.CONTENT_TYPE)
    parts = [
        f'{{"kind":"{target.kind.kind}List","apiVersion":"{target.kind.api_version}","metadata":'.encode(),
        codec.encode(page.meta),
        b',"items":[',
        b",".join(each.json for each in page.stored) if _is_small(page) else b"",
    ]
    if _is_small(page):
        return Response(body=b"".join((*parts, b"]}")))

    async def run(send: Send) -> None:
        piece, size_bytes = parts, 0
        for index, each in enumerate(page.stored):
            piece.append(each.json if index == 0 else b"," + each.json)
            size_bytes += len(each.json)
            if size_bytes > _PIECE_BYTES:
                await send(b"".join(piece))
                piece, size_bytes = [], 0
        await send(b"".join((*piece, b"]}")))

    return StreamResponse(run)


def _is_small(page: Page) -> bool:
    return sum(len(each.json) for each in page.stored) <= _WHOLE_BYTES


async def _view(deps: ApiDeps, query: Query) -> View:
    """The state that the client asks for. A view is of now: the caller uses it without an await."""
    revision, match, token = query.text("resourceVersion"), query.text("resourceVersionMatch"), query.text("continue")
    if match not in ("", "Exact", "NotOlderThan"):
        raise Invalid(f"resourceVersionMatch: {match!r} is not one of Exact, NotOlderThan")
    if match and not revision:
        raise Invalid("resourceVersionMatch is forbidden unless resourceVersion is provided")
    if match == "Exact" and revision == "0":
        raise Invalid('resourceVersionMatch is forbidden: "Exact" may not be used with resourceVersion "0"')
    if token:
        if revision not in ("", "0"):
            raise BadRequest("specifying resourceVersion is not allowed when using continue")
        wanted = _parse_token(token).revision
        await catch_up(deps.store, wanted)
        return _at(deps.store.view(), wanted, "The provided continue parameter is too old: list again without it")
    if not revision:
        await deps.store.read_barrier()
        return deps.store.view()
    number = parse_revision(revision)
    await catch_up(deps.store, number)
    if match == "Exact":
        return _at(deps.store.view(), number, f"resourceVersion {number} is older than the history kept")
    return deps.store.view()


def _at(view: View, revision: int, message: str) -> View:
    try:
        return view.at(revision)
    except Expired as error:
        raise Expired(message) from error


async def _page(view: View, wanted: Selection, query: Query) -> Page:
    revision = view.revision
    stored = await wanted.of(view)
    if token := query.text("continue"):
        start = _parse_token(token)
        place = (start.namespace, start.name)
        stored = [each for each in stored if (each.key.namespace, each.key.name) > place]
    asked = query.number("limit")
    limit = min(asked, limits.LIST_PAGE_MAX) if asked else len(stored)
    rest = len(stored) - limit
    if rest <= 0:
        return Page(stored, ListMeta(resource_version=str(revision)))
    stored = stored[:limit]
    last = stored[-1].key
    return Page(
        stored,
        ListMeta(
            resource_version=str(revision),
            continue_=_format_token(_Token(revision, last.namespace, last.name)),
            remaining_item_count=rest if wanted.everything else None,
        ),
    )


def _format_token(token: _Token) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(token)).decode().rstrip("=")


def _parse_token(text: str) -> _Token:
    try:
        padded = text + "=" * (-len(text) % 4)
        return msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=_Token)
    except (binascii.Error, msgspec.DecodeError, ValueError) as error:
        raise BadRequest("the continue parameter is not one that a list here has given out") from error

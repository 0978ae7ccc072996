"""Answers as tables for people (``kubectl get``): columns and cells come from ``api.columns``.

A client asks with ``Accept: application/json;as=Table;v=v1;g=meta.k8s.io``. ``includeObject``: what stands beside the
cells: Metadata (the default), Object or None. Source: Kubernetes, "Receiving resources as Tables".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any

import msgspec
import trio

from orchestr8.api import codec, columns
from orchestr8.api.kinds import Kind
from orchestr8.api.meta import ListMeta, Object
from orchestr8.errors import BadRequest
from orchestr8.master.apiserver.messages import Request
from orchestr8.store.stored import Stored

CONTENT_TYPE = "application/json;as=Table;g=meta.k8s.io;v=v1"

_SLICE = 500  # rows made before others may run


class Form(Enum):
    METADATA = "Metadata"
    OBJECT = "Object"
    NONE = "None"


def form_of(request: Request) -> Form | None:
    """What the client wants beside the cells; None when it wants no table. Raises BadRequest."""
    if not any(_asks_table(part) for part in request.headers.get("accept", "").split(",")):
        return None
    wanted = request.query.text("includeObject") or Form.METADATA.value
    try:
        return Form(wanted)
    except ValueError:
        raise BadRequest(f"includeObject={wanted[:40]}: give None, Metadata or Object") from None


def table(
    kind: Kind,
    objects: Iterable[Object],
    meta: ListMeta,
    form: Form,
    now: dt.datetime,
    with_columns: bool = True,
) -> bytes:
    """JSON of the table. ``with_columns`` False: a later event of a watch, whose client knows them."""
    rows = [_row(obj, form, now) for obj in objects]
    return _encode(meta, _definitions(kind) if with_columns else [], rows)


async def table_of(kind: Kind, stored: Sequence[Stored], meta: ListMeta, form: Form, now: dt.datetime) -> bytes:
    """As ``table``, for a list: others may run in between."""
    rows: list[dict[str, Any]] = []
    for start in range(0, len(stored), _SLICE):
        if start:
            await trio.lowlevel.checkpoint()
        rows += [_row(each.obj, form, now) for each in stored[start : start + _SLICE]]
    return _encode(meta, _definitions(kind), rows)


def bookmark(mark: Object, form: Form) -> bytes:
    """A table that only carries the metadata of a BOOKMARK."""
    row: dict[str, Any] = {"cells": [], "object": _partial(mark) if form is not Form.OBJECT else _raw(mark)}
    return _encode(ListMeta(resource_version=mark.metadata.resource_version), [], [row])


def _encode(meta: ListMeta, definitions: list[dict[str, Any]], rows: list[dict[str, Any]]) -> bytes:
    return msgspec.json.encode(
        {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": meta,
            "columnDefinitions": definitions,
            "rows": rows,
        }
    )


def _definitions(kind: Kind) -> list[dict[str, Any]]:
    return [
        {
            "name": column.name,
            "type": column.type,
            "format": column.format,
            "description": column.description,
            "priority": column.priority,
        }
        for column in columns.columns(kind.kind)
    ]


def _row(obj: Object, form: Form, now: dt.datetime) -> dict[str, Any]:
    row: dict[str, Any] = {"cells": columns.row(obj, now)}
    if form is Form.METADATA:
        row["object"] = _partial(obj)
    elif form is Form.OBJECT:
        row["object"] = _raw(obj)
    return row


def _partial(obj: Object) -> dict[str, Any]:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj.metadata}


def _raw(obj: Object) -> msgspec.Raw:
    return msgspec.Raw(codec.encode(obj))


def _asks_table(part: str) -> bool:
    media, *parameters = (piece.strip() for piece in part.split(";"))
    wanted = dict(parameter.partition("=")[::2] for parameter in parameters)
    return (
        media == "application/json"
        and wanted.get("as") == "Table"
        and wanted.get("g") == "meta.k8s.io"
        and wanted.get("v") == "v1"
    )

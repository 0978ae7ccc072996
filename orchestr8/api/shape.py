"""What a model class looks like, read once from its annotations and kept.

Decoding, OpenAPI, strategic merge and unknown-field checks walk these shapes instead of each reading annotations anew.
"""

from __future__ import annotations

import datetime as dt
import types
import typing
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

import msgspec

from orchestr8.api.fields import Noun

Form = Literal["scalar", "object", "list", "map", "free"]
Scalar = Literal["string", "integer", "number", "boolean", "time", "bytes", "quantity", "int-or-string"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One value's shape.

    ``form`` "scalar" uses ``scalar``; "object" uses ``cls``; "list" and "map" use ``item``; "free" is any JSON.
    """

    form: Form
    scalar: Scalar = "string"
    micro: bool = False
    cls: type[Noun] | None = None
    item: Shape | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a class: its JSON name, attribute, shape and note (see ``fields.about``)."""

    name: str
    attribute: str
    shape: Shape
    required: bool
    description: str = ""
    zero_matters: bool = False
    merge_key: str | None = None
    list_type: str | None = None
    map_keys: tuple[str, ...] = ()
    strategy: str | None = None
    atomic: bool = False


@cache
def fields_of(cls: type[Noun]) -> dict[str, Field]:
    """The fields of ``cls`` by JSON name, in the order of declaration."""
    hints = typing.get_type_hints(cls, include_extras=True)
    found: dict[str, Field] = {}
    for field in msgspec.structs.fields(cls):
        notes, inner = _peel(hints[field.name])
        extra = {key: value for note in notes for key, value in (note.extra or {}).items()}
        description = next((note.description for note in notes if note.description), "")
        found[field.encode_name] = Field(
            name=field.encode_name,
            attribute=field.name,
            shape=_shape(inner, extra),
            required=field.default_factory is not msgspec.NODEFAULT,
            description=description,
            zero_matters=bool(extra.get("zero_matters")),
            merge_key=extra.get("merge_key"),
            list_type=extra.get("list_type"),
            map_keys=tuple(extra.get("map_keys", ())),
            strategy=extra.get("strategy"),
            atomic=bool(extra.get("atomic")),
        )
    return found


def is_atomic(cls: type[Noun]) -> bool:
    """Whether server-side apply replaces objects of this class as a whole (references and selectors)."""
    return bool(getattr(cls, "ATOMIC", False))


def reachable(roots: typing.Iterable[type[Noun]]) -> list[type[Noun]]:
    """``roots`` and every class below them, each once, in the order met."""
    met: dict[type[Noun], None] = {}
    waiting = list(roots)
    while waiting:
        cls = waiting.pop(0)
        if cls in met:
            continue
        met[cls] = None
        for field in fields_of(cls).values():
            shape: Shape | None = field.shape
            while shape is not None:
                if shape.cls is not None:
                    waiting.append(shape.cls)
                shape = shape.item
    return list(met)


def _peel(hint: Any) -> tuple[list[msgspec.Meta], Any]:
    """The notes of an annotation and what is under them; ``X | None`` counts as X."""
    notes: list[msgspec.Meta] = []
    while True:
        if typing.get_origin(hint) is Annotated:
            notes += [note for note in typing.get_args(hint)[1:] if isinstance(note, msgspec.Meta)]
            hint = typing.get_args(hint)[0]
            continue
        if typing.get_origin(hint) in (typing.Union, types.UnionType):
            members = [member for member in typing.get_args(hint) if member is not type(None)]
            if len(members) == 1:
                hint = members[0]
                continue
        return notes, hint


_SCALARS: dict[type, Scalar] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    bytes: "bytes",
    dt.datetime: "time",
}


def _shape(hint: Any, extra: dict[str, Any]) -> Shape:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return Shape(form="scalar", scalar="int-or-string")
    if origin is tuple:
        return Shape(form="list", item=_item(typing.get_args(hint)[0]))
    if origin is dict:
        value = typing.get_args(hint)[1]
        return Shape(form="free") if value is Any else Shape(form="map", item=_item(value))
    if hint is Any:
        return Shape(form="free")
    if isinstance(hint, type) and issubclass(hint, Noun):
        return Shape(form="object", cls=hint)
    if extra.get("quantity"):
        return Shape(form="scalar", scalar="quantity")
    return Shape(form="scalar", scalar=_SCALARS[hint], micro=bool(extra.get("micro")))


def _item(hint: Any) -> Shape:
    notes, inner = _peel(hint)
    return _shape(inner, {key: value for note in notes for key, value in (note.extra or {}).items()})

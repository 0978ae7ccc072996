"""One object as the state keeps it: decoded once, encoded once, shared by every reader.

``json`` is what the API sends: canonical field order, resourceVersion filled in. Both forms are frozen.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from orchestr8.api import codec, kinds
from orchestr8.api.meta import ObjectMeta, with_metadata
from orchestr8.errors import BadRequest, Invalid
from orchestr8.store.command import Key


class Object(Protocol):
    """What every kind has in common."""

    @property
    def api_version(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def metadata(self) -> ObjectMeta: ...


class Stored(NamedTuple):
    """``revision`` is that of the object's last write and equals ``obj.metadata.resource_version``."""

    key: Key
    obj: Object
    revision: int
    json: bytes


def accept(key: Key, data: bytes, revision: int) -> Stored:
    """The object of a Put at its revision. Raises Orchestr8Error for bytes that are not an object of that key."""
    obj = _decode(key.kind, data)
    meta = obj.metadata
    if (meta.namespace or "") != key.namespace or meta.name != key.name:
        raise Invalid(f"metadata names {meta.namespace or ''}/{meta.name}, the key {key.namespace}/{key.name}")
    obj = with_metadata(obj, resource_version=str(revision))
    return Stored(key, obj, revision, codec.encode(obj))


def restore(key: Key, json: bytes, revision: int) -> Stored:
    """The object of a snapshot, byte for byte as it was. Raises Orchestr8Error for a kind or a body not understood."""
    return Stored(key, _decode(key.kind, json), revision, json)


def _decode(kind: str, json: bytes) -> Object:
    if not kinds.by_name(kind).stored:
        raise BadRequest(f"{kind} objects are answered, never stored")
    return codec.decode(kind, json)

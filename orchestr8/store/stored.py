"""One object as the state keeps it: encoded once, shared by every reader; decoded while it is in use.

``json`` is what the API sends: canonical field order, resourceVersion filled in. A decoded pod takes four times the
memory of its JSON, so only limits.DECODED_OBJECTS objects stay decoded, and the one decoded longest ago makes room for
the next; an object that is read again is decoded again (some microseconds). Nothing but memory and time depends on it.
"""

from __future__ import annotations

import re
import sys
from collections import deque

from orchestr8 import limits
from orchestr8.api import codec, kinds
from orchestr8.api.meta import Object, with_metadata
from orchestr8.errors import BadRequest, Invalid
from orchestr8.store.command import Key

_DEPTH = 2 * limits.JSON_DEPTH  # clients are held to half of it
_NESTING = re.compile(rb'[{}\[\]]|"(?:[^"\\]|\\.)*"', re.DOTALL)


class Stored:
    """Frozen. ``revision`` is that of the object's last write and equals ``obj.metadata.resource_version``."""

    __slots__ = ("_decoded", "_obj", "json", "key", "revision")

    def __init__(self, key: Key, revision: int, json: bytes, obj: Object, decoded: Decoded) -> None:
        self.key = key
        self.revision = revision
        self.json = json
        self._obj: Object | None = obj
        self._decoded = decoded
        decoded.enter(self)

    @property
    def obj(self) -> Object:
        found = self._obj
        if found is None:
            found = self._obj = codec.decode(self.key.kind, self.json)
            self._decoded.enter(self)
        return found

    def forget(self) -> None:
        """Drops the decoded form; the next reader decodes again."""
        self._obj = None


class Decoded:
    """The objects that are decoded at the moment, oldest first."""

    def __init__(self, bound: int = limits.DECODED_OBJECTS) -> None:
        self._bound = bound
        self._ring: deque[Stored] = deque()

    def enter(self, stored: Stored) -> None:
        self._ring.append(stored)
        if len(self._ring) > self._bound:
            self._ring.popleft().forget()


def accept(key: Key, data: bytes, revision: int, decoded: Decoded) -> Stored:
    """The object of a Put at its revision. Raises Orchestr8Error for bytes that are not an object of that key."""
    _check_depth(data)
    obj = _decode(key.kind, data)
    if kinds.by_name(key.kind).namespaced != bool(key.namespace):
        raise Invalid(f"{key.kind} {key.name!r} has the wrong scope: namespace {key.namespace!r}")
    meta = obj.metadata
    if meta.namespace != key.namespace or meta.name != key.name or not key.name:
        raise Invalid(f"metadata names {meta.namespace}/{meta.name}, the key {key.namespace}/{key.name}")
    obj = with_metadata(obj, resource_version=str(revision))
    return Stored(_shared(key), revision, codec.encode(obj), obj, decoded)


def restore(key: Key, json: bytes, revision: int, decoded: Decoded) -> Stored:
    """The object of a snapshot, byte for byte as it was. Raises Orchestr8Error for a kind or a body not understood."""
    return Stored(_shared(key), revision, json, _decode(key.kind, json), decoded)


def _shared(key: Key) -> Key:
    """Kinds and namespaces are few: one string each for all objects."""
    return Key(sys.intern(key.kind), sys.intern(key.namespace), key.name)


def _check_depth(json: bytes) -> None:
    """How deep a decoder may recurse depends on the stack that it is called from, which differs between masters: what
    is deeper than any object must be refused before, everywhere alike. Raises BadRequest."""
    if json.count(b"{") + json.count(b"[") <= _DEPTH:
        return
    depth = 0
    for token in _NESTING.finditer(json):
        if token[0] in (b"{", b"["):
            depth += 1
            if depth > _DEPTH:
                raise BadRequest(f"JSON is nested deeper than {_DEPTH}")
        elif token[0] in (b"}", b"]"):
            depth -= 1


def _decode(kind: str, json: bytes) -> Object:
    if not kinds.by_name(kind).stored:
        raise BadRequest(f"{kind} objects are answered, never stored")
    obj = codec.decode(kind, json)
    if not isinstance(obj, Object):
        raise BadRequest(f"{kind} is not a kind with metadata")
    return obj

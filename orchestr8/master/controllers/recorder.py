"""Turns notes into Events. The same note again raises the count of the first instead of making another. Pure.

An Event's name is a digest of what it says about whom, so finding the earlier one is a look-up.
Source: Kubernetes, Event v1 (involvedObject, count, firstTimestamp, lastTimestamp).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

import msgspec

from orchestr8.api import codec
from orchestr8.api.config import Namespace
from orchestr8.api.events import Event, EventSource
from orchestr8.api.meta import ObjectMeta, object_reference
from orchestr8.clock import to_seconds
from orchestr8.master.controllers.facts import key_of
from orchestr8.names import Names
from orchestr8.store.command import Compare, Key, Put, Txn
from orchestr8.store.plan import Note
from orchestr8.store.view import View

MESSAGE_CHARS = 1_024  # Kubernetes' bound
_NAME_CHARS = 236  # with the digest at most 253, an object name


def record(view: View, notes: Iterable[tuple[str, Note]], now: datetime, names: Names) -> Txn:
    """One transaction for all notes; ``notes``: (name of the controller, note). Without writes when none counts."""
    events: dict[Key, Event] = {}
    compares: list[Compare] = []
    for component, note in notes:
        name = _name(component, note)
        key = Key("Event", note.regarding.metadata.namespace or "default", name)
        namespace = view.get(Namespace, "", key.namespace)
        if namespace is None or namespace.metadata.deletion_timestamp is not None:
            continue
        if key not in events:
            stored = view.stored(*key)
            compares.append(Compare(key, stored.revision if stored is not None else 0))
        known = events.get(key) or view.get(Event, key.namespace, name)
        events[key] = _again(known, now) if known is not None else _first(key, component, note, now, names)
    return Txn(names.uid(), tuple(compares), tuple(Put(key_of(each), codec.encode(each)) for each in events.values()))


def _name(component: str, note: Note) -> str:
    said = (component, note.regarding.kind, note.regarding.metadata.uid, note.type, note.reason, note.message)
    digest = hashlib.blake2b("\0".join(said).encode(), digest_size=8).hexdigest()
    return f"{note.regarding.metadata.name[:_NAME_CHARS]}.{digest}"


def _again(known: Event, now: datetime) -> Event:
    return msgspec.structs.replace(known, count=(known.count or 1) + 1, last_timestamp=to_seconds(now))


def _first(key: Key, component: str, note: Note, now: datetime, names: Names) -> Event:
    moment = to_seconds(now)
    return Event(
        metadata=ObjectMeta(name=key.name, namespace=key.namespace, uid=names.uid(), creation_timestamp=moment),
        involved_object=object_reference(note.regarding),
        type=note.type,
        reason=note.reason,
        message=note.message[:MESSAGE_CHARS],
        count=1,
        first_timestamp=moment,
        last_timestamp=moment,
        source=EventSource(component=component),
        reporting_component=component,
    )

"""Events: notes about an object that users read with ``describe``: from scheduler, controllers and nodes. Pure.

The same note again does not make a second object: its name is a digest of what it says, and the count grows.
Source: Kubernetes, Event v1 (involvedObject, count, firstTimestamp, lastTimestamp).
"""

from __future__ import annotations

import datetime as dt
import hashlib

import msgspec

from orchestr8.api import codec
from orchestr8.api.config import Namespace
from orchestr8.api.events import Event, EventSource
from orchestr8.api.meta import ObjectMeta, ObjectReference
from orchestr8.clock import to_seconds
from orchestr8.master.steps import Step
from orchestr8.store.command import ABSENT, Compare, Key, Put
from orchestr8.store.view import View

MESSAGE_CHARS = 1_024  # Kubernetes' bound on an event's message


class Regarding(msgspec.Struct, frozen=True, rename="camel"):
    """Spelled as in an ObjectReference. ``field_path``: ``spec.containers{web}``, or empty."""

    kind: str
    name: str
    namespace: str = ""
    uid: str = ""
    field_path: str = ""
    api_version: str = "v1"


class Said(msgspec.Struct, frozen=True):
    regarding: Regarding
    type: str
    reason: str
    message: str


def recorded(view: View, said: Said, *, component: str, host: str, now: dt.datetime, uid: str) -> Step | None:
    """The write that records what was said: a new Event with ``uid``, or one more count of a known one.

    None when the namespace is going or gone: nothing would keep the event.
    """
    regarding = said.regarding
    namespace = regarding.namespace or "default"
    home = view.get(Namespace, "", namespace)
    if home is None or home.metadata.deletion_timestamp is not None:
        return None
    message = said.message[:MESSAGE_CHARS]
    digest = hashlib.blake2b(
        "\0".join((regarding.uid, regarding.field_path, said.type, said.reason, message, component, host)).encode(),
        digest_size=8,
    ).hexdigest()
    name = f"{regarding.name[:236]}.{digest}"
    key = Key("Event", namespace, name)
    moment = to_seconds(now)
    known = view.get(Event, namespace, name)
    if known is not None:
        again = msgspec.structs.replace(known, count=(known.count or 1) + 1, last_timestamp=moment)
        compare = Compare(key, int(known.metadata.resource_version or 0))
        return Step((compare,), (Put(key, codec.encode(again)),))
    event = Event(
        metadata=ObjectMeta(name=name, namespace=namespace, uid=uid, creation_timestamp=moment),
        involved_object=ObjectReference(
            api_version=regarding.api_version,
            kind=regarding.kind,
            name=regarding.name,
            namespace=regarding.namespace or None,
            uid=regarding.uid or None,
            field_path=regarding.field_path or None,
        ),
        type=said.type,
        reason=said.reason,
        message=message,
        count=1,
        first_timestamp=moment,
        last_timestamp=moment,
        source=EventSource(component=component, host=host or None),
        reporting_component=component,
        reporting_instance=host or None,
    )
    return Step((Compare(key, ABSENT),), (Put(key, codec.encode(event)),))

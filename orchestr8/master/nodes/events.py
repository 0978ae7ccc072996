"""Events: notes about an object that users read with ``describe``. Pure.

The same note again does not make a second object: its name is a digest of what it says, and the count grows.
Source: Kubernetes, Event v1 (involvedObject, count, firstTimestamp, lastTimestamp).
"""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Annotated

import msgspec

from orchestr8.api import codec
from orchestr8.api.config import Namespace
from orchestr8.api.events import Event, EventSource
from orchestr8.api.meta import ObjectMeta, ObjectReference
from orchestr8.api.node import Node
from orchestr8.api.pod import Pod
from orchestr8.clock import to_seconds
from orchestr8.errors import Forbidden
from orchestr8.master.nodes.steps import Step
from orchestr8.store.command import Compare, Key, Put
from orchestr8.store.view import View

_EVENTS_PER_CALL = 200
MESSAGE_CHARS = 1_024  # Kubernetes' bound on an event's message


class Regarding(msgspec.Struct, frozen=True, rename="camel"):
    """Spelled as in an ObjectReference. ``field_path``: ``spec.containers{web}``, or empty."""

    kind: str
    name: str
    namespace: str = ""
    uid: str = ""
    field_path: str = ""


class Said(msgspec.Struct, frozen=True):
    regarding: Regarding
    type: str
    reason: str
    message: str


class EventsParams(msgspec.Struct, frozen=True):
    """Params of ``node.events``."""

    events: Annotated[tuple[Said, ...], msgspec.Meta(max_length=_EVENTS_PER_CALL)] = ()


def check_own(view: View, node: str, regarding: Regarding) -> bool:
    """Whether the object is still there to speak of. Raises Forbidden when it is not the node's to speak of."""
    if regarding.kind == "Node" and regarding.name == node:
        return view.get(Node, "", node) is not None
    if regarding.kind != "Pod":
        raise Forbidden(f"node {node} may only report events about itself and its pods, not about {regarding.kind}")
    pod = view.get(Pod, regarding.namespace, regarding.name)
    if pod is None or pod.metadata.uid != regarding.uid:
        return False
    if pod.spec.node_name != node:
        raise Forbidden(f"pod {regarding.namespace}/{regarding.name} is not bound to node {node}")
    return True


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
            api_version="v1",
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
    return Step((Compare(key, 0),), (Put(key, codec.encode(event)),))

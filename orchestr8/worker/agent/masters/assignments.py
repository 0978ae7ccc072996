"""What the masters want this node to run and to know, as accepted last. Pure; the session feeds it, the agent reads it.

A set comes whole (perhaps in parts) and then as changes; nothing is acted on before the last part is there. The same
value is saved on the disk, so that a worker starts its pods with all masters down.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from orchestr8.api import codec
from orchestr8.api.config import ConfigMap, Secret
from orchestr8.api.meta import Object
from orchestr8.api.node import Node
from orchestr8.api.pod import Pod
from orchestr8.api.service import EndpointSlice, Service
from orchestr8.errors import CorruptState, Orchestr8Error

KINDS = frozenset({"Pod", "ConfigMap", "Secret", "Node", "Service", "EndpointSlice"})

Name = tuple[str, str, str]  # kind, namespace, name


class Assignments(msgspec.Struct, frozen=True, kw_only=True):
    """``pending``: parts of a whole set whose last part has not come yet."""

    revision: int = 0
    objects: Mapping[Name, Object] = {}
    pending: Mapping[Name, Object] | None = None

    def accept(self, message: Mapping[str, Any]) -> Assignments:
        """After one message of the stream. Raises BadRequest when an object does not decode."""
        base = dict(self.pending) if self.pending is not None else ({} if message.get("full") else dict(self.objects))
        if message.get("full"):
            base = {}
        for item in (*(message.get("objects") or ()), *(message.get("put") or ())):
            if item["kind"] in KINDS:
                obj = codec.decode(item["kind"], bytes(item["data"]))
                base[(item["kind"], obj.metadata.namespace, obj.metadata.name)] = obj
        for kind, namespace, name in message.get("gone") or ():
            base.pop((kind, namespace, name), None)
        if message.get("more"):
            return msgspec.structs.replace(self, pending=base)
        return Assignments(revision=int(message.get("revision") or 0), objects=base)

    # -- reading ------------------------------------------------------------------------------------------

    def pods(self) -> dict[str, Pod]:
        """By uid."""
        return {obj.metadata.uid: obj for obj in self.objects.values() if isinstance(obj, Pod)}

    def nodes(self) -> list[Node]:
        return [obj for obj in self.objects.values() if isinstance(obj, Node)]

    def services(self) -> list[Service]:
        return [obj for obj in self.objects.values() if isinstance(obj, Service)]

    def slices(self) -> list[EndpointSlice]:
        return [obj for obj in self.objects.values() if isinstance(obj, EndpointSlice)]

    def node(self, name: str) -> Node | None:
        found = self.objects.get(("Node", "", name))
        return found if isinstance(found, Node) else None

    def config_map(self, namespace: str, name: str) -> ConfigMap | None:
        found = self.objects.get(("ConfigMap", namespace, name))
        return found if isinstance(found, ConfigMap) else None

    def secret(self, namespace: str, name: str) -> Secret | None:
        found = self.objects.get(("Secret", namespace, name))
        return found if isinstance(found, Secret) else None

    # -- the disk -----------------------------------------------------------------------------------------

    def dump(self) -> bytes:
        objects = [{"kind": name[0], "data": codec.encode(obj)} for name, obj in self.objects.items()]
        return msgspec.msgpack.encode({"format": 1, "revision": self.revision, "objects": objects})


def load(data: bytes) -> Assignments:
    """What ``dump`` wrote. Raises CorruptState."""
    try:
        saved = msgspec.msgpack.decode(data)
        if saved.get("format") != 1:
            raise CorruptState(f"the saved assignments have format {saved.get('format')!r}, this version reads 1")
        return Assignments().accept({**saved, "full": True})
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError, Orchestr8Error) as error:
        raise CorruptState(f"the saved assignments cannot be read: {error}") from error

"""What one node may see, and what to tell it next: ``Assigned``. Pure but for its own memory of what was told.

A node sees its own Pods, the ConfigMaps and Secrets that those refer to, every Service and EndpointSlice, and every
Node, trimmed to what routing needs. ``Assigned`` remembers what the worker has of its own, so that any set of keys that
may have changed can be turned into the messages that bring it up to date. Keys are told once however often they
changed: a slow worker skips versions but never falls behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

from orchestr8.api import codec
from orchestr8.api.meta import ObjectMeta
from orchestr8.api.node import Node, NodeCondition, NodeSpec, NodeStatus
from orchestr8.api.pod import Container, Pod, PodStatus, Volume
from orchestr8.store.command import Key
from orchestr8.store.history import Change
from orchestr8.store.view import View

PUBLIC_KINDS = ("Service", "EndpointSlice", "Node")
# A pod's needs are told before the pod: the worker can start it as soon as it knows it.
_ORDER = {kind: i for i, kind in enumerate(("Node", "Secret", "ConfigMap", "Service", "EndpointSlice", "Pod"))}
_PART_BYTES = 1 << 20

Told = tuple[Key, bytes | None]  # None: the worker must forget the key


class Assigned:
    """``refers_to``: the ConfigMaps and Secrets that the node's pods need now, present or not."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.refers_to: dict[Key, int] = {}
        self._has: dict[Key, bytes] = {}
        self._pods: dict[Key, frozenset[Key]] = {}

    def everything(self, view: View) -> list[dict[str, Any]]:
        """The full set, forgetting what was told before."""
        self.refers_to, self._has, self._pods = {}, {}, {}
        keys: list[Key] = [stored.key for kind in PUBLIC_KINDS for stored in view.stored_list(kind)]
        keys += [_key(pod) for pod in view.pods_on(self.node)]
        told = [(key, data) for key, data in self._tell(view, keys) if data is not None]
        parts = list(_parts(told)) or [[]]
        last = len(parts) - 1
        messages: list[dict[str, Any]] = []
        for i, part in enumerate(parts):
            message: dict[str, Any] = {"revision": view.revision, "objects": _objects(part)}
            if i == 0:
                message["full"] = True
            if i < last:
                message["more"] = True
            messages.append(message)
        return messages

    def changes(self, view: View, keys: Iterable[Key]) -> list[dict[str, Any]]:
        """What is new among ``keys``; nothing if the worker knows it all."""
        told = self._tell(view, keys)
        gone = [[*key] for key, data in told if data is None]
        parts = list(_parts([(key, data) for key, data in told if data is not None]))
        messages = [{"revision": view.revision, "put": _objects(part), "gone": []} for part in parts]
        if gone and not messages:
            messages.append({"revision": view.revision, "put": [], "gone": gone})
        elif gone:
            messages[0]["gone"] = gone
        return messages

    def concerns(self, key: Key) -> bool:
        return key in self.refers_to

    def _tell(self, view: View, keys: Iterable[Key]) -> list[Told]:
        touched = dict.fromkeys(keys)
        for key in [key for key in touched if key.kind == "Pod"]:
            for reference in self._refer(view, key):
                touched[reference] = None
        told: list[Told] = []
        for key in sorted(touched, key=lambda key: (_ORDER[key.kind], key)):
            data = self._visible(view, key)
            if key.kind not in PUBLIC_KINDS:  # those are the same for all: remembering them per worker would add up
                if data == self._has.get(key):
                    continue
                if data is None:
                    del self._has[key]
                else:
                    self._has[key] = data
            told.append((key, data))
        return told

    def _refer(self, view: View, key: Key) -> frozenset[Key]:
        """Follows one pod's references; answers those that began or ended with this change."""
        pod = view.get(Pod, key.namespace, key.name)
        mine = pod is not None and pod.spec.node_name == self.node
        old = self._pods.pop(key, frozenset())
        new = references(pod) if pod is not None and mine else frozenset()
        if pod is not None and mine:
            self._pods[key] = new
        for reference in new - old:
            self.refers_to[reference] = self.refers_to.get(reference, 0) + 1
        for reference in old - new:
            self.refers_to[reference] -= 1
            if not self.refers_to[reference]:
                del self.refers_to[reference]
        return new ^ old

    def _visible(self, view: View, key: Key) -> bytes | None:
        stored = view.stored(*key)
        if stored is None:
            return None
        if key.kind == "Node":
            return trimmed(stored.json)
        allowed = key.kind in PUBLIC_KINDS or key in self._pods or key in self.refers_to
        return stored.json if allowed else None


def concerned(change: Change) -> tuple[bool, frozenset[str]]:
    """(whether every node may see it, the nodes whose own pod it is) for a change of the store."""
    if change.key.kind == "Node" and change.before is not None and change.after is not None:
        return trimmed(change.before.json) != trimmed(change.after.json), frozenset()
    if change.key.kind in PUBLIC_KINDS:
        return True, frozenset()
    if change.key.kind != "Pod":
        return False, frozenset()
    sides = [side.obj for side in (change.before, change.after) if side is not None]
    return False, frozenset(pod.spec.node_name for pod in sides if isinstance(pod, Pod) and pod.spec.node_name)


def is_echo(change: Change, reported: PodStatus) -> bool:
    """Whether the change of a pod is no more than ``reported``, the status that its own node reported last."""
    before = change.before.obj if change.before is not None else None
    after = change.after.obj if change.after is not None else None
    if not isinstance(before, Pod) or not isinstance(after, Pod) or after.status != reported:
        return False
    old, new = before.metadata, after.metadata
    same = msgspec.structs.replace(old, resource_version=new.resource_version, managed_fields=new.managed_fields)
    return same == new and before.spec == after.spec


def references(pod: Pod) -> frozenset[Key]:
    """The ConfigMaps and Secrets that the pod names, anywhere."""
    namespace = pod.metadata.namespace or ""
    found = {("Secret", each.name) for each in pod.spec.image_pull_secrets}
    for container in (*pod.spec.init_containers, *pod.spec.containers):
        found |= _of_container(container)
    for volume in pod.spec.volumes:
        found |= _of_volume(volume)
    return frozenset(Key(kind, namespace, name) for kind, name in found if name)


@lru_cache(maxsize=8_192)
def trimmed(json: bytes) -> bytes:
    """A Node as nodes may see it: name, addresses, pod range, whether it is Ready. Made once for all workers."""
    node: Node = codec.decode("Node", json)
    ready = tuple(NodeCondition(type=c.type, status=c.status) for c in node.status.conditions if c.type == "Ready")
    return codec.encode(
        Node(
            metadata=ObjectMeta(name=node.metadata.name, uid=node.metadata.uid),
            spec=NodeSpec(pod_cidr=node.spec.pod_cidr, pod_cidrs=node.spec.pod_cidrs),
            status=NodeStatus(addresses=node.status.addresses, conditions=ready),
        )
    )


def _of_container(container: Container) -> set[tuple[str, str | None]]:
    found: set[tuple[str, str | None]] = set()
    for source in container.env_from:
        if source.config_map_ref is not None:
            found.add(("ConfigMap", source.config_map_ref.name))
        if source.secret_ref is not None:
            found.add(("Secret", source.secret_ref.name))
    for variable in container.env:
        if variable.value_from is None:
            continue
        if variable.value_from.config_map_key_ref is not None:
            found.add(("ConfigMap", variable.value_from.config_map_key_ref.name))
        if variable.value_from.secret_key_ref is not None:
            found.add(("Secret", variable.value_from.secret_key_ref.name))
    return found


def _of_volume(volume: Volume) -> set[tuple[str, str | None]]:
    found: set[tuple[str, str | None]] = set()
    if volume.config_map is not None:
        found.add(("ConfigMap", volume.config_map.name))
    if volume.secret is not None:
        found.add(("Secret", volume.secret.secret_name))
    return found


def _key(pod: Pod) -> Key:
    return Key("Pod", pod.metadata.namespace or "", pod.metadata.name or "")


def _objects(part: list[tuple[Key, bytes]]) -> list[dict[str, Any]]:
    return [{"kind": key.kind, "data": data} for key, data in part]


def _parts(told: list[tuple[Key, bytes]]) -> Iterator[list[tuple[Key, bytes]]]:
    """Cuts what is to be told into parts that fit a frame; one object always does."""
    part: list[tuple[Key, bytes]] = []
    size = 0
    for key, data in told:
        if part and size + len(data) > _PART_BYTES:
            yield part
            part, size = [], 0
        part.append((key, data))
        size += len(data)
    if part:
        yield part

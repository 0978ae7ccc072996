"""All objects, with the indexes that make the questions of controllers, scheduler and API server cheap.

Everything is kept up to date by change, never rebuilt: sorted names per kind and namespace (a list needs no sorting),
pods by node, dependents by owner uid, objects by label. Sets are dicts without values, so that iteration order does
not depend on the process; every answer is sorted by (namespace, name).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import TypeVar

from orchestr8.api.pod import Pod
from orchestr8.store.command import Key
from orchestr8.store.stored import Stored

Names = dict[str, None]
Keys = dict[Key, None]
_Group = TypeVar("_Group")
_Member = TypeVar("_Member")


class Room:
    """The objects of one kind in one namespace."""

    __slots__ = ("by_label", "objects", "sorted_names")

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.sorted_names: list[str] = []
        self.by_label: dict[tuple[str, str], Names] = {}

    def in_order(self) -> Iterator[Stored]:
        return map(self.objects.__getitem__, self.sorted_names)


class Index:
    """``count`` objects whose JSON takes ``json_bytes`` bytes."""

    def __init__(self) -> None:
        self._rooms: dict[str, dict[str, Room]] = {}
        self._by_node: dict[str, Keys] = {}
        self._by_owner: dict[str, Keys] = {}
        self.count = 0
        self.json_bytes = 0

    # -- questions ------------------------------------------------------------------------------------

    def get(self, kind: str, namespace: str, name: str) -> Stored | None:
        room = self.room(kind, namespace)
        return room.objects.get(name) if room is not None else None

    def room(self, kind: str, namespace: str) -> Room | None:
        rooms = self._rooms.get(kind)
        return rooms.get(namespace) if rooms is not None else None

    def in_order(self, kind: str, namespace: str | None) -> Iterator[Stored]:
        """Objects of one kind by (namespace, name); ``namespace`` None: of all namespaces."""
        rooms = self._rooms.get(kind, {})
        for each in sorted(rooms) if namespace is None else (namespace,):
            if each in rooms:
                yield from rooms[each].in_order()

    def on_node(self, node: str) -> list[Stored]:
        return self._look_up(self._by_node.get(node, ()))

    def owned_by(self, uid: str) -> list[Stored]:
        return self._look_up(self._by_owner.get(uid, ()))

    def kinds(self) -> list[str]:
        return sorted(self._rooms)

    def everything(self) -> list[Stored]:
        return [stored for kind in self.kinds() for stored in self.in_order(kind, None)]

    def _look_up(self, keys: Iterable[Key]) -> list[Stored]:
        return [self._rooms[key.kind][key.namespace].objects[key.name] for key in sorted(keys)]

    # -- changes --------------------------------------------------------------------------------------

    def put(self, stored: Stored) -> Stored | None:
        """Takes ``stored`` in; returns what it replaces."""
        key = stored.key
        rooms = self._rooms.setdefault(key.kind, {})
        room = rooms.get(key.namespace)
        if room is None:
            room = rooms[key.namespace] = Room()
        before = room.objects.get(key.name)
        room.objects[key.name] = stored
        if before is None:
            insort(room.sorted_names, key.name)
            self.count += 1
            self.json_bytes += len(stored.json)
            self._enter(room, stored)
        else:
            self.json_bytes += len(stored.json) - len(before.json)
            self._move(room, before, stored)
        return before

    def delete(self, key: Key) -> Stored | None:
        """Takes the object out and returns it."""
        room = self.room(key.kind, key.namespace)
        before = room.objects.pop(key.name, None) if room is not None else None
        if room is None or before is None:
            return None
        del room.sorted_names[bisect_left(room.sorted_names, key.name)]
        self.count -= 1
        self.json_bytes -= len(before.json)
        self._leave(room, before)
        if not room.objects:
            del self._rooms[key.kind][key.namespace]
            if not self._rooms[key.kind]:
                del self._rooms[key.kind]
        return before

    def _enter(self, room: Room, stored: Stored) -> None:
        key = stored.key
        for label in stored.obj.metadata.labels.items():
            room.by_label.setdefault(label, {})[key.name] = None
        for owner in owner_uids(stored):
            self._by_owner.setdefault(owner, {})[key] = None
        node = node_of(stored)
        if node:
            self._by_node.setdefault(node, {})[key] = None

    def _leave(self, room: Room, stored: Stored) -> None:
        key = stored.key
        for label in stored.obj.metadata.labels.items():
            _discard(room.by_label, label, key.name)
        for owner in owner_uids(stored):
            _discard(self._by_owner, owner, key)
        node = node_of(stored)
        if node:
            _discard(self._by_node, node, key)

    def _move(self, room: Room, before: Stored, after: Stored) -> None:
        """Most writes (status) change no index; those that do are re-entered as a whole."""
        old, new = before.obj.metadata, after.obj.metadata
        if (
            old.labels != new.labels
            or old.owner_references != new.owner_references
            or node_of(before) != node_of(after)
        ):
            self._leave(room, before)
            self._enter(room, after)


def node_of(stored: Stored) -> str:
    """The node a pod is bound to; "" for all else."""
    obj = stored.obj
    return obj.spec.node_name or "" if isinstance(obj, Pod) else ""


def owner_uids(stored: Stored) -> list[str]:
    return [owner.uid for owner in stored.obj.metadata.owner_references]


def _discard(groups: dict[_Group, dict[_Member, None]], group: _Group, member: _Member) -> None:
    """Takes a member out of its group, and the group away with its last member."""
    members = groups.get(group)
    if members is not None:
        members.pop(member, None)
        if not members:
            del groups[group]

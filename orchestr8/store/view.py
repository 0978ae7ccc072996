"""Reading the state: what controllers, scheduler, node sessions and the API server see.

A view is of *now*: it reads the live indexes, costs nothing to make, and changes under the reader's feet at the next
await. Whoever needs one revision across awaits (pages of a list) asks ``at(revision)``, which undoes the newer changes.
Lists are ordered by (namespace, name). Objects carry ``metadata.resource_version``.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import TypeVar

from orchestr8.api import selectors
from orchestr8.api.meta import Object
from orchestr8.api.pod import Pod
from orchestr8.errors import Expired
from orchestr8.store.command import Key
from orchestr8.store.history import History
from orchestr8.store.index import Index, node_of, owner_uids
from orchestr8.store.stored import Stored

T = TypeVar("T", bound=Object)


class View:
    """``revision``: of the newest write that this view shows."""

    def __init__(self, index: Index, history: History, revision: int) -> None:
        self._index = index
        self._history = history
        self.revision = revision

    def get(self, cls: type[T], namespace: str, name: str) -> T | None:
        """``namespace`` "" for cluster scope."""
        found = self.stored(_kind(cls), namespace, name)
        return _as(cls, found) if found is not None else None

    def list(self, cls: type[T], namespace: str | None = None) -> builtins.list[T]:
        """``namespace`` None: of all namespaces."""
        return [_as(cls, stored) for stored in self._in_order(_kind(cls), namespace)]

    def matching(self, cls: type[T], namespace: str, selector: selectors.Selector) -> builtins.list[T]:
        """Objects of one namespace whose labels the selector accepts."""
        return [_as(cls, stored) for stored in self.stored_matching(_kind(cls), namespace, selector)]

    def pods_on(self, node: str) -> builtins.list[Pod]:
        """Pods bound to the node, finished ones included."""
        return [_as(Pod, stored) for stored in self._index.on_node(node)]

    def owned_by(self, uid: str) -> builtins.list[Object]:
        """Objects of any kind with an owner reference to ``uid``, by (kind, namespace, name)."""
        return [stored.obj for stored in self._index.owned_by(uid)]

    def stored(self, kind: str, namespace: str, name: str) -> Stored | None:
        return self._index.get(kind, namespace, name)

    def stored_list(self, kind: str, namespace: str | None = None) -> builtins.list[Stored]:
        return list(self._in_order(kind, namespace))

    def stored_matching(self, kind: str, namespace: str, selector: selectors.Selector) -> builtins.list[Stored]:
        """As ``matching``. An equality in the selector narrows the search through the label index."""
        room = self._index.room(kind, namespace)
        if room is None:
            return []
        equalities = [(each.key, each.values[0]) for each in selector.requirements if _is_equality(each)]
        groups = [room.by_label.get(label, {}) for label in equalities]
        smallest = min(groups, key=len) if groups else None
        names = sorted(smallest) if smallest is not None else room.sorted_names
        candidates = (room.objects[name] for name in names)
        return [stored for stored in candidates if selector.matches(stored.obj.metadata.labels)]

    def at(self, revision: int) -> View:
        """The state as it was. Raises Expired when the history no longer reaches back that far."""
        if revision == self.revision:
            return self
        undone: dict[Key, Stored | None] = {}
        for change in self._history.newest_first(revision):
            undone[change.key] = change.before
        return Past(self._index, self._history, revision, undone)

    def _in_order(self, kind: str, namespace: str | None) -> Iterator[Stored]:
        return self._index.in_order(kind, namespace)


class Past(View):
    """A view of an earlier revision: the live indexes seen through a layer of undone changes. Of now, like its base."""

    def __init__(self, index: Index, history: History, revision: int, undone: dict[Key, Stored | None]) -> None:
        super().__init__(index, history, revision)
        self._undone = undone

    def pods_on(self, node: str) -> builtins.list[Pod]:
        return [_as(Pod, stored) for stored in self._in_order("Pod", None) if node_of(stored) == node]

    def owned_by(self, uid: str) -> builtins.list[Object]:
        kinds = {*self._index.kinds(), *(key.kind for key in self._undone)}
        everything = (stored for kind in sorted(kinds) for stored in self._in_order(kind, None))
        return [stored.obj for stored in everything if uid in owner_uids(stored)]

    def stored(self, kind: str, namespace: str, name: str) -> Stored | None:
        key = Key(kind, namespace, name)
        return self._undone[key] if key in self._undone else super().stored(kind, namespace, name)

    def stored_matching(self, kind: str, namespace: str, selector: selectors.Selector) -> builtins.list[Stored]:
        return [each for each in self._in_order(kind, namespace) if selector.matches(each.obj.metadata.labels)]

    def at(self, revision: int) -> View:
        if revision > self.revision:
            raise Expired(f"revision {revision} is newer than this view of {self.revision}")
        return View(self._index, self._history, self._history.newest).at(revision)

    def _in_order(self, kind: str, namespace: str | None) -> Iterator[Stored]:
        wanted = {
            key: stored
            for key, stored in self._undone.items()
            if key.kind == kind and (namespace is None or key.namespace == namespace)
        }
        if not wanted:
            return self._index.in_order(kind, namespace)
        kept = [stored for stored in self._index.in_order(kind, namespace) if stored.key not in wanted]
        kept.extend(stored for stored in wanted.values() if stored is not None)
        return iter(sorted(kept, key=_place))


def _is_equality(requirement: selectors.Requirement) -> bool:
    return requirement.operator == "In" and len(requirement.values) == 1


def _place(stored: Stored) -> Key:
    return stored.key


def _as(cls: type[T], stored: Stored) -> T:
    if not isinstance(stored.obj, cls):
        raise TypeError(f"{stored.key} holds a {type(stored.obj).__name__}, not a {cls.__name__}")
    return stored.obj


def _kind(cls: type[Object]) -> str:
    return cls.__name__

"""What happens to objects whose owner goes: deletion follows owner references.

Background: the owner is gone, its dependents are deleted. Foreground: the owner carries a finalizer until its
dependents that block it are gone. Orphan: the references are taken away first, then the owner's finalizer.
An owner counts as gone when no object of that kind, namespace, name and uid exists; one of a kind that is not served
here is left in peace. Source: Kubernetes, "Garbage Collection" and "Owners and Dependents".
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestr8.api import kinds
from orchestr8.api.deletion import FOREGROUND_FINALIZER, ORPHAN_FINALIZER
from orchestr8.api.meta import Object, OwnerReference, with_metadata
from orchestr8.errors import NotFound
from orchestr8.master.controllers.controller import Moment
from orchestr8.master.controllers.facts import key_of
from orchestr8.store.command import Key
from orchestr8.store.history import Change
from orchestr8.store.plan import NOTHING, Plan, Remove, Update, Write
from orchestr8.store.view import View

CHANGED_AT_ONCE = 500


def decide(view: View, key: Key, now: Moment) -> Plan:
    """The plan for one object, as an owner that is going and as a dependent."""
    stored = view.stored(*key)
    if stored is None:
        return NOTHING
    obj = stored.obj
    if obj.metadata.deletion_timestamp is not None:
        if ORPHAN_FINALIZER in obj.metadata.finalizers:
            return Plan(tuple(_orphan(view, obj)))
        if FOREGROUND_FINALIZER in obj.metadata.finalizers:
            return Plan(tuple(_foreground(view, obj)))
        return NOTHING
    return _dependent(view, obj)


def affected(change: Change, view: View) -> Iterator[Key]:
    """The object itself, its dependents when it is gone, and its owners when one of them may wait for it."""
    before, after = change.before, change.after
    if after is None and before is not None:
        for dependent in view.owned_by(before.obj.metadata.uid):
            yield key_of(dependent)
        yield from _waiting_owners(view, before.obj)
        return
    if after is None:
        return
    meta = after.obj.metadata
    owners_changed = before is None or before.obj.metadata.owner_references != meta.owner_references
    if meta.deletion_timestamp is not None or (meta.owner_references and owners_changed):
        yield change.key
    if before is not None and owners_changed:
        yield from _waiting_owners(view, before.obj)


def everything(view: View) -> Iterator[Key]:
    for kind in kinds.KINDS:
        for stored in view.stored_list(kind.kind):
            meta = stored.obj.metadata
            if meta.owner_references or (meta.deletion_timestamp is not None and meta.finalizers):
                yield stored.key


def _orphan(view: View, obj: Object) -> Iterator[Write]:
    dependents = view.owned_by(obj.metadata.uid)
    for dependent in dependents[:CHANGED_AT_ONCE]:
        yield Update(_without_owners(dependent, {obj.metadata.uid}))
    if not dependents:
        yield Update(_without_finalizer(obj, ORPHAN_FINALIZER))


def _foreground(view: View, obj: Object) -> Iterator[Write]:
    uid = obj.metadata.uid
    dependents = view.owned_by(uid)
    if not any(_blocks(dependent, uid) for dependent in dependents):
        yield Update(_without_finalizer(obj, FOREGROUND_FINALIZER))
    going = [each for each in dependents if each.metadata.deletion_timestamp is None and _is_doomed(view, each)]
    for dependent in going[:CHANGED_AT_ONCE]:
        deeper = any(_blocks(each, dependent.metadata.uid) for each in view.owned_by(dependent.metadata.uid))
        yield Remove(dependent, propagation="Foreground" if deeper else "Background")


def _dependent(view: View, obj: Object) -> Plan:
    owners = obj.metadata.owner_references
    gone = {owner.uid for owner in owners if _is_gone(view, obj, owner)}
    if not gone:
        return NOTHING
    if len(gone) == len({owner.uid for owner in owners}):
        return Plan((Remove(obj),))
    return Plan((Update(_without_owners(obj, gone)),))


def _is_doomed(view: View, obj: Object) -> bool:
    """Whether every owner is gone, or waits for its dependents to go."""
    for owner in obj.metadata.owner_references:
        if _is_gone(view, obj, owner):
            continue
        found = _resolve(view, obj, owner)
        if found is None or FOREGROUND_FINALIZER not in found.metadata.finalizers:
            return False
    return True


def _blocks(dependent: Object, uid: str) -> bool:
    return any(owner.uid == uid and owner.block_owner_deletion for owner in dependent.metadata.owner_references)


def _is_gone(view: View, obj: Object, owner: OwnerReference) -> bool:
    if not _is_served(owner):
        return False
    found = _resolve(view, obj, owner)
    return found is None or found.metadata.uid != owner.uid


def _is_served(owner: OwnerReference) -> bool:
    try:
        return kinds.by_name(owner.kind).api_version == owner.api_version
    except NotFound:
        return False


def _resolve(view: View, obj: Object, owner: OwnerReference) -> Object | None:
    if not _is_served(owner):
        return None
    namespace = obj.metadata.namespace if kinds.by_name(owner.kind).namespaced else ""
    stored = view.stored(owner.kind, namespace, owner.name)
    return stored.obj if stored is not None else None


def _waiting_owners(view: View, obj: Object) -> Iterator[Key]:
    for owner in obj.metadata.owner_references:
        found = _resolve(view, obj, owner)
        if found is not None and found.metadata.deletion_timestamp is not None:
            yield key_of(found)


def _without_owners(obj: Object, uids: set[str]) -> Object:
    kept = tuple(owner for owner in obj.metadata.owner_references if owner.uid not in uids)
    return with_metadata(obj, owner_references=kept)


def _without_finalizer(obj: Object, finalizer: str) -> Object:
    return with_metadata(obj, finalizers=tuple(name for name in obj.metadata.finalizers if name != finalizer))

"""Turns a plan into transactions: compares, whole objects, uids, timestamps, generations. Pure.

Every transaction also requires that the object which the plan was made for has not changed since: what was decided on
an old spec is decided again. Writes into a namespace that is going or gone are left out; nothing would keep them.
A plan that fits is one transaction; a longer one is cut in order, each part safe by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from orchestr8 import limits
from orchestr8.api import codec, deletion
from orchestr8.api.config import Namespace
from orchestr8.api.meta import DeleteOptions, Object, with_metadata
from orchestr8.clock import to_seconds
from orchestr8.master.controllers.facts import key_of
from orchestr8.names import Names
from orchestr8.store.command import ABSENT, PRESENT, Compare, Delete, Key, Put, Txn
from orchestr8.store.plan import Create, Plan, Remove, Write
from orchestr8.store.view import View

# One changed pod spoils the whole transaction that would have changed it: such writes travel in smaller parts.
GUARDED_WRITES = 100
_OVERHEAD_BYTES = 512  # keys and compares of one write


class _Step(msgspec.Struct, frozen=True):
    compares: tuple[Compare, ...]
    write: Put | Delete


def transactions(view: View, subject: Key, plan: Plan, now: datetime, names: Names) -> list[Txn]:
    """In the order in which they are to be proposed; without a claim. ``subject``: what the plan was made for."""
    guard = view.stored(*subject)
    first = (Compare(subject, guard.revision),) if guard is not None else ()
    txns: list[Txn] = []
    for part in _parts(_steps(view, plan.writes, now, names)):
        compares = {compare.key: compare for compare in first}
        for step in part:
            compares.update({compare.key: compare for compare in step.compares})
        txns.append(Txn(names.uid(), tuple(compares.values()), tuple(step.write for step in part)))
    return txns


def _parts(steps: Iterable[_Step]) -> Iterator[list[_Step]]:
    part: list[_Step] = []
    size = guarded = 0
    for step in steps:
        data = len(step.write.data) if isinstance(step.write, Put) else 0
        held = any(compare.revision > 0 for compare in step.compares)
        full = len(part) == limits.TXN_WRITES or size + data + _OVERHEAD_BYTES > limits.TXN_BYTES
        if part and (full or (held and guarded == GUARDED_WRITES)):
            yield part
            part, size, guarded = [], 0, 0
        part.append(step)
        size += data + _OVERHEAD_BYTES
        guarded += held
    if part:
        yield part


def _steps(view: View, writes: Iterable[Write], now: datetime, names: Names) -> Iterator[_Step]:
    for write in writes:
        if isinstance(write, Create):
            step = _create(view, write.obj, now, names)
        elif isinstance(write, Remove):
            step = _remove(write, now)
        else:
            step = _update(view, write.obj)
        if step is not None:
            yield step


def _create(view: View, obj: Object, now: datetime, names: Names) -> _Step | None:
    compares: tuple[Compare, ...] = ()
    if obj.metadata.namespace:
        namespace = view.get(Namespace, "", obj.metadata.namespace)
        if namespace is None or namespace.metadata.deletion_timestamp is not None:
            return None
        compares = (Compare(key_of(namespace), PRESENT),)
    made = with_metadata(
        obj,
        uid=names.uid(),
        creation_timestamp=to_seconds(now),
        generation=1 if hasattr(obj, "spec") else None,
        resource_version=None,
    )
    key = key_of(made)
    return _Step((*compares, Compare(key, ABSENT)), _put(key, made))


def _update(view: View, obj: Object) -> _Step | None:
    key = key_of(obj)
    stored = view.stored(*key)
    if stored is not None and stored.obj == obj:
        return None
    if deletion.is_finished(obj):
        return _Step((_unchanged(obj),), Delete(key))
    meta = obj.metadata
    if stored is not None and meta.generation is not None and _spec(stored.obj) != _spec(obj):
        obj = with_metadata(obj, generation=meta.generation + 1)
    return _Step((_unchanged(obj),), _put(key, obj))


def _remove(write: Remove, now: datetime) -> _Step | None:
    obj = write.obj
    options = DeleteOptions(grace_period_seconds=write.grace_period_seconds, propagation_policy=write.propagation)
    outcome = deletion.delete(obj, options, now)
    if isinstance(outcome, deletion.Removal):
        return _Step((_unchanged(obj),), Delete(key_of(obj)))
    if outcome.obj == obj:
        return None
    return _Step((_unchanged(obj),), _put(key_of(obj), outcome.obj))


def _unchanged(obj: Object) -> Compare:
    return Compare(key_of(obj), int(obj.metadata.resource_version or PRESENT))


def _put(key: Key, obj: Object) -> Put:
    return Put(key, codec.encode(obj))


def _spec(obj: Object) -> Any:
    return getattr(obj, "spec", None)

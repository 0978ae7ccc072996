"""Writing one object: decide on the state in memory, propose with a compare, and decide again when it was overtaken.

The local state may be behind the leader's. A compare on the revision makes that harmless for what is written; what is
only answered ("not found", "nothing to change", "someone else was faster") is said after a read barrier.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestr8.api import codec
from orchestr8.api.meta import Object, with_metadata
from orchestr8.errors import AlreadyExists, BadRequest, Conflict, NotFound, Orchestr8Error
from orchestr8.master.apiserver.deps import ApiDeps
from orchestr8.master.apiserver.routes import Target
from orchestr8.store.command import ABSENT, Compare, Delete, Key, Put, Txn
from orchestr8.store.stored import Stored
from orchestr8.store.view import View

_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Written:
    """``json``: the object as it is now, or as it was when it went (``gone``)."""

    obj: Any
    json: bytes
    gone: bool = False


class Gone:
    """What a change answers when the object is to be removed."""


GONE = Gone()
Change = Callable[[Any, View], "Object | Gone"]


async def fresh(deps: ApiDeps, target: Target) -> Stored:
    """The stored object, looked for again behind a read barrier if this master does not have it. Raises NotFound."""
    found = deps.store.view().stored(*target.key)
    if found is None:
        await deps.store.read_barrier()
        found = deps.store.view().stored(*target.key)
    if found is None:
        raise NotFound(f'{target.resource} "{target.name}" not found')
    return found


async def create(deps: ApiDeps, target: Target, admit: Callable[[View], Any], *, dry_run: bool) -> Written:
    """``admit(view)``: the object to write; asked again when the namespace or a generated name got in the way.

    Raises AlreadyExists and NotFound (the namespace), and what ``admit`` raises.
    """
    for attempt in range(_ATTEMPTS):
        certain, last = attempt > 0, attempt == _ATTEMPTS - 1
        if certain:
            await deps.store.read_barrier()
        view = deps.store.view()
        try:
            guard = (_namespace(view, target),) if target.namespace else ()
            obj = admit(view)
        except Orchestr8Error as error:
            if certain or isinstance(error, BadRequest):
                raise
            continue
        key = Key(target.kind.kind, target.namespace, obj.metadata.name)
        taken = AlreadyExists(f'{target.resource} "{key.name}" already exists')
        if dry_run:
            if not certain:
                continue
            if view.stored(*key) is not None:
                raise taken
            return Written(obj, codec.encode(obj))
        try:
            result = await deps.store.propose(_txn(deps, (Compare(key, ABSENT), *guard), Put(key, codec.encode(obj))))
        except AlreadyExists:
            if last or not _is_generated(obj):
                raise taken from None
            continue
        except (Conflict, NotFound):  # the namespace has changed or gone
            if last:
                raise
            continue
        return _written(deps, key, obj, result.revision)
    raise AssertionError("the last attempt answers or raises")


async def change(deps: ApiDeps, target: Target, decide: Change, *, dry_run: bool = False) -> Written:
    """``decide(old, view)``: the object as it shall be, the same one for no change, or GONE. It may raise.

    Raises NotFound, what ``decide`` raises on the newest state, and Conflict when others are always faster.
    """
    stored = await fresh(deps, target)
    certain = False
    for _ in range(_ATTEMPTS):
        view = deps.store.view()
        old = stored.obj
        try:
            new = decide(old, view)
        except Orchestr8Error as error:
            if certain or isinstance(error, BadRequest):
                raise
            new = old
        if new is old or dry_run:
            if certain:
                return _unwritten(stored, old, new)
        else:
            write = Delete(stored.key) if isinstance(new, Gone) else Put(stored.key, codec.encode(new))
            try:
                result = await deps.store.propose(_txn(deps, (Compare(stored.key, stored.revision),), write))
                if isinstance(new, Gone):
                    return Written(old, stored.json, gone=True)
                return _written(deps, stored.key, new, result.revision)
            except (Conflict, NotFound):
                pass
        await deps.store.read_barrier()
        found = deps.store.view().stored(*target.key)
        if found is None:
            raise NotFound(f'{target.resource} "{target.name}" not found')
        stored, certain = found, True
    raise Conflict(
        f'Operation cannot be fulfilled on {target.resource} "{target.name}": others changed it at the same time; '
        "please try again"
    )


def _namespace(view: View, target: Target) -> Compare:
    """Nothing is made in a namespace that is gone, or that changed (perhaps to end) since it was looked at."""
    namespace = view.stored("Namespace", "", target.namespace)
    if namespace is None:
        raise NotFound(f'namespaces "{target.namespace}" not found')
    return Compare(namespace.key, namespace.revision)


def _is_generated(obj: Any) -> bool:
    prefix = obj.metadata.generate_name
    return bool(prefix) and obj.metadata.name != prefix


def _txn(deps: ApiDeps, compares: tuple[Compare, ...], write: Put | Delete) -> Txn:
    return Txn(request_id=deps.names.uid(), compares=compares, writes=(write,))


def _written(deps: ApiDeps, key: Key, obj: Any, revision: int) -> Written:
    stored = deps.store.view().stored(*key)
    if stored is not None and stored.revision == revision:
        return Written(stored.obj, stored.json)
    obj = with_metadata(obj, resource_version=str(revision))
    return Written(obj, codec.encode(obj))


def _unwritten(stored: Stored, old: Any, new: Object | Gone) -> Written:
    if isinstance(new, Gone):
        return Written(old, stored.json, gone=True)
    return Written(new, stored.json if new is old else codec.encode(new))

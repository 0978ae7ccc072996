"""What a DELETE does to one object: gone at once, or marked and finished by somebody else later.

Somebody else is: whoever holds a finalizer; the node's agent for a pod that is bound to a node and has not ended; the
namespace controller for a namespace. Source: the Kubernetes pages "Finalizers" and "Pod Lifecycle".
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from orchestr8.api.config import Namespace
from orchestr8.api.meta import DeleteOptions, Object, with_metadata
from orchestr8.api.pod import Pod
from orchestr8.errors import Conflict, Invalid

ORPHAN_FINALIZER = "orphan"
FOREGROUND_FINALIZER = "foregroundDeletion"
DEFAULT_GRACE_SECONDS = 30


class Removal(msgspec.Struct, frozen=True):
    """The object leaves the store now."""


class Marked(msgspec.Struct, frozen=True):
    """The object stays with ``deletionTimestamp`` set. ``obj`` is what to write; it may equal the stored one."""

    obj: Any


def delete(obj: Object, options: DeleteOptions, now: dt.datetime) -> Removal | Marked:
    """``now``: aware UTC. Raises Conflict (a precondition does not hold) and Invalid (contradicting options)."""
    _check_preconditions(obj, options)
    finalizers = _finalizers(obj, options)
    grace_seconds = _grace_seconds(obj, options)
    held = bool(finalizers) or (isinstance(obj, Namespace) and bool(obj.spec.finalizers))
    if not held and grace_seconds == 0:
        return Removal()
    meta = obj.metadata
    if meta.deletion_timestamp is not None:
        return Marked(_shortened(with_metadata(obj, finalizers=finalizers), grace_seconds, now))
    deadline = now.replace(microsecond=0) + dt.timedelta(seconds=grace_seconds)
    marked = with_metadata(
        obj,
        deletion_timestamp=deadline,
        deletion_grace_period_seconds=grace_seconds,
        finalizers=finalizers,
        generation=meta.generation + 1 if meta.generation is not None else None,
    )
    if isinstance(marked, Namespace):
        terminating = msgspec.structs.replace(marked.status, phase="Terminating")
        return Marked(msgspec.structs.replace(marked, status=terminating))
    return Marked(marked)


def is_finished(obj: Object) -> bool:
    """Whether a marked object has nothing left to wait for, once its finalizers change or its agent is done."""
    if obj.metadata.deletion_timestamp is None or obj.metadata.finalizers:
        return False
    if isinstance(obj, Namespace):
        return not obj.spec.finalizers
    return not obj.metadata.deletion_grace_period_seconds


def propagation(options: DeleteOptions) -> str:
    """Background, Foreground or Orphan. Raises Invalid."""
    if options.orphan_dependents is not None and options.propagation_policy is not None:
        raise Invalid("orphanDependents and propagationPolicy may not both be set")
    if options.orphan_dependents is not None:
        return "Orphan" if options.orphan_dependents else "Background"
    policy = options.propagation_policy or "Background"
    if policy not in ("Background", "Foreground", "Orphan"):
        raise Invalid(f"propagationPolicy: {policy!r} is not one of Background, Foreground, Orphan")
    return policy


def _check_preconditions(obj: Object, options: DeleteOptions) -> None:
    wanted = options.preconditions
    if wanted is None:
        return
    meta = obj.metadata
    if wanted.uid is not None and wanted.uid != meta.uid:
        raise Conflict(f"the uid in the precondition ({wanted.uid}) is not the object's ({meta.uid})")
    if wanted.resource_version is not None and wanted.resource_version != meta.resource_version:
        raise Conflict(
            f"the resourceVersion in the precondition ({wanted.resource_version}) is not the object's"
            f" ({meta.resource_version})"
        )


def _finalizers(obj: Object, options: DeleteOptions) -> tuple[str, ...]:
    others = tuple(name for name in obj.metadata.finalizers if name not in (ORPHAN_FINALIZER, FOREGROUND_FINALIZER))
    if options.propagation_policy is None and options.orphan_dependents is None:
        return obj.metadata.finalizers
    match propagation(options):
        case "Orphan":
            return (*others, ORPHAN_FINALIZER)
        case "Foreground":
            return (*others, FOREGROUND_FINALIZER)
    return others


def _grace_seconds(obj: Object, options: DeleteOptions) -> int:
    """Only a pod has a grace period; one that is on no node, or has ended, has nothing to stop."""
    asked = options.grace_period_seconds
    if asked is not None and asked < 0:
        raise Invalid("gracePeriodSeconds: must be 0 or more")
    if not isinstance(obj, Pod):
        return 0
    if not obj.spec.node_name or obj.status.phase in ("Succeeded", "Failed"):
        return 0
    if asked is not None:
        return asked
    configured = obj.spec.termination_grace_period_seconds
    # 0 would mean "without asking the node", which only the caller of DELETE may decide.
    return DEFAULT_GRACE_SECONDS if configured is None else max(configured, 1)


def _shortened(obj: Object, grace_seconds: int, now: dt.datetime) -> Object:
    """A second DELETE may only bring the end nearer."""
    current = obj.metadata.deletion_grace_period_seconds or 0
    if grace_seconds >= current:
        return obj
    deadline = now.replace(microsecond=0) + dt.timedelta(seconds=grace_seconds)
    return with_metadata(obj, deletion_timestamp=deadline, deletion_grace_period_seconds=grace_seconds)

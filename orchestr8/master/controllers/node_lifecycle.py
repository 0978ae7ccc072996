"""Whether a node is alive, and what happens to its pods when it is not.

Silent for limits.NODE_LEASE_SECONDS: the node's Ready becomes Unknown and its pods not ready, so Services leave them.
Silent or tainted NoExecute for longer than a pod tolerates: the pod is deleted, at once and without the node if the
node is silent, so that its owner replaces it. Silence is measured in monotonic seconds since the last heartbeat or the
begin of this tenure, whichever is later: neither a clock step nor a new leader makes a node look dead. A node that
answers and says that it is not ready (its Podman hangs) runs its pods on: they get far more time.

When more than half of the nodes fell silent together the fault is rather ours or the network's: nothing is evicted.
"Together" is within one lease; nodes that were silent before neither count as fallen nor as alive.
Source: Kubernetes, "Nodes" and "Taints and Tolerations" (taint-based eviction).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from orchestr8 import limits
from orchestr8.api.node import Node, NodeCondition, NodeStatus, Taint
from orchestr8.api.pod import Pod, Toleration
from orchestr8.api.pod_status import PodCondition
from orchestr8.clock import to_seconds
from orchestr8.master.controllers.controller import Moment
from orchestr8.master.controllers.facts import FINISHED_PHASES, condition
from orchestr8.store.command import Key
from orchestr8.store.history import Change
from orchestr8.store.plan import Note, Plan, Remove, Update, UpdateStatus, Write
from orchestr8.store.view import View

UNREACHABLE = "node.kubernetes.io/unreachable"
NOT_READY = "node.kubernetes.io/not-ready"
_SYSTEM_TAINTS = (UNREACHABLE, NOT_READY)
_NODE_NOT_READY = "NodeNotReady"  # reason of a pod's Ready condition that this controller wrote
_NOBODY = ""  # no node has this name
_LOOK_SECONDS = 1.0  # how soon a returned heartbeat is noticed


class Heartbeats(Protocol):
    def last_seen(self, node: str) -> float:
        """Monotonic seconds of the last sign of life; for a node never heard of, since when this master listens."""
        ...


class Judge(msgspec.Struct, frozen=True):
    """``leading_since``: begin of this tenure, monotonic. ``eviction_seconds``: the cluster's setting."""

    heartbeats: Heartbeats
    leading_since: float
    eviction_seconds: int = limits.EVICTION_SECONDS

    def silent_seconds(self, node: str, now: Moment) -> float:
        """Since the last sign of life that this tenure could have heard."""
        return now.monotonic_seconds - max(self.heartbeats.last_seen(node), self.leading_since)

    def is_silent(self, node: str, now: Moment) -> bool:
        return self.silent_seconds(node, now) >= limits.NODE_LEASE_SECONDS

    def has_beaten(self, node: str) -> bool:
        """Whether a heartbeat came in this tenure: that no silence is proven yet does not prove life."""
        return self.heartbeats.last_seen(node) > max(self.heartbeats.last_seen(_NOBODY), self.leading_since)


def decide(view: View, key: Key, now: Moment, judge: Judge) -> Plan:
    """The plan for one node, also for one whose object is gone while pods are still bound to it."""
    node = view.get(Node, "", key.name)
    if node is None:
        return _gone(view, key.name, now, judge)
    silent = judge.is_silent(key.name, now)
    judged = _judged(node, silent, judge.has_beaten(key.name), now.wall)
    writes: list[Write] = [Update(judged)] if judged != node else []
    pods = [pod for pod in view.pods_on(key.name) if pod.status.phase not in FINISHED_PHASES]
    held = silent and fell_together(view, key.name, now, judge)
    evicted, due_at = _evictions(judged, pods, silent, held, now, judge)
    notes = [Note(pod, "Normal", "TaintManagerEviction", f"Deleting pod: node {key.name} is lost") for pod in evicted]
    gone = {pod.metadata.uid for pod in evicted}
    writes.extend(Remove(pod, grace_period_seconds=0 if silent else None) for pod in evicted)
    writes.extend(_pod_readiness(_is_ready(judged), [pod for pod in pods if pod.metadata.uid not in gone], now.wall))
    if judged != node and _is_ready(judged) != _is_ready(node):
        notes.append(_ready_note(judged))
    return Plan(tuple(writes), tuple(notes), _wake_at(key.name, silent or not _is_ready(judged), due_at, now, judge))


def affected(change: Change, view: View) -> Iterator[Key]:
    """A node's own key; for a pod, its node when that one is in trouble."""
    if change.key.kind == "Node":
        yield change.key
    elif change.after is not None and isinstance(change.after.obj, Pod) and change.after.obj.spec.node_name:
        name = change.after.obj.spec.node_name
        node = view.get(Node, "", name)
        if node is None or not _is_ready(node) or _evicting_taints(node):
            yield Key("Node", "", name)


def everything(view: View) -> Iterable[Key]:
    known = {node.metadata.name for node in view.list(Node)}
    bound = {pod.spec.node_name for pod in view.list(Pod) if pod.spec.node_name}
    return (Key("Node", "", name) for name in sorted(known | bound))


def fell_together(view: View, name: str, now: Moment, judge: Judge) -> bool:
    """Whether more than half of the nodes that were alive fell silent within one lease of ``name``."""
    silences = {node.metadata.name: _silence(node, now, judge) for node in view.list(Node)}
    mine = silences[name]
    alive = [each for each in silences.values() if each <= mine + limits.NODE_LEASE_SECONDS]
    together = [each for each in alive if each >= max(limits.NODE_LEASE_SECONDS, mine - limits.NODE_LEASE_SECONDS)]
    return 2 * len(together) > len(alive)


def _silence(node: Node, now: Moment, judge: Judge) -> float:
    """Seconds; for a node that was found silent in an earlier tenure, since then."""
    seconds = judge.silent_seconds(node.metadata.name, now)
    found = condition(node, "Ready")
    since: datetime | None = found.last_transition_time if found is not None and found.status == "Unknown" else None
    if since is None or seconds < limits.NODE_LEASE_SECONDS:
        return seconds
    return max(seconds, (now.wall - since).total_seconds() + limits.NODE_LEASE_SECONDS)


# -- the node ---------------------------------------------------------------------------------------------


def _judged(node: Node, silent: bool, beaten: bool, now: datetime) -> Node:
    """The node with the Ready condition and the taints that fit what is known of it."""
    found = condition(node, "Ready")
    status = node.status
    if silent and (found is None or found.status != "Unknown"):
        message = f"no heartbeat for {limits.NODE_LEASE_SECONDS:g} s"
        status = _with_ready(status, "Unknown", "NodeStatusUnknown", message, now)
    elif not silent and beaten and found is not None and found.reason == "NodeStatusUnknown":
        # Heartbeats are back; the node's own next report may say otherwise.
        status = _with_ready(status, "True", "HeartbeatResumed", "heartbeats have resumed", now)
    judged = msgspec.structs.replace(node, status=status)
    taints = _taints(judged, now)
    if taints != node.spec.taints:
        judged = msgspec.structs.replace(judged, spec=msgspec.structs.replace(node.spec, taints=taints))
    return judged


def _with_ready(status: NodeStatus, value: str, reason: str, message: str, now: datetime) -> NodeStatus:
    ready = NodeCondition(
        type="Ready", status=value, reason=reason, message=message, last_transition_time=to_seconds(now)
    )
    conditions = tuple(ready if each.type == "Ready" else each for each in status.conditions)
    return msgspec.structs.replace(status, conditions=conditions if ready in conditions else (*conditions, ready))


def _taints(node: Node, now: datetime) -> tuple[Taint, ...]:
    """The user's taints, dated where that matters, and those that the Ready condition stands for."""
    found = condition(node, "Ready")
    wanted = {"True": None, "Unknown": UNREACHABLE}.get(found.status if found is not None else "False", NOT_READY)
    kept: list[Taint] = []
    for taint in node.spec.taints:
        if taint.key in _SYSTEM_TAINTS and taint.key != wanted:
            continue
        if taint.effect == "NoExecute" and taint.time_added is None:
            taint = msgspec.structs.replace(taint, time_added=to_seconds(now))
        kept.append(taint)
    if wanted is not None:
        for effect in ("NoSchedule", "NoExecute"):
            if not any(taint.key == wanted and taint.effect == effect for taint in kept):
                kept.append(Taint(key=wanted, effect=effect, time_added=to_seconds(now)))
    return tuple(kept)


def _is_ready(node: Node) -> bool:
    found = condition(node, "Ready")
    return found is not None and found.status == "True"


def _ready_note(node: Node) -> Note:
    if _is_ready(node):
        return Note(node, "Normal", "NodeReady", f"Node {node.metadata.name} is ready again")
    return Note(node, "Warning", "NodeNotReady", f"Node {node.metadata.name} is not ready")


# -- its pods ---------------------------------------------------------------------------------------------


def _pod_readiness(node_ready: bool, pods: list[Pod], now: datetime) -> Iterator[Write]:
    """Pods of a node that is not ready are not ready; afterwards they are what their containers are."""
    for pod in pods:
        found = condition(pod, "Ready")
        if found is None:
            continue
        if not node_ready and found.status == "True":
            yield _with_pod_ready(pod, "False", _NODE_NOT_READY, now)
        elif node_ready and found.reason == _NODE_NOT_READY:
            containers = condition(pod, "ContainersReady")
            if containers is not None and containers.status == "True":
                yield _with_pod_ready(pod, "True", None, now)


def _with_pod_ready(pod: Pod, value: str, reason: str | None, now: datetime) -> Write:
    ready = PodCondition(type="Ready", status=value, reason=reason, last_transition_time=to_seconds(now))
    conditions = tuple(ready if each.type == "Ready" else each for each in pod.status.conditions)
    return UpdateStatus(msgspec.structs.replace(pod, status=msgspec.structs.replace(pod.status, conditions=conditions)))


def _evictions(
    node: Node, pods: list[Pod], silent: bool, held: bool, now: Moment, judge: Judge
) -> tuple[list[Pod], float | None]:
    """The pods to delete now, and in how many seconds the next one is due."""
    evicted: list[Pod] = []
    waits: list[float] = []
    for pod in pods:
        if pod.metadata.deletion_timestamp is not None and not silent:
            continue  # the node's agent is ending it
        left = _seconds_left(node, pod, silent, now, judge)
        if left is None or (held and left <= 0):
            continue
        if left <= 0:
            evicted.append(pod)
        else:
            waits.append(left)
    return evicted, min(waits, default=None)


def _seconds_left(node: Node, pod: Pod, silent: bool, now: Moment, judge: Judge) -> float | None:
    """Until the first NoExecute taint evicts the pod; None when it tolerates all of them for ever."""
    left: list[float] = []
    for taint in _evicting_taints(node):
        default = {UNREACHABLE: judge.eviction_seconds, NOT_READY: limits.UNFIT_EVICTION_SECONDS}.get(taint.key, 0)
        tolerated = _tolerated_seconds(pod, taint, default)
        if tolerated is None:
            continue
        if taint.key == UNREACHABLE:
            passed = judge.silent_seconds(node.metadata.name, now) - limits.NODE_LEASE_SECONDS
        else:
            passed = (now.wall - (taint.time_added or now.wall)).total_seconds()
        left.append(tolerated - passed)
    return min(left, default=None)


def _evicting_taints(node: Node) -> list[Taint]:
    return [taint for taint in node.spec.taints if taint.effect == "NoExecute"]


def _tolerated_seconds(pod: Pod, taint: Taint, default: int) -> int | None:
    """None: for ever. A pod that says nothing about the taint gets ``default``."""
    matching = [each for each in pod.spec.tolerations if _tolerates(each, taint)]
    if not matching:
        return default
    seconds = [each.toleration_seconds for each in matching if each.toleration_seconds is not None]
    return max(0, min(seconds)) if seconds else None


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.operator == "Exists":
        return not toleration.key or toleration.key == taint.key
    return toleration.key == taint.key and (toleration.value or "") == (taint.value or "")


def _gone(view: View, name: str, now: Moment, judge: Judge) -> Plan:
    """Pods of a node that was deleted end with it, after a lease in which it may register again."""
    pods = view.pods_on(name)
    if not pods:
        return Plan()
    if not judge.is_silent(name, now):
        return Plan(wake_at=_wake_at(name, False, None, now, judge))
    return Plan(tuple(Remove(pod, grace_period_seconds=0) for pod in pods))


def _wake_at(name: str, in_trouble: bool, due_seconds: float | None, now: Moment, judge: Judge) -> datetime:
    """A node in order: when its lease would end. One in trouble: soon, to see it come back or evict in time."""
    left = limits.NODE_LEASE_SECONDS - judge.silent_seconds(name, now)
    seconds = _LOOK_SECONDS if in_trouble else left
    if due_seconds is not None:
        seconds = min(seconds, due_seconds)
    return now.wall + timedelta(seconds=max(0.05, seconds))

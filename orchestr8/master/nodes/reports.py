"""What a node says about its pods, held against what it may say: ``pod_status`` and ``finished``. Pure.

A node may touch only pods that are bound to it, by uid: a report about a pod that was replaced under the same name is
about something that is gone. A finished pod never runs again, so a late report cannot bring it back.
Refusals are answers, not errors: one bad report does not hold up the rest of the batch.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import msgspec

from orchestr8 import limits
from orchestr8.api import codec, deletion
from orchestr8.api.meta import DeleteOptions
from orchestr8.api.pod import Pod
from orchestr8.api.pod_status import PodStatus
from orchestr8.errors import Conflict, Forbidden, Invalid, NotFound, Orchestr8Error
from orchestr8.master.steps import Step
from orchestr8.store.command import Compare, Delete, Key, Put
from orchestr8.store.view import View

_TERMINAL = ("Succeeded", "Failed")
# A pod's conditions that its node decides. All others are other writers', and what the node repeats of them may be old.
_NODES_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready")


class PodReport(msgspec.Struct, frozen=True):
    """``status``: JSON of PodStatus."""

    namespace: str
    name: str
    uid: str
    status: bytes


class FinishedPod(msgspec.Struct, frozen=True):
    """Every container of this deleted pod is gone."""

    namespace: str
    name: str
    uid: str


class StatusParams(msgspec.Struct, frozen=True):
    """Params of ``node.status``. ``node_status``: JSON of NodeStatus."""

    node_status: bytes | None = None
    pods: Annotated[tuple[PodReport, ...], msgspec.Meta(max_length=limits.STATUS_BATCH_PODS)] = ()
    finished: Annotated[tuple[FinishedPod, ...], msgspec.Meta(max_length=limits.STATUS_BATCH_PODS)] = ()


class Refused(msgspec.Struct, frozen=True):
    """``code``: of errors.py. NotFound and Conflict: forget it; anything else: a mistake in the report."""

    uid: str
    code: str
    message: str


class StatusStep(Step, frozen=True):
    """``pod`` will have ``status``."""

    pod: Key
    status: PodStatus


def pod_status(view: View, node: str, report: PodReport) -> StatusStep | Refused | None:
    """The write for one report; None when it says nothing new."""
    key = Key("Pod", report.namespace, report.name)
    try:
        pod = _own_pod(view, node, key, report.uid)
        status = _decoded(report.status)
        if pod.status.phase in _TERMINAL and status.phase not in _TERMINAL:
            raise Conflict(f"pod {key.namespace}/{key.name} is {pod.status.phase} and stays so")
    except Orchestr8Error as error:
        return Refused(report.uid, error.code, error.message)
    new = msgspec.structs.replace(pod, status=_merged(pod.status, status))
    if new.status == pod.status:
        return None
    return StatusStep((Compare(key, _revision(pod)),), (Put(key, codec.encode(new)),), key, new.status)


def finished(view: View, node: str, report: FinishedPod, now: dt.datetime) -> Step | Refused | None:
    """Removes a pod that was being deleted; None when it is gone already."""
    key = Key("Pod", report.namespace, report.name)
    try:
        pod = _own_pod(view, node, key, report.uid)
        if pod.metadata.deletion_timestamp is None:
            raise Conflict(f"pod {key.namespace}/{key.name} is not being deleted: it should run")
    except NotFound:
        return None
    except Orchestr8Error as error:
        return Refused(report.uid, error.code, error.message)
    compare = Compare(key, _revision(pod))
    outcome = deletion.delete(pod, DeleteOptions(grace_period_seconds=0), now)
    if isinstance(outcome, deletion.Marked):  # finalizers hold the object; nothing of it runs any more
        return Step((compare,), (Put(key, codec.encode(outcome.obj)),)) if outcome.obj != pod else None
    return Step((compare,), (Delete(key),))


def _own_pod(view: View, node: str, key: Key, uid: str) -> Pod:
    pod = view.get(Pod, key.namespace, key.name)
    if pod is None or pod.metadata.uid != uid:
        raise NotFound(f"pod {key.namespace}/{key.name} with uid {uid} is gone")
    if pod.spec.node_name != node:
        raise Forbidden(f"pod {key.namespace}/{key.name} is not bound to node {node}")
    return pod


def _decoded(data: bytes) -> PodStatus:
    try:
        return msgspec.json.decode(data, type=PodStatus)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise Invalid(f"status is no PodStatus: {error}") from error


def _merged(old: PodStatus, new: PodStatus) -> PodStatus:
    """The node's words, with the conditions that others own and what the node leaves out because it never changes."""
    kept = {c.type: c for c in old.conditions if c.type not in _NODES_CONDITIONS}
    own = {"PodScheduled", *_NODES_CONDITIONS} - kept.keys()  # a pod that was made with its node was never scheduled
    conditions = (*kept.values(), *(c for c in new.conditions if c.type in own))
    return msgspec.structs.replace(new, conditions=conditions, qos_class=new.qos_class or old.qos_class)


def _revision(pod: Pod) -> int:
    return int(pod.metadata.resource_version or 0)

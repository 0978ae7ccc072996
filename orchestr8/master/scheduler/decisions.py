"""From a plan to writes: what one decision does to a Pod, as one step of a transaction. Pure.

A decision is made about facts; the write is made from the pod as it is when it is proposed. A pod that was bound,
deleted or replaced meanwhile makes the decision void. A node must not have changed at all since it was chosen (it may
have been cordoned): its revision of that moment is compared, and the pod is tried again otherwise.
"""

from __future__ import annotations

import datetime as dt

import msgspec

from orchestr8.api import codec
from orchestr8.api.pod import Pod
from orchestr8.api.pod_status import PodCondition
from orchestr8.clock import to_seconds
from orchestr8.master.events import Regarding, Said, recorded
from orchestr8.master.scheduler.facts import PodFacts
from orchestr8.master.steps import Step
from orchestr8.names import Names
from orchestr8.store.command import Compare, Key, Put
from orchestr8.store.view import View

COMPONENT = "scheduler"


class Decision(msgspec.Struct, frozen=True):
    """``node_name`` "": the pod waits, for ``reason`` (Unschedulable, SchedulingGated) with ``message``."""

    pod: PodFacts
    node_name: str = ""
    node_revision: int = 0
    reason: str = ""
    message: str = ""


def step(decision: Decision, view: View, now: dt.datetime, names: Names) -> Step | None:
    """None: void, or nothing new to say."""
    pod = view.get(Pod, decision.pod.namespace, decision.pod.name)
    if pod is None or pod.metadata.uid != decision.pod.uid or pod.spec.node_name or pod.metadata.deletion_timestamp:
        return None
    key = Key("Pod", decision.pod.namespace, decision.pod.name)
    compares = [Compare(key, int(pod.metadata.resource_version or 0))]
    if decision.node_name:
        compares.append(Compare(Key("Node", "", decision.node_name), decision.node_revision))
        condition = PodCondition(type="PodScheduled", status="True")
        text = f"Successfully assigned {key.namespace}/{key.name} to {decision.node_name}"
        event = ("Normal", "Scheduled", text)
        pod = msgspec.structs.replace(pod, spec=msgspec.structs.replace(pod.spec, node_name=decision.node_name))
    else:
        condition = PodCondition(type="PodScheduled", status="False", reason=decision.reason, message=decision.message)
        event = ("Warning", "FailedScheduling", decision.message)
    told = _told(pod)
    if told is not None and not decision.node_name and _says_the_same(told, condition):
        return None
    event_step = recorded(
        view,
        Said(Regarding("Pod", key.name, key.namespace, decision.pod.uid), *event),
        component=COMPONENT,
        host="",
        now=now,
        uid=names.uid(),
    )
    put = Put(key, codec.encode(_with_condition(pod, condition, now)))
    if event_step is None:
        return Step(tuple(compares), (put,))
    return Step((*compares, *event_step.compares), (put, *event_step.writes))


def _told(pod: Pod) -> PodCondition | None:
    return next((each for each in pod.status.conditions if each.type == "PodScheduled"), None)


def _says_the_same(one: PodCondition, other: PodCondition) -> bool:
    return (one.status, one.reason, one.message) == (other.status, other.reason, other.message)


def _with_condition(pod: Pod, condition: PodCondition, now: dt.datetime) -> Pod:
    told = _told(pod)
    changed_at = told.last_transition_time if told is not None and told.status == condition.status else to_seconds(now)
    condition = msgspec.structs.replace(condition, last_transition_time=changed_at)
    others = tuple(each for each in pod.status.conditions if each.type != "PodScheduled")
    phase = pod.status.phase or "Pending"
    status = msgspec.structs.replace(pod.status, phase=phase, conditions=(condition, *others))
    return msgspec.structs.replace(pod, status=status)

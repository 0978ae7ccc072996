"""ReplicaSet, Deployment and Scale. Source: the Kubernetes API reference, "Workload Resources"."""

from __future__ import annotations

from typing import Annotated

from orchestr8.api.fields import Int32, Int64, IntOrString, Noun, Time, about, always, empty
from orchestr8.api.meta import LabelSelector, Object, ObjectMeta
from orchestr8.api.pod import PodTemplateSpec


class ReplicaSetCondition(Noun, frozen=True, kw_only=True):
    """One aspect of a ReplicaSet's state."""

    last_transition_time: Annotated[Time | None, about("When it changed last.")] = None
    message: Annotated[str | None, about("Explanation for people.")] = None
    reason: Annotated[str | None, about("Explanation in one word, for programs.")] = None
    status: Annotated[str | None, about("True, False or Unknown.")] = None
    type: Annotated[str | None, about("What it is about.")] = None


class ReplicaSetSpec(Noun, frozen=True, kw_only=True):
    """How many pods of which kind there shall be."""

    min_ready_seconds: Annotated[Int32 | None, about("For how many seconds a pod must be ready to be available.")] = (
        None
    )
    replicas: Annotated[Int32 | None, about("How many pods are wanted.", zero_matters=True)] = None
    selector: Annotated[LabelSelector | None, about("Which pods belong to it.")] = None
    template: Annotated[PodTemplateSpec, about("The pods to make.")] = empty(PodTemplateSpec)


class ReplicaSetStatus(Noun, frozen=True, kw_only=True):
    """How many pods there are."""

    available_replicas: Annotated[Int32 | None, about("Pods that have been ready for minReadySeconds.")] = None
    conditions: Annotated[
        tuple[ReplicaSetCondition, ...], about("Aspects of the state, one per type.", merge_key="type")
    ] = ()
    fully_labeled_replicas: Annotated[Int32 | None, about("Pods that have all labels of the template.")] = None
    observed_generation: Annotated[Int64 | None, about("The generation of the spec that this was computed from.")] = (
        None
    )
    ready_replicas: Annotated[Int32 | None, about("Pods that are ready.")] = None
    replicas: Annotated[Int32, about("Pods there are.")] = always(0)
    terminating_replicas: Annotated[Int32 | None, about("Pods that are being ended.", zero_matters=True)] = None


class ReplicaSet(Object, frozen=True, kw_only=True):
    """Keeps a number of equal pods running. Usually made by a Deployment."""

    api_version: str = always("apps/v1")
    kind: str = always("ReplicaSet")
    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)
    spec: Annotated[ReplicaSetSpec, about("What is wanted.")] = empty(ReplicaSetSpec)
    status: Annotated[ReplicaSetStatus, about("What is so; written by the system, not by users.")] = empty(
        ReplicaSetStatus
    )


class RollingUpdateDeployment(Noun, frozen=True, kw_only=True):
    """How many pods may be missing or too many during an update."""

    max_surge: Annotated[
        IntOrString | None,
        about("How many pods more than wanted there may be, as number or percentage; 25% unless set."),
    ] = None
    max_unavailable: Annotated[
        IntOrString | None, about("How many pods may be missing, as number or percentage; 25% unless set.")
    ] = None


class DeploymentStrategy(Noun, frozen=True, kw_only=True):
    """How old pods are replaced by new ones."""

    rolling_update: Annotated[RollingUpdateDeployment | None, about("Settings of a rolling update.")] = None
    type: Annotated[str | None, about("RollingUpdate or Recreate.")] = None


class DeploymentCondition(Noun, frozen=True, kw_only=True):
    """One aspect of a Deployment's state: Available, Progressing, ReplicaFailure."""

    last_transition_time: Annotated[Time | None, about("When it changed last.")] = None
    last_update_time: Annotated[Time | None, about("When it was looked at last.")] = None
    message: Annotated[str | None, about("Explanation for people.")] = None
    reason: Annotated[str | None, about("Explanation in one word, for programs.")] = None
    status: Annotated[str | None, about("True, False or Unknown.")] = None
    type: Annotated[str | None, about("What it is about.")] = None


class DeploymentSpec(Noun, frozen=True, kw_only=True):
    """What a Deployment shall keep running, and how it updates."""

    min_ready_seconds: Annotated[Int32 | None, about("For how many seconds a pod must be ready to be available.")] = (
        None
    )
    paused: Annotated[bool | None, about("Whether changes of the template wait.")] = None
    progress_deadline_seconds: Annotated[
        Int32 | None,
        about(
            "After how many seconds without progress the update counts as failed; 600 unless set.", zero_matters=True
        ),
    ] = None
    replicas: Annotated[Int32 | None, about("How many pods are wanted.", zero_matters=True)] = None
    revision_history_limit: Annotated[
        Int32 | None, about("How many old ReplicaSets are kept for going back; 10 unless set.", zero_matters=True)
    ] = None
    selector: Annotated[LabelSelector | None, about("Which pods belong to it.")] = None
    strategy: Annotated[DeploymentStrategy | None, about("How pods are replaced.", strategy="retainKeys")] = None
    template: Annotated[PodTemplateSpec, about("The pods to make.")] = empty(PodTemplateSpec)


class DeploymentStatus(Noun, frozen=True, kw_only=True):
    """How far a Deployment is."""

    available_replicas: Annotated[Int32 | None, about("Pods that have been ready for minReadySeconds.")] = None
    collision_count: Annotated[
        Int32 | None, about("How often a name for a ReplicaSet was taken already.", zero_matters=True)
    ] = None
    conditions: Annotated[
        tuple[DeploymentCondition, ...], about("Aspects of the state, one per type.", merge_key="type")
    ] = ()
    observed_generation: Annotated[Int64 | None, about("The generation of the spec that this was computed from.")] = (
        None
    )
    ready_replicas: Annotated[Int32 | None, about("Pods that are ready.")] = None
    replicas: Annotated[Int32 | None, about("Pods there are, old and new.", zero_matters=True)] = None
    terminating_replicas: Annotated[Int32 | None, about("Pods that are being ended.", zero_matters=True)] = None
    unavailable_replicas: Annotated[Int32 | None, about("Pods that are missing to what is wanted.")] = None
    updated_replicas: Annotated[Int32 | None, about("Pods of the newest template.")] = None


class Deployment(Object, frozen=True, kw_only=True):
    """Keeps equal pods running and replaces them step by step when their template changes."""

    api_version: str = always("apps/v1")
    kind: str = always("Deployment")
    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)
    spec: Annotated[DeploymentSpec, about("What is wanted.")] = empty(DeploymentSpec)
    status: Annotated[DeploymentStatus, about("What is so; written by the system, not by users.")] = empty(
        DeploymentStatus
    )


class ScaleSpec(Noun, frozen=True, kw_only=True):
    """How many pods there shall be."""

    replicas: Annotated[Int32 | None, about("How many pods are wanted.", zero_matters=True)] = None


class ScaleStatus(Noun, frozen=True, kw_only=True):
    """How many pods there are."""

    replicas: Annotated[Int32, about("Pods there are.")] = always(0)
    selector: Annotated[str | None, about("Which pods they are, as text.")] = None


class Scale(Object, frozen=True, kw_only=True):
    """The number of pods of a workload, for those who only change that."""

    api_version: str = always("autoscaling/v1")
    kind: str = always("Scale")
    metadata: Annotated[ObjectMeta, about("Name, labels, owners and what the server records.")] = empty(ObjectMeta)
    spec: Annotated[ScaleSpec, about("What is wanted.")] = empty(ScaleSpec)
    status: Annotated[ScaleStatus, about("What is so; written by the system, not by users.")] = empty(ScaleStatus)

"""workloads"""

from __future__ import annotations

from typing import Annotated

from orchestr8.api.fields import Int32, Int64, IntOrString, Noun, Time, about, always, empty
from orchestr8.api.meta import LabelSelector, Object, ObjectMeta
from orchestr8.api.pod import PodTemplateSpec


class ReplicaSetCondition(Noun, frozen=True, kw_only=True):
    """ReplicaSetCondition."""

    last_transition_time: Annotated[Time | None, about("")] = None
    message: Annotated[str | None, about("")] = None
    reason: Annotated[str | None, about("")] = None
    status: Annotated[str | None, about("")] = None
    type: Annotated[str | None, about("")] = None


class ReplicaSetSpec(Noun, frozen=True, kw_only=True):
    """ReplicaSetSpec."""

    min_ready_seconds: Annotated[Int32 | None, about("")] = None
    replicas: Annotated[Int32 | None, about("", zero_matters=True)] = None
    selector: Annotated[LabelSelector | None, about("")] = None
    template: Annotated[PodTemplateSpec, about("")] = empty(PodTemplateSpec)


class ReplicaSetStatus(Noun, frozen=True, kw_only=True):
    """ReplicaSetStatus."""

    available_replicas: Annotated[Int32 | None, about("")] = None
    conditions: Annotated[tuple[ReplicaSetCondition, ...], about("", merge_key="type")] = ()
    fully_labeled_replicas: Annotated[Int32 | None, about("")] = None
    observed_generation: Annotated[Int64 | None, about("")] = None
    ready_replicas: Annotated[Int32 | None, about("")] = None
    replicas: Annotated[Int32, about("")] = always(0)
    terminating_replicas: Annotated[Int32 | None, about("", zero_matters=True)] = None


class ReplicaSet(Object, frozen=True, kw_only=True):
    """ReplicaSet."""

    api_version: str = always("apps/v1")
    kind: str = always("ReplicaSet")
    metadata: Annotated[ObjectMeta, about("")] = empty(ObjectMeta)
    spec: Annotated[ReplicaSetSpec, about("")] = empty(ReplicaSetSpec)
    status: Annotated[ReplicaSetStatus, about("")] = empty(ReplicaSetStatus)


class RollingUpdateDeployment(Noun, frozen=True, kw_only=True):
    """RollingUpdateDeployment."""

    max_surge: Annotated[IntOrString | None, about("")] = None
    max_unavailable: Annotated[IntOrString | None, about("")] = None


class DeploymentStrategy(Noun, frozen=True, kw_only=True):
    """DeploymentStrategy."""

    rolling_update: Annotated[RollingUpdateDeployment | None, about("")] = None
    type: Annotated[str | None, about("")] = None


class DeploymentCondition(Noun, frozen=True, kw_only=True):
    """DeploymentCondition."""

    last_transition_time: Annotated[Time | None, about("")] = None
    last_update_time: Annotated[Time | None, about("")] = None
    message: Annotated[str | None, about("")] = None
    reason: Annotated[str | None, about("")] = None
    status: Annotated[str | None, about("")] = None
    type: Annotated[str | None, about("")] = None


class DeploymentSpec(Noun, frozen=True, kw_only=True):
    """DeploymentSpec."""

    min_ready_seconds: Annotated[Int32 | None, about("")] = None
    paused: Annotated[bool | None, about("")] = None
    progress_deadline_seconds: Annotated[Int32 | None, about("", zero_matters=True)] = None
    replicas: Annotated[Int32 | None, about("", zero_matters=True)] = None
    revision_history_limit: Annotated[Int32 | None, about("", zero_matters=True)] = None
    selector: Annotated[LabelSelector | None, about("")] = None
    strategy: Annotated[DeploymentStrategy | None, about("", strategy="retainKeys")] = None
    template: Annotated[PodTemplateSpec, about("")] = empty(PodTemplateSpec)


class DeploymentStatus(Noun, frozen=True, kw_only=True):
    """DeploymentStatus."""

    available_replicas: Annotated[Int32 | None, about("")] = None
    collision_count: Annotated[Int32 | None, about("", zero_matters=True)] = None
    conditions: Annotated[tuple[DeploymentCondition, ...], about("", merge_key="type")] = ()
    observed_generation: Annotated[Int64 | None, about("")] = None
    ready_replicas: Annotated[Int32 | None, about("")] = None
    replicas: Annotated[Int32 | None, about("", zero_matters=True)] = None
    terminating_replicas: Annotated[Int32 | None, about("", zero_matters=True)] = None
    unavailable_replicas: Annotated[Int32 | None, about("")] = None
    updated_replicas: Annotated[Int32 | None, about("")] = None


class Deployment(Object, frozen=True, kw_only=True):
    """Deployment."""

    api_version: str = always("apps/v1")
    kind: str = always("Deployment")
    metadata: Annotated[ObjectMeta, about("")] = empty(ObjectMeta)
    spec: Annotated[DeploymentSpec, about("")] = empty(DeploymentSpec)
    status: Annotated[DeploymentStatus, about("")] = empty(DeploymentStatus)


class ScaleSpec(Noun, frozen=True, kw_only=True):
    """ScaleSpec."""

    replicas: Annotated[Int32 | None, about("", zero_matters=True)] = None


class ScaleStatus(Noun, frozen=True, kw_only=True):
    """ScaleStatus."""

    replicas: Annotated[Int32, about("")] = always(0)
    selector: Annotated[str | None, about("")] = None


class Scale(Object, frozen=True, kw_only=True):
    """Scale."""

    api_version: str = always("autoscaling/v1")
    kind: str = always("Scale")
    metadata: Annotated[ObjectMeta, about("")] = empty(ObjectMeta)
    spec: Annotated[ScaleSpec, about("")] = empty(ScaleSpec)
    status: Annotated[ScaleStatus, about("")] = empty(ScaleStatus)

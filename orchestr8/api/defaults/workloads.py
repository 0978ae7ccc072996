"""Defaults of ReplicaSet and Deployment."""

from __future__ import annotations

from orchestr8.api.defaults.fill import change, fill
from orchestr8.api.defaults.pod import default_template
from orchestr8.api.workloads import (
    Deployment,
    DeploymentStrategy,
    ReplicaSet,
    RollingUpdateDeployment,
)


def default_replica_set(replica_set: ReplicaSet) -> ReplicaSet:
    spec = fill(replica_set.spec, replicas=1)
    return change(replica_set, spec=change(spec, template=default_template(spec.template)))


def default_deployment(deployment: Deployment) -> Deployment:
    spec = fill(
        deployment.spec,
        replicas=1,
        revision_history_limit=10,
        progress_deadline_seconds=600,
        strategy=DeploymentStrategy(),
    )
    return change(
        deployment, spec=change(spec, strategy=_strategy(spec.strategy), template=default_template(spec.template))
    )


def _strategy(strategy: DeploymentStrategy | None) -> DeploymentStrategy:
    strategy = fill(strategy or DeploymentStrategy(), type="RollingUpdate")
    if strategy.type != "RollingUpdate":
        return strategy
    rolling = fill(strategy.rolling_update or RollingUpdateDeployment(), max_unavailable="25%", max_surge="25%")
    return change(strategy, rolling_update=rolling)

"""Rules of ReplicaSet, Deployment and Scale."""

from __future__ import annotations

from orchestr8.api.meta import LabelSelector
from orchestr8.api.pod import PodTemplateSpec
from orchestr8.api.selectors import from_object
from orchestr8.api.validation import syntax
from orchestr8.api.validation.complaints import Complaints
from orchestr8.api.validation.meta import check_selector
from orchestr8.api.validation.pod import check_template
from orchestr8.api.workloads import Deployment, DeploymentSpec, ReplicaSet, Scale


def check_replica_set(complaints: Complaints, replica_set: ReplicaSet) -> None:
    spec = replica_set.spec
    complaints.at_least("spec.replicas", spec.replicas, 0)
    complaints.at_least("spec.minReadySeconds", spec.min_ready_seconds, 0)
    _check_selected_template(complaints, spec.selector, spec.template)


def check_deployment(complaints: Complaints, deployment: Deployment) -> None:
    spec = deployment.spec
    complaints.at_least("spec.replicas", spec.replicas, 0)
    complaints.at_least("spec.minReadySeconds", spec.min_ready_seconds, 0)
    complaints.at_least("spec.revisionHistoryLimit", spec.revision_history_limit, 0)
    deadline = spec.progress_deadline_seconds
    complaints.at_least("spec.progressDeadlineSeconds", deadline, 0)
    if deadline is not None and deadline <= (spec.min_ready_seconds or 0):
        complaints.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")
    _check_strategy(complaints, spec)
    _check_selected_template(complaints, spec.selector, spec.template)


def check_selector_update(complaints: Complaints, old: Deployment | ReplicaSet, new: Deployment | ReplicaSet) -> None:
    if old.spec.selector != new.spec.selector:
        complaints.invalid("spec.selector", new.spec.selector, "field is immutable")


def check_scale(complaints: Complaints, scale: Scale) -> None:
    complaints.at_least("spec.replicas", scale.spec.replicas, 0)


def _check_selected_template(complaints: Complaints, selector: LabelSelector | None, template: PodTemplateSpec) -> None:
    known = len(complaints.causes)
    if selector is None:
        complaints.required("spec.selector")
    elif not selector.match_labels and not selector.match_expressions:
        complaints.invalid("spec.selector", selector, "empty selector is invalid: it would select every pod")
    else:
        check_selector(complaints, selector, "spec.selector")
        # A broken selector has been named already; it matches nothing.
        if len(complaints.causes) == known and not from_object(selector).matches(template.metadata.labels):
            complaints.invalid(
                "spec.template.metadata.labels",
                template.metadata.labels,
                "`selector` does not match template `labels`",
            )
    check_template(complaints, template, "spec.template")
    if template.spec.restart_policy not in (None, "Always"):
        complaints.not_supported("spec.template.spec.restartPolicy", template.spec.restart_policy, ("Always",))
    if template.spec.active_deadline_seconds is not None:
        complaints.forbidden("spec.template.spec.activeDeadlineSeconds", "activeDeadlineSeconds is not supported here")


def _check_strategy(complaints: Complaints, spec: DeploymentSpec) -> None:
    strategy = spec.strategy
    if strategy is None:
        return
    rolling = strategy.rolling_update
    match strategy.type:
        case "Recreate":
            if rolling is not None:
                complaints.forbidden(
                    "spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'"
                )
        case "RollingUpdate":
            if rolling is None:
                complaints.required("spec.strategy.rollingUpdate", "this should be defaulted and never be nil")
                return
            path = "spec.strategy.rollingUpdate"
            _check_amount(complaints, rolling.max_unavailable, f"{path}.maxUnavailable", most_percent=100)
            _check_amount(complaints, rolling.max_surge, f"{path}.maxSurge", most_percent=None)
            if _is_nothing(rolling.max_unavailable) and _is_nothing(rolling.max_surge):
                complaints.invalid(
                    f"{path}.maxUnavailable", rolling.max_unavailable, "may not be 0 when `maxSurge` is 0"
                )
        case _:
            complaints.not_supported("spec.strategy.type", strategy.type, ("Recreate", "RollingUpdate"))


def _check_amount(complaints: Complaints, amount: int | str | None, path: str, most_percent: int | None) -> None:
    if isinstance(amount, int):
        complaints.at_least(path, amount, 0)
    elif amount is not None:
        if problem := syntax.percent(amount):
            complaints.invalid(path, amount, problem)
        elif most_percent is not None and int(amount[:-1]) > most_percent:
            complaints.invalid(path, amount, f"must not be greater than {most_percent}%")


def _is_nothing(amount: int | str | None) -> bool:
    return amount == 0 or (isinstance(amount, str) and amount.rstrip("%").strip("0") == "" and amount != "")

"""What is wrong with an object: every broken rule is one Cause that names the field as the user wrote it.

Give it objects after ``apply_defaults``. Rules and wording classes follow the Kubernetes API reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestr8.api import kinds
from orchestr8.api.authorization import SelfSubjectAccessReview
from orchestr8.api.config import ConfigMap, Namespace, Secret, ServiceAccount
from orchestr8.api.events import Event
from orchestr8.api.meta import Object
from orchestr8.api.node import Lease, Node
from orchestr8.api.pod import Binding, Pod
from orchestr8.api.service import Endpoints, EndpointSlice, Service
from orchestr8.api.validation import config, pod, service, syntax, workloads
from orchestr8.api.validation.complaints import Complaints
from orchestr8.api.validation.meta import check_metadata, check_metadata_update
from orchestr8.api.validation.not_run import not_run
from orchestr8.api.workloads import Deployment, ReplicaSet, Scale
from orchestr8.errors import Cause

_NAMES: dict[type[Object], Callable[[str], str]] = {Namespace: syntax.label, Service: syntax.label_1035}

_RULES: dict[type[Object], Callable[[Complaints, Any], None]] = {
    Binding: config.check_binding,
    ConfigMap: config.check_config_map,
    Deployment: workloads.check_deployment,
    EndpointSlice: service.check_endpoint_slice,
    Endpoints: service.check_endpoints,
    Event: config.check_event,
    Lease: config.check_lease,
    Namespace: config.check_namespace,
    Node: config.check_node,
    Pod: pod.check_pod,
    ReplicaSet: workloads.check_replica_set,
    Scale: workloads.check_scale,
    Secret: config.check_secret,
    SelfSubjectAccessReview: config.check_access_review,
    Service: service.check_service,
    ServiceAccount: config.check_service_account,
}

_UPDATE_RULES: dict[type[Object], Callable[[Complaints, Any, Any], None]] = {
    ConfigMap: config.check_config_map_update,
    Deployment: workloads.check_selector_update,
    EndpointSlice: service.check_endpoint_slice_update,
    Node: config.check_node_update,
    Pod: pod.check_pod_update,
    ReplicaSet: workloads.check_selector_update,
    Secret: config.check_secret_update,
    Service: service.check_service_update,
}


def validate_create(obj: Object) -> tuple[Cause, ...]:
    """Every rule that a new object breaks; empty when it is fine."""
    complaints = Complaints()
    _check(complaints, obj)
    return complaints.causes


def validate_update(old: Object, new: Object) -> tuple[Cause, ...]:
    """Every rule that ``new`` breaks, on its own and as the successor of ``old``; both with defaults applied."""
    complaints = Complaints()
    check_metadata_update(complaints, old, new)
    if isinstance(new, Pod):  # what a pod was let in with stays, whatever the rules say today
        check_metadata(complaints, new.metadata, "metadata", namespaced=True, name_syntax=syntax.subdomain)
        pod.check_pod_spec(complaints, new.spec, "spec")
    else:
        _check(complaints, new)
    update_rule = _UPDATE_RULES.get(type(new))
    if update_rule is not None:
        update_rule(complaints, old, new)
    return complaints.causes


def _check(complaints: Complaints, obj: Object) -> None:
    known = next((kind for kind in kinds.KINDS if kind.cls is type(obj)), None)
    if known is not None and known.stored:
        check_metadata(
            complaints,
            obj.metadata,
            "metadata",
            namespaced=known.namespaced,
            name_syntax=_NAMES.get(type(obj), syntax.subdomain),
        )
    rule = _RULES.get(type(obj))
    if rule is not None:
        rule(complaints, obj)


__all__ = ["not_run", "validate_create", "validate_update"]

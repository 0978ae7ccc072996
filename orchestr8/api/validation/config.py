"""Rules of ConfigMap, Secret, Namespace, ServiceAccount, Node, Lease, Event and the review kinds."""

from __future__ import annotations

import json
from collections.abc import Mapping

from orchestr8.api.authorization import SelfSubjectAccessReview
from orchestr8.api.config import ConfigMap, Namespace, Secret, ServiceAccount
from orchestr8.api.events import Event
from orchestr8.api.node import Lease, Node
from orchestr8.api.pod import Binding
from orchestr8.api.validation import syntax
from orchestr8.api.validation.complaints import Complaints
from orchestr8.api.validation.container import check_quantities
from orchestr8.api.validation.placement import EFFECTS

DATA_BYTES = 1024 * 1024
# What each built-in type of Secret must hold.
_SECRET_KEYS: dict[str, tuple[str, ...]] = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
_SERVICE_ACCOUNT_TOKEN = "kubernetes.io/service-account-token"
_SERVICE_ACCOUNT_NAME = "kubernetes.io/service-account.name"


def check_config_map(complaints: Complaints, config_map: ConfigMap) -> None:
    _check_keys(complaints, config_map.data, "data")
    _check_keys(complaints, config_map.binary_data, "binaryData")
    for key in sorted(config_map.data.keys() & config_map.binary_data.keys()):
        complaints.invalid(f"binaryData.{key}", key, "duplicate of key present in data")
    size = sum(len(text.encode()) for text in config_map.data.values())
    if size + sum(map(len, config_map.binary_data.values())) > DATA_BYTES:
        complaints.too_long("", DATA_BYTES)


def check_config_map_update(complaints: Complaints, old: ConfigMap, new: ConfigMap) -> None:
    if not old.immutable:
        return
    _check_still_immutable(complaints, new.immutable)
    if old.data != new.data:
        complaints.forbidden("data", "field is immutable when `immutable` is set")
    if old.binary_data != new.binary_data:
        complaints.forbidden("binaryData", "field is immutable when `immutable` is set")


def check_secret(complaints: Complaints, secret: Secret) -> None:
    _check_keys(complaints, secret.data, "data")
    if sum(map(len, secret.data.values())) > DATA_BYTES:
        complaints.too_long("data", DATA_BYTES)
    for key in _SECRET_KEYS.get(secret.type or "", ()):
        if key not in secret.data:
            complaints.required(f"data[{key}]")
        elif key.startswith(".docker") and not _is_json(secret.data[key]):
            complaints.invalid(f"data[{key}]", "<secret contents redacted>", "must be valid JSON")
    if secret.type == "kubernetes.io/basic-auth" and not {"username", "password"} & secret.data.keys():
        complaints.required("data[username]")
        complaints.required("data[password]")
    if secret.type == _SERVICE_ACCOUNT_TOKEN and not secret.metadata.annotations.get(_SERVICE_ACCOUNT_NAME):
        complaints.required(f"metadata.annotations[{_SERVICE_ACCOUNT_NAME}]")


def check_secret_update(complaints: Complaints, old: Secret, new: Secret) -> None:
    if old.type != new.type:
        complaints.invalid("type", new.type, "field is immutable")
    if not old.immutable:
        return
    _check_still_immutable(complaints, new.immutable)
    if old.data != new.data:
        complaints.forbidden("data", "field is immutable when `immutable` is set")


def _check_still_immutable(complaints: Complaints, immutable: bool | None) -> None:
    if not immutable:
        complaints.forbidden("immutable", "field is immutable when `immutable` is set")


def _check_keys(complaints: Complaints, data: Mapping[str, object], path: str) -> None:
    for key in data:
        if problem := syntax.data_key(key):
            complaints.invalid(f"{path}.{key}", key, problem)


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def check_namespace(complaints: Complaints, namespace: Namespace) -> None:
    for index, finalizer in enumerate(namespace.spec.finalizers):
        if problem := syntax.qualified_name(finalizer):
            complaints.invalid(f"spec.finalizers[{index}]", finalizer, problem)


def check_service_account(complaints: Complaints, account: ServiceAccount) -> None:
    for index, reference in enumerate(account.image_pull_secrets):
        if not reference.name:
            complaints.required(f"imagePullSecrets[{index}].name")


def check_node(complaints: Complaints, node: Node) -> None:
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(node.spec.taints):
        path = f"spec.taints[{index}]"
        if problem := syntax.qualified_name(taint.key):
            complaints.invalid(f"{path}.key", taint.key, problem)
        if problem := syntax.label_value(taint.value or ""):
            complaints.invalid(f"{path}.value", taint.value, problem)
        complaints.one_of(f"{path}.effect", taint.effect, EFFECTS, optional=False)
        if (taint.key, taint.effect) in seen:
            complaints.duplicate(path, {"key": taint.key, "effect": taint.effect})
        seen.add((taint.key, taint.effect))
    for index, network in enumerate(node.spec.pod_cidrs):
        if problem := syntax.network(network):
            complaints.invalid(f"spec.podCIDRs[{index}]", network, problem)
    check_quantities(complaints, node.status.capacity, "status.capacity")
    check_quantities(complaints, node.status.allocatable, "status.allocatable")


def check_node_update(complaints: Complaints, old: Node, new: Node) -> None:
    """A node keeps its range of pod addresses: running pods have them."""
    if old.spec.pod_cidr and old.spec.pod_cidr != new.spec.pod_cidr:
        complaints.forbidden("spec.podCIDR", 'node updates may not change podCIDR except from "" to valid')
    if old.spec.provider_id and old.spec.provider_id != new.spec.provider_id:
        complaints.forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid')


def check_lease(complaints: Complaints, lease: Lease) -> None:
    duration = lease.spec.lease_duration_seconds
    if duration is not None and duration <= 0:
        complaints.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0")
    complaints.at_least("spec.leaseTransitions", lease.spec.lease_transitions, 0)


def check_event(complaints: Complaints, event: Event) -> None:
    regarding = event.involved_object.namespace or "default"
    if event.metadata.namespace and regarding != event.metadata.namespace:
        complaints.invalid(
            "involvedObject.namespace", event.involved_object.namespace, "does not match event.namespace"
        )


def check_access_review(complaints: Complaints, review: SelfSubjectAccessReview) -> None:
    spec = review.spec
    if (spec.resource_attributes is None) == (spec.non_resource_attributes is None):
        complaints.invalid(
            "spec.resourceAttributes",
            "",
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )


def check_binding(complaints: Complaints, binding: Binding) -> None:
    if binding.target.kind not in (None, "", "Node"):
        complaints.not_supported("target.kind", binding.target.kind, ("Node",))
    if not binding.target.name:
        complaints.required("target.name")

"""The kinds that this cluster knows: THE list to extend for a new one.

A kind's name is its identity in the store. Exactly one version of a kind is served; there is no conversion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from orchestr8.api.authorization import SelfSubjectAccessReview, SelfSubjectReview, SelfSubjectRulesReview
from orchestr8.api.config import ConfigMap, Namespace, Secret, ServiceAccount
from orchestr8.api.events import Event
from orchestr8.api.fields import Noun
from orchestr8.api.meta import DeleteOptions, Object
from orchestr8.api.node import Lease, Node
from orchestr8.api.pod import Binding, Eviction, Pod
from orchestr8.api.selectors import FieldTerm, matches_fields
from orchestr8.api.service import Endpoints, EndpointSlice, Service
from orchestr8.api.workloads import Deployment, ReplicaSet, Scale
from orchestr8.errors import BadRequest, NotFound

_STORED = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_READ_WRITE = ("get", "patch", "update")


class Subresource(msgspec.Struct, frozen=True, kw_only=True):
    """``kind`` with ``group``/``version`` is what bodies of this subresource hold; ``cls`` None: no typed body."""

    name: str
    kind: str
    group: str = ""
    version: str = "v1"
    cls: type[Noun] | None = None
    verbs: tuple[str, ...] = _READ_WRITE


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind. ``fields``: what field selectors may ask, besides metadata.name and metadata.namespace."""

    kind: str
    group: str = ""
    version: str = "v1"
    plural: str
    singular: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    cls: type[Object]
    verbs: tuple[str, ...] = _STORED
    subresources: tuple[Subresource, ...] = ()
    fields: dict[str, Callable[[Any], str | None]] = {}

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def stored(self) -> bool:
        """False for kinds that are only asked, never kept (the self reviews)."""
        return "get" in self.verbs

    def subresource(self, name: str) -> Subresource | None:
        return next((found for found in self.subresources if found.name == name), None)


def _status(kind: str, cls: type[Noun], group: str = "") -> Subresource:
    return Subresource(name="status", kind=kind, group=group, cls=cls)


def _scale() -> Subresource:
    return Subresource(name="scale", kind="Scale", group="autoscaling", cls=Scale)


KINDS: tuple[Kind, ...] = (
    Kind(
        kind="Namespace",
        plural="namespaces",
        singular="namespace",
        short_names=("ns",),
        namespaced=False,
        cls=Namespace,
        verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
        subresources=(
            _status("Namespace", Namespace),
            Subresource(name="finalize", kind="Namespace", cls=Namespace, verbs=("update",)),
        ),
        fields={"status.phase": lambda obj: obj.status.phase},
    ),
    Kind(
        kind="Node",
        plural="nodes",
        singular="node",
        short_names=("no",),
        namespaced=False,
        cls=Node,
        subresources=(_status("Node", Node),),
        fields={"spec.unschedulable": lambda obj: "true" if obj.spec.unschedulable else "false"},
    ),
    Kind(
        kind="Pod",
        plural="pods",
        singular="pod",
        short_names=("po",),
        categories=("all",),
        cls=Pod,
        subresources=(
            _status("Pod", Pod),
            Subresource(name="binding", kind="Binding", cls=Binding, verbs=("create",)),
            Subresource(name="eviction", kind="Eviction", group="policy", cls=Eviction, verbs=("create",)),
            Subresource(name="log", kind="Pod", verbs=("get",)),
            Subresource(name="exec", kind="PodExecOptions", verbs=("create", "get")),
        ),
        fields={
            "spec.nodeName": lambda obj: obj.spec.node_name,
            "spec.restartPolicy": lambda obj: obj.spec.restart_policy,
            "spec.schedulerName": lambda obj: obj.spec.scheduler_name,
            "spec.serviceAccountName": lambda obj: obj.spec.service_account_name,
            "spec.hostNetwork": lambda obj: "true" if obj.spec.host_network else "false",
            "status.phase": lambda obj: obj.status.phase,
            "status.podIP": lambda obj: obj.status.pod_ip,
            "status.podIPs": lambda obj: obj.status.pod_ip,
            "status.nominatedNodeName": lambda obj: obj.status.nominated_node_name,
        },
    ),
    Kind(
        kind="ReplicaSet",
        group="apps",
        plural="replicasets",
        singular="replicaset",
        short_names=("rs",),
        categories=("all",),
        cls=ReplicaSet,
        subresources=(_status("ReplicaSet", ReplicaSet, "apps"), _scale()),
        fields={"status.replicas": lambda obj: str(obj.status.replicas)},
    ),
    Kind(
        kind="Deployment",
        group="apps",
        plural="deployments",
        singular="deployment",
        short_names=("deploy",),
        categories=("all",),
        cls=Deployment,
        subresources=(_status("Deployment", Deployment, "apps"), _scale()),
    ),
    Kind(
        kind="Service",
        plural="services",
        singular="service",
        short_names=("svc",),
        categories=("all",),
        cls=Service,
        subresources=(_status("Service", Service),),
        fields={
            "spec.clusterIP": lambda obj: obj.spec.cluster_ip,
            "spec.type": lambda obj: obj.spec.type,
        },
    ),
    Kind(kind="Endpoints", plural="endpoints", singular="endpoints", short_names=("ep",), cls=Endpoints),
    Kind(
        kind="EndpointSlice",
        group="discovery.k8s.io",
        plural="endpointslices",
        singular="endpointslice",
        cls=EndpointSlice,
    ),
    Kind(kind="ConfigMap", plural="configmaps", singular="configmap", short_names=("cm",), cls=ConfigMap),
    Kind(
        kind="Secret",
        plural="secrets",
        singular="secret",
        cls=Secret,
        fields={"type": lambda obj: obj.type},
    ),
    Kind(
        kind="Event",
        plural="events",
        singular="event",
        short_names=("ev",),
        cls=Event,
        fields={
            "involvedObject.kind": lambda obj: obj.involved_object.kind,
            "involvedObject.namespace": lambda obj: obj.involved_object.namespace,
            "involvedObject.name": lambda obj: obj.involved_object.name,
            "involvedObject.uid": lambda obj: obj.involved_object.uid,
            "involvedObject.apiVersion": lambda obj: obj.involved_object.api_version,
            "involvedObject.resourceVersion": lambda obj: obj.involved_object.resource_version,
            "involvedObject.fieldPath": lambda obj: obj.involved_object.field_path,
            "reason": lambda obj: obj.reason,
            "reportingComponent": lambda obj: obj.reporting_component,
            "source": lambda obj: obj.source.component if obj.source else obj.reporting_component,
            "type": lambda obj: obj.type,
        },
    ),
    Kind(kind="Lease", group="coordination.k8s.io", plural="leases", singular="lease", cls=Lease),
    Kind(
        kind="ServiceAccount",
        plural="serviceaccounts",
        singular="serviceaccount",
        short_names=("sa",),
        cls=ServiceAccount,
    ),
    Kind(
        kind="SelfSubjectAccessReview",
        group="authorization.k8s.io",
        plural="selfsubjectaccessreviews",
        singular="selfsubjectaccessreview",
        namespaced=False,
        cls=SelfSubjectAccessReview,
        verbs=("create",),
    ),
    Kind(
        kind="SelfSubjectRulesReview",
        group="authorization.k8s.io",
        plural="selfsubjectrulesreviews",
        singular="selfsubjectrulesreview",
        namespaced=False,
        cls=SelfSubjectRulesReview,
        verbs=("create",),
    ),
    Kind(
        kind="SelfSubjectReview",
        group="authentication.k8s.io",
        plural="selfsubjectreviews",
        singular="selfsubjectreview",
        namespaced=False,
        cls=SelfSubjectReview,
        verbs=("create",),
    ),
)

_BY_NAME = {kind.kind: kind for kind in KINDS}
_BY_CLASS: dict[type[Object], Kind] = {kind.cls: kind for kind in KINDS}
_BY_RESOURCE = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}
# Bodies of requests that are no kind of their own.
BODIES: dict[str, type[Noun]] = {
    "Binding": Binding,
    "DeleteOptions": DeleteOptions,
    "Eviction": Eviction,
    "Scale": Scale,
}


def by_name(name: str) -> Kind:
    """The kind of that name, such as "Pod". Raises NotFound."""
    found = _BY_NAME.get(name)
    if found is None:
        raise NotFound(f"no kind {name!r} is served here")
    return found


def by_class(cls: type[Object]) -> Kind:
    """The kind whose objects are of class ``cls``; KeyError for a class that is none (a bug here)."""
    return _BY_CLASS[cls]


def by_resource(group: str, version: str, plural: str) -> Kind | None:
    """The kind served at that path, or None. The core group is ""."""
    return _BY_RESOURCE.get((group, version, plural))


def group_versions() -> tuple[tuple[str, str], ...]:
    """Every (group, version) served, the core group first."""
    return tuple(sorted({(kind.group, kind.version) for kind in KINDS}))


def field_values(kind: Kind, obj: Any, terms: Iterable[FieldTerm]) -> dict[str, str]:
    """The value of each field that ``terms`` ask of ``obj``. Raises BadRequest for a field that cannot be asked."""
    values: dict[str, str] = {}
    for term in terms:
        if term.field == "metadata.name":
            values[term.field] = obj.metadata.name
        elif term.field == "metadata.namespace":
            values[term.field] = obj.metadata.namespace
        else:
            check_fields(kind, (term,))
            values[term.field] = kind.fields[term.field](obj) or ""
    return values


def check_fields(kind: Kind, terms: Iterable[FieldTerm]) -> None:
    """Raises BadRequest naming the first field that ``kind`` cannot be selected by."""
    for term in terms:
        if term.field not in ("metadata.name", "metadata.namespace") and term.field not in kind.fields:
            known = ", ".join(("metadata.name", "metadata.namespace", *sorted(kind.fields)))
            raise BadRequest(f"field label not supported: {term.field}; {kind.plural} can be selected by {known}")


def matches_field_selector(kind: Kind, obj: Any, terms: tuple[FieldTerm, ...]) -> bool:
    return matches_fields(terms, field_values(kind, obj, terms))

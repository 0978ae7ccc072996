"""Every broken rule is named by the field's path, and good objects pass."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from orchestr8.api import codec, kinds
from orchestr8.api.defaults import apply_defaults
from orchestr8.api.validation import validate_create, validate_update

POD_SPEC: dict[str, Any] = {
    "containers": [
        {
            "name": "web",
            "image": "web:1",
            "ports": [{"name": "http", "containerPort": 80}],
            "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}}],
            "envFrom": [{"configMapRef": {"name": "c"}}],
            "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1", "memory": "64Mi"}},
            "readinessProbe": {"httpGet": {"port": "http"}},
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        }
    ],
    "initContainers": [{"name": "init", "image": "web:1"}],
    "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}],
    "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}],
    "nodeSelector": {"disk": "ssd"},
}
META = {"name": "web", "namespace": "default"}
GOOD: dict[str, dict[str, Any]] = {
    "Pod": {"metadata": META, "spec": POD_SPEC},
    "Deployment": {
        "metadata": META,
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": POD_SPEC},
        },
    },
    "ReplicaSet": {
        "metadata": META,
        "spec": {
            "selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": POD_SPEC},
        },
    },
    "Service": {"metadata": META, "spec": {"ports": [{"port": 80}], "selector": {"app": "web"}}},
    "Endpoints": {"metadata": META, "subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]},
    "EndpointSlice": {
        "metadata": META,
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"]}],
        "ports": [{"port": 80}],
    },
    "Namespace": {"metadata": {"name": "web"}},
    "Node": {"metadata": {"name": "n1.example"}, "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}},
    "ConfigMap": {"metadata": META, "data": {"a.b": "c"}},
    "Secret": {"metadata": META, "data": {"a": "eA=="}},
    "Event": {"metadata": META, "involvedObject": {"namespace": "default"}},
    "Lease": {"metadata": META, "spec": {"leaseDurationSeconds": 40}},
    "ServiceAccount": {"metadata": META},
    "SelfSubjectAccessReview": {"spec": {"resourceAttributes": {"verb": "get"}}},
    "SelfSubjectRulesReview": {"spec": {"namespace": "default"}},
    "SelfSubjectReview": {},
}
NONE: Any = object()


def changed(kind: str, path: str, value: Any) -> Any:
    """The good object of a kind with the value at a path (``a.b[0].c``) replaced, or removed for NONE."""
    whole = copy.deepcopy(GOOD[kind])
    place: Any = whole
    steps = [int(step) if step.isdigit() else step for step in path.replace("]", "").replace("[", ".").split(".")]
    for step in steps[:-1]:
        place = place[step] if isinstance(step, int) else place.setdefault(step, {})
    if value is NONE:
        del place[steps[-1]]
    else:
        place[steps[-1]] = value
    return apply_defaults(codec.from_builtins(kind, whole))


def good(kind: str) -> Any:
    return apply_defaults(codec.from_builtins(kind, copy.deepcopy(GOOD[kind])))


@pytest.mark.parametrize("kind", [kind.kind for kind in kinds.KINDS])
def test_a_good_object_passes(kind: str) -> None:
    assert validate_create(good(kind)) == ()
    assert validate_update(good(kind), good(kind)) == ()


C = "spec.containers[0]"
# kind, path of the change, its value, path of the complaint, a part of its message
BROKEN: list[tuple[str, str, Any, str, str]] = [
    ("Pod", "metadata.name", "Web", "metadata.name", 'Invalid value: "Web": a lowercase RFC 1123 subdomain'),
    ("Pod", "metadata.name", "", "metadata.name", "Required value: name or generateName is required"),
    ("Pod", "metadata.namespace", "", "metadata.namespace", "Required value"),
    ("Pod", "metadata.labels", {"a b": "c"}, "metadata.labels", "the name part must be"),
    ("Pod", "metadata.labels", {"a": "c d"}, "metadata.labels", "a label value must be"),
    ("Pod", "metadata.labels", {"/a": "c"}, "metadata.labels", "the prefix before '/'"),
    ("Pod", "metadata.annotations", {"a": "x" * 300_000}, "metadata.annotations", "Too long"),
    ("Pod", "metadata.finalizers", ["a b"], "metadata.finalizers[0]", "Invalid value"),
    ("Pod", "metadata.ownerReferences", [{"kind": "A"}], "metadata.ownerReferences[0].uid", "must not be empty"),
    ("Node", "metadata.namespace", "default", "metadata.namespace", "Forbidden: not allowed on this type"),
    ("Namespace", "metadata.name", "a.b", "metadata.name", "RFC 1123 label"),
    ("Service", "metadata.name", "1web", "metadata.name", "DNS-1035 label"),
    ("Pod", "spec.containers", [], "spec.containers", "Required value"),
    ("Pod", f"{C}.name", NONE, f"{C}.name", "Required value"),
    ("Pod", f"{C}.name", "a.b", f"{C}.name", "RFC 1123 label"),
    ("Pod", f"{C}.name", "init", f"{C}.name", 'Duplicate value: "init"'),
    ("Pod", f"{C}.image", NONE, f"{C}.image", "Required value"),
    ("Pod", f"{C}.image", " web", f"{C}.image", "whitespace"),
    ("Pod", f"{C}.imagePullPolicy", "Often", f"{C}.imagePullPolicy", 'supported values: "Always", "IfNotPresent"'),
    ("Pod", f"{C}.ports[0].containerPort", 70000, f"{C}.ports[0].containerPort", "between 1 and 65535"),
    ("Pod", f"{C}.ports[0].containerPort", NONE, f"{C}.ports[0].containerPort", "Required value"),
    ("Pod", f"{C}.ports[0].name", "a--b", f"{C}.ports[0].name", "Invalid value"),
    ("Pod", f"{C}.ports[0].protocol", "QUIC", f"{C}.ports[0].protocol", "Unsupported value"),
    ("Pod", f"{C}.env[0].name", "A=B", f"{C}.env[0].name", "without '='"),
    ("Pod", f"{C}.env[0].value", "x", f"{C}.env[0].valueFrom", "may not be specified when value is not empty"),
    (
        "Pod",
        f"{C}.env[0].valueFrom.fieldRef.fieldPath",
        "spec.secret",
        f"{C}.env[0].valueFrom.fieldRef.fieldPath",
        "Unsupported value",
    ),
    ("Pod", f"{C}.envFrom[0].configMapRef", {}, f"{C}.envFrom[0].configMapRef.name", "Required value"),
    ("Pod", f"{C}.envFrom[0].secretRef", {"name": "s"}, f"{C}.envFrom[0]", "exactly one of"),
    ("Pod", f"{C}.resources.requests.cpu", "2", f"{C}.resources.requests", "less than or equal to cpu limit of 1"),
    ("Pod", f"{C}.resources.limits.memory", "64MB", f"{C}.resources.limits[memory]", "is not a quantity"),
    ("Pod", f"{C}.resources.limits.memory", "-1", f"{C}.resources.limits[memory]", "greater than or equal to 0"),
    ("Pod", f"{C}.resources.limits.gpu", "1", f"{C}.resources.limits[gpu]", "standard resource for containers"),
    ("Pod", f"{C}.readinessProbe", {}, f"{C}.readinessProbe", "Required value: must specify a handler type"),
    ("Pod", f"{C}.readinessProbe.exec", {"command": ["a"]}, f"{C}.readinessProbe", "more than 1 handler type"),
    ("Pod", f"{C}.readinessProbe.httpGet.port", "htp", f"{C}.readinessProbe.httpGet.port", "no port of this container"),
    ("Pod", f"{C}.readinessProbe.periodSeconds", -1, f"{C}.readinessProbe.periodSeconds", "greater than or equal to 0"),
    (
        "Pod",
        f"{C}.livenessProbe",
        {"exec": {"command": ["a"]}, "successThreshold": 2},
        f"{C}.livenessProbe.successThreshold",
        "must be 1",
    ),
    ("Pod", f"{C}.lifecycle", {"preStop": {"exec": {}}}, f"{C}.lifecycle.preStop.exec.command", "Required value"),
    ("Pod", f"{C}.volumeMounts[0].name", "tpm", f"{C}.volumeMounts[0].name", 'Not found: "tpm"'),
    ("Pod", f"{C}.volumeMounts[0].mountPath", NONE, f"{C}.volumeMounts[0].mountPath", "Required value"),
    ("Pod", f"{C}.volumeMounts[0].subPath", "../x", f"{C}.volumeMounts[0].subPath", "must not contain '..'"),
    ("Pod", f"{C}.securityContext", {"runAsUser": -1}, f"{C}.securityContext.runAsUser", "must be between 0 and"),
    (
        "Pod",
        "spec.initContainers[0].readinessProbe",
        {"exec": {"command": ["a"]}},
        "spec.initContainers[0].readinessProbe",
        "Forbidden",
    ),
    ("Pod", "spec.volumes[0].hostPath", {"path": "/x"}, "spec.volumes[0].hostPath", "more than 1 volume type"),
    ("Pod", "spec.volumes[0].name", "A", "spec.volumes[0].name", "RFC 1123 label"),
    ("Pod", "spec.volumes[0].emptyDir.sizeLimit", "big", "spec.volumes[0].emptyDir.sizeLimit", "must be a quantity"),
    ("Pod", "spec.volumes[0]", {"name": "tmp", "secret": {}}, "spec.volumes[0].secret.secretName", "Required value"),
    (
        "Pod",
        "spec.volumes[0]",
        {"name": "tmp", "configMap": {"name": "c", "defaultMode": 512}},
        "spec.volumes[0].configMap.defaultMode",
        "0777",
    ),
    (
        "Pod",
        "spec.volumes[0]",
        {"name": "tmp", "hostPath": {"path": "/a/../b"}},
        "spec.volumes[0].hostPath.path",
        "'..'",
    ),
    ("Pod", "spec.restartPolicy", "Sometimes", "spec.restartPolicy", "Unsupported value"),
    (
        "Pod",
        "spec.terminationGracePeriodSeconds",
        -1,
        "spec.terminationGracePeriodSeconds",
        "greater than or equal to 0",
    ),
    ("Pod", "spec.tolerations[0].effect", "Never", "spec.tolerations[0].effect", "NoExecute"),
    ("Pod", "spec.tolerations[0].operator", "Like", "spec.tolerations[0].operator", "Unsupported value"),
    ("Pod", "spec.nodeSelector", {"a": "b c"}, "spec.nodeSelector", "a label value must be"),
    (
        "Pod",
        "spec.affinity",
        {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}},
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms",
        "at least one node selector term",
    ),
    ("Pod", "spec.dnsPolicy", "None", "spec.dnsConfig.nameservers", "at least one nameserver"),
    ("Pod", "spec.hostAliases", [{"ip": "x"}], "spec.hostAliases[0].ip", "valid IP address"),
    ("Pod", "spec.ephemeralContainers", [{"name": "d"}], "spec.ephemeralContainers", "cannot be set on create"),
    ("Deployment", "spec.replicas", -1, "spec.replicas", "Invalid value: -1: must be greater than or equal to 0"),
    ("Deployment", "spec.selector", NONE, "spec.selector", "Required value"),
    ("Deployment", "spec.selector", {}, "spec.selector", "empty selector"),
    (
        "Deployment",
        "spec.selector.matchLabels",
        {"app": "x"},
        "spec.template.metadata.labels",
        "does not match template `labels`",
    ),
    ("Deployment", "spec.strategy", {"type": "BlueGreen"}, "spec.strategy.type", "Unsupported value"),
    (
        "Deployment",
        "spec.strategy",
        {"type": "Recreate", "rollingUpdate": {}},
        "spec.strategy.rollingUpdate",
        "Forbidden",
    ),
    (
        "Deployment",
        "spec.strategy",
        {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}},
        "spec.strategy.rollingUpdate.maxUnavailable",
        "may not be 0 when `maxSurge` is 0",
    ),
    (
        "Deployment",
        "spec.strategy",
        {"rollingUpdate": {"maxUnavailable": "150%"}},
        "spec.strategy.rollingUpdate.maxUnavailable",
        "greater than 100%",
    ),
    (
        "Deployment",
        "spec.strategy",
        {"rollingUpdate": {"maxSurge": "x"}},
        "spec.strategy.rollingUpdate.maxSurge",
        "percent",
    ),
    ("Deployment", "spec.progressDeadlineSeconds", 0, "spec.progressDeadlineSeconds", "greater than minReadySeconds"),
    (
        "Deployment",
        "spec.template.spec.containers[0].ports[0].containerPort",
        0,
        "spec.template.spec.containers[0].ports[0].containerPort",
        "Required value",
    ),
    ("Deployment", "spec.template.spec.restartPolicy", "Never", "spec.template.spec.restartPolicy", '"Always"'),
    ("Service", "spec.ports", [], "spec.ports", "Required value"),
    ("Service", "spec.ports", [{"port": 80}, {"port": 81}], "spec.ports[0].name", "Required value"),
    ("Service", "spec.ports[0].port", 0, "spec.ports[0].port", "between 1 and 65535"),
    ("Service", "spec.ports[0].targetPort", "UP", "spec.ports[0].targetPort", "Invalid value"),
    ("Service", "spec.ports[0].nodePort", 30000, "spec.ports[0].nodePort", "when `type` is 'ClusterIP'"),
    (
        "Service",
        "spec.ports",
        [{"name": "a", "port": 80}, {"name": "b", "port": 80}],
        "spec.ports[1]",
        "Duplicate value",
    ),
    ("Service", "spec.type", "Magic", "spec.type", "Unsupported value"),
    ("Service", "spec.type", "ExternalName", "spec.externalName", "Required value"),
    ("Service", "spec.clusterIP", "1.2.3", "spec.clusterIP", "valid IP address"),
    ("Service", "spec.selector", {"a": "b c"}, "spec.selector", "a label value"),
    ("Service", "spec.sessionAffinity", "Cookie", "spec.sessionAffinity", "Unsupported value"),
    ("Endpoints", "subsets[0].addresses[0].ip", "x", "subsets[0].addresses[0].ip", "valid IP address"),
    ("EndpointSlice", "addressType", NONE, "addressType", "Required value"),
    ("EndpointSlice", "endpoints[0].addresses", [], "endpoints[0].addresses", "at least 1 address"),
    ("Node", "spec.taints[0].effect", "Never", "spec.taints[0].effect", "Unsupported value"),
    ("Node", "spec.podCIDRs", ["x"], "spec.podCIDRs[0]", "valid network"),
    ("ConfigMap", "data", {"a/b": "c"}, "data.a/b", "a key must consist of"),
    ("ConfigMap", "data", {"a": "x" * (1024 * 1024 + 1)}, "", "Too long"),
    ("ConfigMap", "binaryData", {"a.b": "eA=="}, "binaryData.a.b", "duplicate of key present in data"),
    ("Secret", "type", "kubernetes.io/tls", "data[tls.crt]", "Required value"),
    ("Secret", "data", {"..": "eA=="}, "data...", "must not start with '..'"),
    ("Event", "involvedObject.namespace", "other", "involvedObject.namespace", "does not match event.namespace"),
    ("Lease", "spec.leaseDurationSeconds", 0, "spec.leaseDurationSeconds", "greater than 0"),
    ("SelfSubjectAccessReview", "spec", {}, "spec.resourceAttributes", "exactly one of"),
]


@pytest.mark.parametrize(("kind", "path", "value", "field", "message"), BROKEN)
def test_a_broken_rule_is_named_by_its_field(kind: str, path: str, value: Any, field: str, message: str) -> None:
    causes = validate_create(changed(kind, path, value))
    assert any(cause.field == field and message in cause.message for cause in causes), causes


def test_every_broken_rule_is_named_at_once() -> None:
    pod = codec.from_builtins("Pod", {"metadata": {"name": "A"}, "spec": {"containers": [{"name": "B"}]}})
    fields = {cause.field for cause in validate_create(apply_defaults(pod))}
    assert fields == {"metadata.name", "metadata.namespace", f"{C}.name", f"{C}.image"}


# kind, path of the change, its value, path of the complaint
FROZEN: list[tuple[str, str, Any, str]] = [
    ("Pod", "metadata.name", "other", "metadata.name"),
    ("Pod", "metadata.uid", "other", "metadata.uid"),
    ("Pod", f"{C}.command", ["x"], "spec"),
    ("Pod", "spec.nodeName", "n1", "spec"),
    ("Pod", "spec.tolerations", [], "spec.tolerations"),
    ("Pod", "spec.restartPolicy", "Never", "spec"),
    ("Deployment", "spec.selector.matchLabels", {"app": "other"}, "spec.selector"),
    ("ReplicaSet", "spec.selector.matchExpressions[0].operator", "Exists", "spec.selector"),
    ("Secret", "type", "other", "type"),
    ("EndpointSlice", "addressType", "IPv6", "addressType"),
]


@pytest.mark.parametrize(("kind", "path", "value", "field"), FROZEN)
def test_what_never_changes_is_refused_in_an_update(kind: str, path: str, value: Any, field: str) -> None:
    causes = validate_update(good(kind), changed(kind, path, value))
    assert field in {cause.field for cause in causes}


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Pod", f"{C}.image", "web:2"),
        ("Pod", "metadata.labels", {"a": "b"}),
        ("Pod", "spec.activeDeadlineSeconds", 5),
        ("Deployment", "spec.replicas", 7),
        ("Deployment", "spec.template.spec.containers[0].image", "web:2"),
        ("Service", "spec.ports[0].port", 81),
        ("ConfigMap", "data", {"new": "1"}),
        ("Node", "spec.unschedulable", True),
    ],
)
def test_what_may_change_passes(kind: str, path: str, value: Any) -> None:
    assert validate_update(good(kind), changed(kind, path, value)) == ()


def test_a_toleration_may_be_added_and_its_seconds_changed() -> None:
    more = [*POD_SPEC["tolerations"], {"key": "b", "operator": "Exists"}]
    more[0] = {**more[0], "tolerationSeconds": 60}
    assert validate_update(good("Pod"), changed("Pod", "spec.tolerations", more)) == ()


def test_a_service_keeps_its_address_unless_it_gives_it_up() -> None:
    before = changed("Service", "spec.clusterIP", "10.0.0.1")
    assert validate_update(good("Service"), before) == ()
    moved = validate_update(before, changed("Service", "spec.clusterIP", "10.0.0.2"))
    assert {cause.field for cause in moved} == {"spec.clusterIP", "spec.clusterIPs[0]"}
    outside = {"type": "ExternalName", "externalName": "a.b"}
    assert validate_update(before, changed("Service", "spec", outside)) == ()


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_immutable_data_stays(kind: str) -> None:
    before = changed(kind, "immutable", True)
    assert validate_update(before, before) == ()
    assert {cause.field for cause in validate_update(before, good(kind))} == {"immutable"}
    data = {"data": {"new": "eA=="}, "immutable": True, "metadata": META}
    assert {cause.field for cause in validate_update(before, apply_defaults(codec.from_builtins(kind, data)))} == {
        "data"
    }


def test_a_node_keeps_its_range_of_addresses() -> None:
    before = changed("Node", "spec.podCIDR", "10.1.0.0/24")
    assert validate_update(good("Node"), before) == ()
    assert [cause.field for cause in validate_update(before, good("Node"))] == ["spec.podCIDR"]


def test_no_finalizer_joins_an_object_that_is_being_deleted() -> None:
    leaving = {**META, "deletionTimestamp": "2024-01-01T00:00:00Z", "finalizers": ["x/a"]}
    before = changed("ConfigMap", "metadata", leaving)
    more = changed("ConfigMap", "metadata", {**leaving, "finalizers": ["x/a", "x/b"]})
    fewer = changed("ConfigMap", "metadata", {**leaving, "finalizers": []})
    assert [cause.field for cause in validate_update(before, more)] == ["metadata.finalizers"]
    assert validate_update(before, fewer) == ()

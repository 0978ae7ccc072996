"""What is left unsaid becomes what Kubernetes' reference says, and saying it twice changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from orchestr8.api import codec, kinds
from orchestr8.api.defaults import apply_defaults, carry_over
from orchestr8.api.defaults.pod import pull_policy


def defaulted(kind: str, value: dict[str, Any]) -> dict[str, Any]:
    return codec.to_builtins(apply_defaults(codec.from_builtins(kind, value)))


PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
CONTAINER = {
    "name": "c",
    "image": "i:1",
    "imagePullPolicy": "IfNotPresent",
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "resources": {},
}
POD_SPEC = {
    "containers": [CONTAINER],
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "enableServiceLinks": True,
}


def test_a_pod_gets_its_defaults() -> None:
    pod = defaulted("Pod", {"spec": {"containers": [{"name": "c", "image": "i:1"}]}})
    assert pod["spec"] == POD_SPEC
    assert pod["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


def test_a_container_gets_the_defaults_of_its_parts() -> None:
    container = {
        "name": "c",
        "image": "i:1",
        "ports": [{"containerPort": 80}],
        "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "readinessProbe": {"httpGet": {"port": 80}},
        "livenessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 3},
        "lifecycle": {"preStop": {"httpGet": {"port": 80}}},
    }
    found = defaulted("Pod", {"spec": {"containers": [container], "initContainers": [container]}})["spec"]
    for filled in (found["containers"][0], found["initContainers"][0]):
        assert filled["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
        assert filled["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
        assert filled["readinessProbe"] == {**PROBE, "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}}
        assert filled["livenessProbe"] == {**PROBE, "tcpSocket": {"port": 80}, "periodSeconds": 3}
        assert filled["lifecycle"]["preStop"]["httpGet"] == {"path": "/", "port": 80, "scheme": "HTTP"}


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("web", "Always"),
        ("web:latest", "Always"),
        ("registry:5000/web", "Always"),
        ("registry:5000/web:1", "IfNotPresent"),
        ("web:1", "IfNotPresent"),
        ("web@sha256:abc", "IfNotPresent"),
        ("web:latest@sha256:abc", "IfNotPresent"),
    ],
)
def test_the_tag_decides_when_an_image_is_pulled(image: str, policy: str) -> None:
    assert pull_policy(image) == policy


def test_volumes_get_a_source_and_a_mode() -> None:
    volumes = [
        {"name": "a"},
        {"name": "b", "configMap": {"name": "x"}},
        {"name": "c", "secret": {"secretName": "x", "defaultMode": 0}},
        {"name": "d", "hostPath": {"path": "/x"}},
        {"name": "e", "nfs": {"server": "s", "path": "/"}},
    ]
    assert defaulted("Pod", {"spec": {"volumes": volumes}})["spec"]["volumes"] == [
        {"name": "a", "emptyDir": {}},
        {"name": "b", "configMap": {"name": "x", "defaultMode": 420}},
        {"name": "c", "secret": {"secretName": "x", "defaultMode": 0}},
        {"name": "d", "hostPath": {"path": "/x", "type": ""}},
        {"name": "e", "nfs": {"server": "s", "path": "/"}},
    ]


def test_a_pod_requests_what_it_limits_and_a_template_does_not() -> None:
    resources = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}
    spec = {"containers": [{"name": "c", "image": "i:1", "resources": resources}]}
    pod = defaulted("Pod", {"spec": spec})
    assert pod["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}
    replica_set = defaulted("ReplicaSet", {"spec": {"template": {"spec": spec}}})
    assert replica_set["spec"]["template"]["spec"]["containers"][0]["resources"] == resources


@pytest.mark.parametrize(
    ("resources", "qos"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "0"}}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m"}}, "Guaranteed"),
    ],
)
def test_resources_decide_the_quality_of_service(resources: dict[str, Any], qos: str) -> None:
    pod = defaulted("Pod", {"spec": {"containers": [{"name": "c", "resources": resources}]}})
    assert pod["status"]["qosClass"] == qos


def test_a_deployment_gets_its_defaults() -> None:
    found = defaulted("Deployment", {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i:1"}]}}}})
    assert found["spec"] == {
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
        "template": {"metadata": {}, "spec": POD_SPEC},
    }


def test_what_was_said_is_kept() -> None:
    spec = {"replicas": 0, "revisionHistoryLimit": 0, "strategy": {"type": "Recreate"}}
    found = defaulted("Deployment", {"spec": spec})["spec"]
    assert {key: found[key] for key in spec} == spec


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"ports": [{"port": 80}]},
            {
                "type": "ClusterIP",
                "sessionAffinity": "None",
                "internalTrafficPolicy": "Cluster",
                "ipFamilyPolicy": "SingleStack",
                "ipFamilies": ["IPv4"],
                "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
            },
        ),
        ({"type": "NodePort"}, {"externalTrafficPolicy": "Cluster"}),
        ({"type": "LoadBalancer"}, {"externalTrafficPolicy": "Cluster", "allocateLoadBalancerNodePorts": True}),
        ({"clusterIP": "None"}, {"clusterIPs": ["None"]}),
        ({"sessionAffinity": "ClientIP"}, {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}}}),
        (
            {"ports": [{"port": 80, "targetPort": "http"}]},
            {"ports": [{"port": 80, "protocol": "TCP", "targetPort": "http"}]},
        ),
    ],
)
def test_a_service_gets_its_defaults(spec: dict[str, Any], expected: dict[str, Any]) -> None:
    found = defaulted("Service", {"spec": spec})["spec"]
    assert {key: found.get(key) for key in expected} == expected


def test_an_external_name_has_no_cluster_settings() -> None:
    found = defaulted("Service", {"spec": {"type": "ExternalName", "externalName": "a.b"}})["spec"]
    assert found == {"type": "ExternalName", "externalName": "a.b", "sessionAffinity": "None"}


GIVEN = {
    "type": "NodePort",
    "clusterIP": "10.0.0.1",
    "ports": [{"port": 80, "nodePort": 30080}, {"port": 81, "nodePort": 30081}],
}


@pytest.mark.parametrize(
    ("spec", "cluster_ip", "node_ports"),
    [
        ({"type": "NodePort", "ports": [{"port": 80}, {"port": 82}]}, "10.0.0.1", [30080, None]),
        ({"type": "NodePort", "ports": [{"port": 80}, {"port": 82, "nodePort": 30080}]}, "10.0.0.1", [None, 30080]),
        ({"type": "ClusterIP", "ports": [{"port": 80}]}, "10.0.0.1", [None]),
        ({"type": "NodePort", "clusterIP": "10.0.0.2", "ports": [{"port": 81}]}, "10.0.0.2", [30081]),
        ({"type": "ExternalName", "externalName": "a.b"}, None, []),
    ],
)
def test_a_replaced_service_keeps_what_it_was_given(
    spec: dict[str, Any], cluster_ip: str | None, node_ports: list[int | None]
) -> None:
    old, new = (apply_defaults(codec.from_builtins("Service", {"spec": each})) for each in (GIVEN, spec))
    found = carry_over(old, new)
    assert found.spec.cluster_ip == cluster_ip
    assert [port.node_port for port in found.spec.ports] == node_ports


def test_a_namespace_is_held_by_its_finalizer_until_it_is_being_deleted() -> None:
    found = defaulted("Namespace", {"metadata": {"name": "a"}})
    assert found["spec"] == {"finalizers": ["kubernetes"]}
    assert found["status"] == {"phase": "Active"}
    assert found["metadata"]["labels"] == {"kubernetes.io/metadata.name": "a"}
    leaving = defaulted("Namespace", {"metadata": {"name": "a", "deletionTimestamp": "2024-01-01T00:00:00Z"}})
    assert leaving["spec"] == {}


def test_the_texts_of_a_secret_become_its_data() -> None:
    found = defaulted("Secret", {"data": {"a": "eA==", "b": "eA=="}, "stringData": {"b": "new"}})
    assert found["data"] == {"a": "eA==", "b": "bmV3"}
    assert found["type"] == "Opaque"
    assert "stringData" not in found


def test_a_node_offers_all_it_has() -> None:
    assert defaulted("Node", {"status": {"capacity": {"cpu": "2"}}})["status"]["allocatable"] == {"cpu": "2"}


FULL: dict[str, dict[str, Any]] = {
    "Deployment": {
        "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i"}], "volumes": [{"name": "v"}]}}}
    },
    "Pod": {"spec": {"hostNetwork": True, "containers": [{"name": "c", "ports": [{"containerPort": 80}]}]}},
    "Service": {"spec": {"ports": [{"port": 80}], "type": "LoadBalancer", "sessionAffinity": "ClientIP"}},
    "Secret": {"stringData": {"a": "b"}},
    "EndpointSlice": {"ports": [{"port": 80}]},
    "Endpoints": {"subsets": [{"ports": [{"port": 80}]}]},
}


@pytest.mark.parametrize("kind", [kind.kind for kind in kinds.KINDS])
def test_defaults_applied_twice_change_nothing_more(kind: str) -> None:
    once = apply_defaults(codec.from_builtins(kind, {"metadata": {"name": "a"}, **FULL.get(kind, {})}))
    assert apply_defaults(once) == once

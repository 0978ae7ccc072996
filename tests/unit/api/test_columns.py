"""Tables show what people know from kubectl."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from orchestr8.api import codec, kinds
from orchestr8.api.columns import Cell, columns, duration, row
from orchestr8.api.pod_summary import pod_status

NOW = dt.datetime(2024, 5, 1, 12, 0, 0, tzinfo=dt.UTC)
MADE = {"name": "x", "creationTimestamp": "2024-05-01T11:55:00Z"}


def cells(kind: str, **fields: Any) -> list[Cell]:
    value = {"metadata": MADE, **fields}
    return row(codec.from_builtins(kind, value), NOW)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-0.5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (303, "5m3s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (8 * 3600, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (52 * 3600, "2d4h"),
        (8 * 86400, "8d"),
        (729 * 86400, "729d"),
        (731 * 86400, "2y1d"),
        (3000 * 86400, "8y"),
    ],
)
def test_a_duration_is_told_in_two_figures_at_most(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def status(name: str = "c", ready: bool = False, **state: Any) -> dict[str, Any]:
    return {"name": name, "ready": ready, "state": state}


RUNNING = {"running": {}}
CRASHED = {"waiting": {"reason": "CrashLoopBackOff"}}
ENDED = {"terminated": {"exitCode": 0, "reason": "Completed"}}
INIT = {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}, {"name": "j"}]}
SIDECAR = {"containers": [{"name": "c"}], "initContainers": [{"name": "s", "restartPolicy": "Always"}]}
ONE = {"containers": [{"name": "c"}]}
TWO = {"containers": [{"name": "c"}, {"name": "d"}]}
LEAVING = {**MADE, "deletionTimestamp": "2024-05-01T12:00:00Z"}


@pytest.mark.parametrize(
    ("spec", "pod_state", "meta", "ready", "word"),
    [
        (ONE, {"phase": "Pending"}, MADE, "0/1", "Pending"),
        (
            ONE,
            {
                "phase": "Pending",
                "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}],
            },
            MADE,
            "0/1",
            "SchedulingGated",
        ),
        (
            ONE,
            {"phase": "Pending", "containerStatuses": [status(waiting={"reason": "ContainerCreating"})]},
            MADE,
            "0/1",
            "ContainerCreating",
        ),
        (ONE, {"phase": "Running", "containerStatuses": [status(ready=True, **RUNNING)]}, MADE, "1/1", "Running"),
        (ONE, {"phase": "Running", "containerStatuses": [status(**RUNNING)]}, MADE, "0/1", "Running"),
        (ONE, {"phase": "Running", "containerStatuses": [status(**CRASHED)]}, MADE, "0/1", "CrashLoopBackOff"),
        (
            ONE,
            {"phase": "Failed", "containerStatuses": [status(terminated={"exitCode": 3, "reason": "Error"})]},
            MADE,
            "0/1",
            "Error",
        ),
        (
            ONE,
            {"phase": "Failed", "containerStatuses": [status(terminated={"exitCode": 3})]},
            MADE,
            "0/1",
            "ExitCode:3",
        ),
        (
            ONE,
            {"phase": "Failed", "containerStatuses": [status(terminated={"exitCode": 137, "signal": 9})]},
            MADE,
            "0/1",
            "Signal:9",
        ),
        (ONE, {"phase": "Succeeded", "containerStatuses": [status(**ENDED)]}, MADE, "0/1", "Completed"),
        (
            TWO,
            {"phase": "Running", "containerStatuses": [status(**ENDED), status("d", ready=True, **RUNNING)]},
            MADE,
            "1/2",
            "NotReady",
        ),
        (
            TWO,
            {
                "phase": "Running",
                "containerStatuses": [status(**ENDED), status("d", ready=True, **RUNNING)],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
            MADE,
            "1/2",
            "Running",
        ),
        (ONE, {"phase": "Failed", "reason": "Evicted"}, MADE, "0/1", "Evicted"),
        (INIT, {"phase": "Pending", "initContainerStatuses": [status("i", **RUNNING)]}, MADE, "0/1", "Init:0/2"),
        (
            INIT,
            {"phase": "Pending", "initContainerStatuses": [status("i", **ENDED), status("j", **RUNNING)]},
            MADE,
            "0/1",
            "Init:1/2",
        ),
        (
            INIT,
            {"phase": "Pending", "initContainerStatuses": [status("i", **CRASHED)]},
            MADE,
            "0/1",
            "Init:CrashLoopBackOff",
        ),
        (
            INIT,
            {"phase": "Failed", "initContainerStatuses": [status("i", terminated={"exitCode": 2})]},
            MADE,
            "0/1",
            "Init:ExitCode:2",
        ),
        (
            INIT,
            {"phase": "Pending", "initContainerStatuses": [status("i", waiting={"reason": "PodInitializing"})]},
            MADE,
            "0/1",
            "Init:0/2",
        ),
        (
            SIDECAR,
            {
                "phase": "Running",
                "initContainerStatuses": [{**status("s", ready=True, **RUNNING), "started": True}],
                "containerStatuses": [status(ready=True, **RUNNING)],
            },
            MADE,
            "2/2",
            "Running",
        ),
        (
            ONE,
            {"phase": "Running", "containerStatuses": [status(ready=True, **RUNNING)]},
            LEAVING,
            "1/1",
            "Terminating",
        ),
        (ONE, {"phase": "Succeeded", "containerStatuses": [status(**ENDED)]}, LEAVING, "0/1", "Completed"),
        (ONE, {"phase": "Running", "reason": "NodeLost"}, LEAVING, "0/1", "Unknown"),
    ],
)
def test_a_pod_is_told_in_one_word(
    spec: dict[str, Any], pod_state: dict[str, Any], meta: dict[str, Any], ready: str, word: str
) -> None:
    pod = codec.from_builtins("Pod", {"metadata": meta, "spec": spec, "status": pod_state})
    summary = pod_status(pod)
    assert (f"{summary.ready}/{summary.total}", summary.reason) == (ready, word)


def test_a_pods_row_has_its_restarts_and_its_place() -> None:
    ended = {"terminated": {"exitCode": 1, "finishedAt": "2024-05-01T11:59:00Z"}}
    found = cells(
        "Pod",
        spec={"containers": [{"name": "c"}], "nodeName": "n1", "readinessGates": [{"conditionType": "a"}]},
        status={
            "phase": "Running",
            "podIP": "10.0.0.1",
            "containerStatuses": [{**status(ready=True, **RUNNING), "restartCount": 3, "lastState": ended}],
        },
    )
    assert found == ["x", "1/1", "Running", "3 (60s ago)", "5m", "10.0.0.1", "n1", "<none>", "0/1"]


TEMPLATE = {"spec": {"containers": [{"name": "a", "image": "i:1"}, {"name": "b", "image": "j:2"}]}}
SELECTOR = {"matchLabels": {"app": "web"}}


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        (
            "Deployment",
            {
                "spec": {"replicas": 3, "selector": SELECTOR, "template": TEMPLATE},
                "status": {"readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1},
            },
            ["x", "1/3", 2, 1, "5m", "a,b", "i:1,j:2", "app=web"],
        ),
        (
            "ReplicaSet",
            {"spec": {"replicas": 3, "selector": SELECTOR, "template": TEMPLATE}, "status": {"replicas": 2}},
            ["x", 3, 2, 0, "5m", "a,b", "i:1,j:2", "app=web"],
        ),
        (
            "Service",
            {
                "spec": {
                    "type": "NodePort",
                    "clusterIP": "10.0.0.1",
                    "selector": {"app": "web"},
                    "ports": [
                        {"port": 80, "nodePort": 30080, "protocol": "TCP"},
                        {"port": 53, "protocol": "UDP"},
                    ],
                }
            },
            ["x", "NodePort", "10.0.0.1", "<none>", "80:30080/TCP,53/UDP", "5m", "app=web"],
        ),
        (
            "Service",
            {"spec": {"type": "ExternalName", "externalName": "a.b"}},
            ["x", "ExternalName", "<none>", "a.b", "<none>", "5m", "<none>"],
        ),
        (
            "Service",
            {"spec": {"type": "LoadBalancer"}},
            ["x", "LoadBalancer", "<none>", "<pending>", "<none>", "5m", "<none>"],
        ),
        (
            "Endpoints",
            {
                "subsets": [
                    {"addresses": [{"ip": f"10.0.0.{number}"} for number in range(5)], "ports": [{"port": 80}]},
                ]
            },
            ["x", "10.0.0.0:80,10.0.0.1:80,10.0.0.2:80 + 2 more...", "5m"],
        ),
        ("Endpoints", {}, ["x", "<none>", "5m"]),
        (
            "EndpointSlice",
            {"addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": ["10.0.0.1"]}]},
            ["x", "IPv4", "80", "10.0.0.1", "5m"],
        ),
        ("EndpointSlice", {"addressType": "IPv4"}, ["x", "IPv4", "<unset>", "<unset>", "5m"]),
        ("Namespace", {"status": {"phase": "Active"}}, ["x", "Active", "5m"]),
        ("ConfigMap", {"data": {"a": "b"}, "binaryData": {"c": "eA=="}}, ["x", 2, "5m"]),
        ("Secret", {"type": "Opaque", "data": {"a": "eA=="}}, ["x", "Opaque", 1, "5m"]),
        ("ServiceAccount", {}, ["x", 0, "5m"]),
        ("Lease", {"spec": {"holderIdentity": "n1"}}, ["x", "n1", "5m"]),
        (
            "Event",
            {
                "type": "Warning",
                "reason": "Failed",
                "message": " no image\n",
                "involvedObject": {"kind": "Pod", "name": "web", "fieldPath": "spec.containers{c}"},
                "source": {"component": "agent", "host": "n1"},
                "firstTimestamp": "2024-05-01T11:50:00Z",
                "lastTimestamp": "2024-05-01T11:59:00Z",
                "count": 4,
            },
            ["60s", "Warning", "Failed", "pod/web", "spec.containers{c}", "agent, n1", "no image", "10m", 4, "x"],
        ),
        (
            "Event",
            {
                "involvedObject": {},
                "eventTime": "2024-05-01T11:50:00.000000Z",
                "reportingComponent": "scheduler",
                "series": {"count": 9, "lastObservedTime": "2024-05-01T11:59:00.000000Z"},
            },
            ["60s", "", "", "/", "", "scheduler", "", "10m", 9, "x"],
        ),
    ],
)
def test_a_row_shows_what_kubectl_shows(kind: str, fields: dict[str, Any], expected: list[Cell]) -> None:
    assert cells(kind, **fields) == expected


def node(conditions: list[dict[str, str]], **spec: Any) -> list[Cell]:
    return row(
        codec.from_builtins(
            "Node",
            {
                "metadata": {
                    **MADE,
                    "labels": {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/edge": ""},
                },
                "spec": spec,
                "status": {
                    "conditions": conditions,
                    "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
                    "nodeInfo": {"kubeletVersion": "v1", "osImage": "Debian"},
                },
            },
        ),
        NOW,
    )


def test_a_node_shows_whether_it_works_and_takes_pods() -> None:
    assert node([{"type": "Ready", "status": "True"}]) == [
        "x",
        "Ready",
        "edge,worker",
        "5m",
        "v1",
        "10.0.0.1",
        "<none>",
        "Debian",
        "<unknown>",
        "<unknown>",
    ]
    assert node([{"type": "Ready", "status": "Unknown"}])[1] == "NotReady"
    assert node([])[1] == "Unknown"
    assert node([{"type": "Ready", "status": "True"}], unschedulable=True)[1] == "Ready,SchedulingDisabled"


@pytest.mark.parametrize("kind", kinds.KINDS, ids=lambda kind: kind.kind)
def test_every_kind_has_as_many_cells_as_columns(kind: kinds.Kind) -> None:
    assert len(row(kind.cls(), NOW)) == len(columns(kind.kind))
    assert all(column.description for column in columns(kind.kind))

"""Each filter's yes and no, its words, and the words' agreement with the fast answer."""

from __future__ import annotations

from typing import Any

import pytest

from orchestr8.api.node import Node, Taint
from orchestr8.api.pod import ContainerPort, NodeSelectorRequirement, NodeSelectorTerm, Pod, Toleration
from orchestr8.master.scheduler.facts import NodeFacts
from orchestr8.master.scheduler.filters import DYNAMIC_FILTERS, STATIC_FILTERS, Cell
from tests.unit.master.scheduler.world import cluster, node, pod, term


def failed(wanting: Pod, on: Node, *there: Pod) -> list[Cell]:
    """The failed cells for one pod and one node; checks that the fast answers agree with them, filter by filter."""
    made = cluster([on], [wanting, *there])
    (facts,) = made.waiting()
    (target,) = made.nodes()
    assert isinstance(target, NodeFacts)
    usage, family = made.usage(target.name), facts.family
    cells: list[Cell] = []
    for static in STATIC_FILTERS:
        if static.relevant(family.needs):
            found = static.inspect(family.needs, target)
            assert static.passes(family.needs, target) == all(cell.ok for cell in found)
            cells += found
    for dynamic in DYNAMIC_FILTERS:
        if dynamic.relevant(family):
            found = dynamic.inspect(family, target, usage)
            assert dynamic.passes(family, target, usage) == all(cell.ok for cell in found)
            cells += found
    return [cell for cell in cells if not cell.ok]


def no_schedule(key: str = "gpu", value: str = "yes") -> Taint:
    return Taint(key=key, value=value, effect="NoSchedule")


def port(number: int, ip: str | None = None, protocol: str | None = None) -> ContainerPort:
    return ContainerPort(container_port=80, host_port=number, host_ip=ip, protocol=protocol)


FITS: list[tuple[str, dict[str, Any], dict[str, Any], list[Pod]]] = [
    ("an empty node", {}, {}, []),
    (
        "the last bit of room",
        {"cpu": "1", "memory": "1Gi"},
        {"cpu": "2", "memory": "2Gi"},
        [pod("x", cpu="1", memory="1Gi", on="n")],
    ),
    ("an overfull node, when nothing is asked", {}, {"cpu": "1"}, [pod("x", cpu="4", on="n")]),
    ("room that a finished pod left", {"cpu": "1"}, {"cpu": "1"}, [pod("x", cpu="1", on="n", phase="Succeeded")]),
    ("a selected label", {"selector": {"disk": "ssd"}}, {"labels": {"disk": "ssd", "a": "b"}}, []),
    (
        "a taint tolerated by value",
        {"tolerations": [Toleration(key="gpu", value="yes", effect="NoSchedule")]},
        {"taints": [no_schedule()]},
        [],
    ),
    (
        "a taint tolerated by existence",
        {"tolerations": [Toleration(key="gpu", operator="Exists")]},
        {"taints": [no_schedule()]},
        [],
    ),
    (
        "any taint for who tolerates all",
        {"tolerations": [Toleration(operator="Exists")]},
        {"taints": [no_schedule()], "cordoned": True, "ready": False},
        [],
    ),
    ("a taint that only prefers", {}, {"taints": [Taint(key="gpu", effect="PreferNoSchedule")]}, []),
    (
        "a port on another address",
        {"host_ports": [port(80, "10.0.0.1")]},
        {},
        [pod("x", host_ports=[port(80, "10.0.0.2")], on="n")],
    ),
    (
        "a port of another protocol",
        {"host_ports": [port(53, protocol="UDP")]},
        {},
        [pod("x", host_ports=[port(53)], on="n")],
    ),
    (
        "one of several terms",
        {"required": [term("disk", "In", "nvme"), term("disk", "Exists")]},
        {"labels": {"disk": "ssd"}},
        [],
    ),
    ("a label that is not there, for NotIn", {"required": [term("disk", "NotIn", "hdd")]}, {}, []),
    ("a number above", {"required": [term("cores", "Gt", "4")]}, {"labels": {"cores": "8"}}, []),
    ("a number below", {"required": [term("cores", "Lt", "4")]}, {"labels": {"cores": "2"}}, []),
    ("a device", {"requests": {"example.com/gpu": "1"}}, {"extended": {"example.com/gpu": "1"}}, []),
    (
        "its name as a field",
        {
            "required": [
                NodeSelectorTerm(
                    match_fields=(NodeSelectorRequirement(key="metadata.name", operator="In", values=("n",)),)
                )
            ]
        },
        {},
        [],
    ),
]

FITS_NOT: list[tuple[str, dict[str, Any], dict[str, Any], list[Pod]]] = [
    ("node(s) were not ready", {}, {"ready": False}, []),
    ("node(s) were unschedulable", {}, {"cordoned": True}, []),
    (
        "node(s) were unschedulable",
        {},
        {"cordoned": True, "taints": [Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")]},
        [],
    ),
    ("node(s) had untolerated taint {gpu: yes}", {}, {"taints": [no_schedule()]}, []),
    (
        "node(s) had untolerated taint {gpu: yes}",
        {},
        {"taints": [Taint(key="gpu", value="yes", effect="NoExecute")]},
        [],
    ),
    (
        "node(s) had untolerated taint {gpu: yes}",
        {"tolerations": [Toleration(key="gpu", value="no")]},
        {"taints": [no_schedule()]},
        [],
    ),
    (
        "node(s) had untolerated taint {gpu: yes}",
        {"tolerations": [Toleration(key="gpu", operator="Exists", effect="NoExecute")]},
        {"taints": [no_schedule()]},
        [],
    ),
    (
        "node(s) didn't match Pod's node affinity/selector",
        {"selector": {"disk": "ssd"}},
        {"labels": {"disk": "hdd"}},
        [],
    ),
    (
        "node(s) didn't match Pod's node affinity/selector",
        {"required": [term("disk", "DoesNotExist")]},
        {"labels": {"disk": "hdd"}},
        [],
    ),
    (
        "node(s) didn't match Pod's node affinity/selector",
        {"required": [term("cores", "Gt", "4")]},
        {"labels": {"cores": "many"}},
        [],
    ),
    (
        "node(s) didn't match Pod's node affinity/selector",
        {"required": [term("cores", "Gt", "4")]},
        {"labels": {"cores": "4"}},
        [],
    ),
    ("node(s) didn't match Pod's node affinity/selector", {"required": []}, {}, []),
    ("node(s) didn't match Pod's node affinity/selector", {"required": [NodeSelectorTerm()]}, {}, []),
    ("Insufficient cpu", {"cpu": "1001m"}, {"cpu": "2"}, [pod("x", cpu="1", on="n")]),
    ("Insufficient memory", {"memory": "2Gi"}, {"memory": "1Gi"}, []),
    ("Insufficient ephemeral-storage", {"requests": {"ephemeral-storage": "51Gi"}}, {}, []),
    ("Insufficient example.com/gpu", {"requests": {"example.com/gpu": "1"}}, {}, []),
    ("Too many pods", {}, {"pods": "1"}, [pod("x", on="n")]),
    (
        "node(s) didn't have free ports for the requested pod ports",
        {"host_ports": [port(80)]},
        {},
        [pod("x", host_ports=[port(80, "10.0.0.2")], on="n")],
    ),
    (
        "node(s) didn't have free ports for the requested pod ports",
        {"host_ports": [port(80, "10.0.0.2", "TCP")]},
        {},
        [pod("x", host_ports=[port(80, "10.0.0.2")], on="n")],
    ),
]


@pytest.mark.parametrize(("what", "wanting", "on", "there"), FITS, ids=[row[0] for row in FITS])
def test_a_pod_fits_on(what: str, wanting: dict[str, Any], on: dict[str, Any], there: list[Pod]) -> None:
    assert failed(pod("p", **wanting), node("n", **on), *there) == []


@pytest.mark.parametrize(("summary", "wanting", "on", "there"), FITS_NOT)
def test_a_pod_fits_not_because(summary: str, wanting: dict[str, Any], on: dict[str, Any], there: list[Pod]) -> None:
    (cell,) = failed(pod("p", **wanting), node("n", **on), *there)
    assert cell.summary == summary
    assert cell.detail and cell.remedy


def test_every_reason_of_a_node_is_told_not_only_the_first() -> None:
    wanting = pod("p", cpu="9", memory="99Gi", selector={"disk": "ssd"})
    on = node("n", ready=False, cordoned=True, taints=[no_schedule()])
    assert [cell.column.split()[0] for cell in failed(wanting, on)] == [
        "ready",
        "cordon",
        "taint",
        "selector",
        "cpu",
        "memory",
    ]

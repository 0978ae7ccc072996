"""``orchestr8 why``: every node with all its failed filters, and what would help."""

from __future__ import annotations

import datetime as dt

import pytest

from orchestr8.api.node import Taint
from orchestr8.errors import NotFound
from orchestr8.master.scheduler.cycle import schedule
from orchestr8.master.scheduler.explain import explain, table
from orchestr8.master.scheduler.filters import Wake
from tests.unit.master.nodes.fakes import FakeStore
from tests.unit.master.scheduler.world import NOON, cluster, node, pod, waiting


def stored(*objects: object) -> FakeStore:
    store = FakeStore()
    store.put(*objects)
    return store


def test_the_table_shows_every_node_with_all_that_is_wrong_and_what_would_help() -> None:
    store = stored(
        node("w1", cpu="4", labels={"disk": "ssd"}),
        node("w2", cpu="4", labels={"disk": "hdd"}),
        node("m1", cpu="1", taints=[Taint(key="master", effect="NoSchedule")], cordoned=True),
        pod("busy", cpu="3600m", on="w1"),
        pod("web", cpu="2", memory="1Gi", selector={"disk": "ssd"}),
    )
    explanation = explain(store.view(), "default", "web")
    assert explanation.state == "Pending"
    text = table(explanation, NOON + dt.timedelta(minutes=3))
    assert text.splitlines() == [
        "Pending 3 m: 0 of 3 nodes fit.",
        "NODE  ready  cordon      taint                selector disk=ssd  cpu 2       memory 1Gi  pods     score",
        "m1    ✓      ✗ cordoned  ✗ master:NoSchedule  ✗ no label disk    ✗ 1 free    ✓ 8Gi       ✓ 0/110  -",
        "w1    ✓      ✓           ✓                    ✓                  ✗ 0.4 free  ✓ 8Gi       ✓ 1/110  -",
        "w2    ✓      ✓           ✓                    ✗ has disk=hdd     ✓ 4         ✓ 8Gi       ✓ 0/110  -",
        "Would fit if:  w1 had 1.6 cpu more | kubectl label node w2 disk=ssd",
    ]


def test_two_small_wrongs_are_told_together_and_many_are_not_a_hint() -> None:
    store = stored(
        node("near", cordoned=True, cpu="1"),
        node("far", cordoned=True, cpu="1", memory="1Gi", ready=False),
        pod("web", cpu="2", memory="2Gi"),
    )
    assert explain(store.view(), "default", "web").hints == ("kubectl uncordon near and near had 1 cpu more",)


def test_a_bound_pod_is_rated_as_if_it_were_not_there_yet() -> None:
    store = stored(node("a", cpu="2"), node("b", cpu="4"), pod("web", cpu="2", on="a"))
    explanation = explain(store.view(), "default", "web")
    assert explanation.state == "Bound"
    assert "on node a; 2 of 2 nodes would fit" in explanation.headline
    assert [answer.node for answer in explanation.nodes] == ["b", "a"]
    assert explanation.nodes[0].scores.keys() == {"taints", "image", "free"}
    assert explanation.hints == ()


def test_gates_are_named() -> None:
    store = stored(node("a"), pod("web", gates=["example.com/quota"]))
    explanation = explain(store.view(), "default", "web")
    assert (explanation.state, explanation.headline) == (
        "Gated",
        "held back by its scheduling gates: example.com/quota.",
    )


def test_without_nodes_the_reader_learns_what_to_do() -> None:
    text = table(explain(stored(pod("web")).view(), "default", "web"), NOON)
    assert text == ("Pending 0 s: no nodes available to schedule pods: no worker has joined yet (orchestr8 join).")


def test_a_pod_that_is_not_there() -> None:
    with pytest.raises(NotFound, match='pod "web" not found'):
        explain(stored().view(), "default", "web")


def test_the_condition_counts_reasons_over_nodes_and_names_what_may_help() -> None:
    made = cluster(
        [node("a", cpu="1"), node("b", cpu="1", cordoned=True), node("c", labels={"disk": "hdd"})],
        [pod("web", cpu="2", selector={"disk": "ssd"})],
    )
    ((_, refusal),) = schedule(waiting(made), made).explanations
    assert refusal.message == (
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu, "
        "3 node(s) didn't match Pod's node affinity/selector."
    )
    assert refusal.wake == (Wake.NODE_ADDED | Wake.NODE_TAINTS | Wake.NODE_LABELS | Wake.NODE_CAPACITY | Wake.POD_GONE)

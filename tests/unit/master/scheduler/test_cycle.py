"""Placing pods: where they go, in which order, and that the fast search agrees with the slow, obvious one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr8.api.node import Taint
from orchestr8.api.pod import ContainerPort, PreferredSchedulingTerm, Toleration
from orchestr8.master.scheduler import cycle
from orchestr8.master.scheduler.cluster import Cluster
from orchestr8.master.scheduler.cycle import in_order, schedule
from orchestr8.master.scheduler.facts import NodeFacts, PodFacts, Usage
from orchestr8.master.scheduler.filters import DYNAMIC_FILTERS, STATIC_FILTERS
from orchestr8.master.scheduler.scores import DYNAMIC_SCORES, STATIC_SCORES, ZONE_WEIGHT, zone_rating
from tests.unit.master.scheduler.world import cluster, node, pod, term, waiting


def placed(made: Cluster) -> dict[str, str]:
    return {binding.pod.name: binding.node_name for binding in schedule(waiting(made), made).bindings}


def test_a_pod_goes_to_the_node_with_the_most_free_room() -> None:
    made = cluster([node("a"), node("b")], [pod("busy", cpu="2", memory="4Gi", on="a"), pod("new", cpu="1")])
    assert placed(made) == {"new": "b"}


def test_pods_that_request_nothing_are_spread_all_the_same() -> None:
    made = cluster([node("a"), node("b"), node("c")], [pod(f"p{i}", owner="web") for i in range(6)])
    assert sorted(placed(made).values()) == ["a", "a", "b", "b", "c", "c"]


def test_pods_of_one_controller_are_spread_over_zones_before_nodes() -> None:
    nodes = [node("a", zone="x"), node("b", zone="x"), node("c", zone="x"), node("d", zone="y")]
    made = cluster(nodes, [pod(f"p{i}", owner="web") for i in range(4)])
    assert sorted(placed(made).values()).count("d") == 2


def test_higher_priority_is_placed_first_and_then_the_older_pod() -> None:
    made = cluster(
        [node("a", cpu="2")],
        [
            pod("young", cpu="1", age=1),
            pod("old", cpu="1", age=50),
            pod("important", cpu="1", age=0, priority=10),
        ],
    )
    assert sorted(placed(made)) == ["important", "old"]


def test_a_round_never_overfills_a_node() -> None:
    made = cluster(
        [node("a", cpu="3", pods="10"), node("b", cpu="2", pods="1")], [pod(f"p{i}", cpu="1") for i in range(9)]
    )
    assert sorted(placed(made).values()) == ["a", "a", "a", "b"]


def test_the_cluster_is_not_changed_by_a_round() -> None:
    made = cluster([node("a")], [pod("p", cpu="1")])
    before = made.usage("a")
    assert placed(made) == placed(made) == {"p": "a"}
    assert made.usage("a") == before


def test_pods_of_a_family_that_fits_nowhere_share_one_explanation() -> None:
    made = cluster([node("a", cpu="1")], [pod(f"p{i}", cpu="4", owner="big") for i in range(3)])
    plan = schedule(waiting(made), made)
    assert [facts.name for facts, _ in plan.explanations] == ["p0", "p1", "p2"]
    assert len({id(refusal) for _, refusal in plan.explanations}) == 1


def test_without_any_node_nothing_is_placed() -> None:
    made = cluster([], [pod("p")])
    ((_, refusal),) = schedule(waiting(made), made).explanations
    assert "no nodes available" in refusal.message


def test_a_sampled_search_goes_on_where_the_last_one_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cycle, "SAMPLE_ABOVE_NODES", 10)
    monkeypatch.setattr(cycle, "_SAMPLE_NODES_MIN", 5)
    made = cluster([node(f"n{i:02}") for i in range(20)], [pod("p")])
    first = schedule(waiting(made), made, 0)
    second = schedule(waiting(made), made, first.cursor)
    assert first.cursor == 5
    assert (first.bindings[0].node_name, second.bindings[0].node_name) == ("n00", "n05")


def test_a_sampled_search_looks_everywhere_before_it_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cycle, "SAMPLE_ABOVE_NODES", 10)
    monkeypatch.setattr(cycle, "_SAMPLE_NODES_MIN", 2)
    nodes = [node(f"n{i:02}", cpu="1") for i in range(40)]
    made = cluster(nodes, [pod(f"p{i}", cpu="1", owner="web") for i in range(20)])
    assert len(placed(made)) == 20


# -- the slow, obvious version ------------------------------------------------------------------------------


def fits(each: PodFacts, on: NodeFacts, usage: Usage) -> bool:
    needs = each.family.needs
    static = [cell for f in STATIC_FILTERS if f.relevant(needs) for cell in f.inspect(needs, on)]
    dynamic = [cell for f in DYNAMIC_FILTERS if f.relevant(each.family) for cell in f.inspect(each.family, on, usage)]
    return all(cell.ok for cell in static + dynamic)


def rating(each: PodFacts, on: NodeFacts, usage: Usage) -> int:
    needs = each.family.needs
    static = sum(s.weight * s.rate(needs, on) for s in STATIC_SCORES if s.relevant(needs))
    return static + sum(s.weight * s.rate(each.family, on, usage) for s in DYNAMIC_SCORES if s.relevant(each.family))


def greedy(made: Cluster) -> dict[str, tuple[str, frozenset[str], int]]:
    """Pod to (node, nodes where it fitted, score), looking at every node for every pod."""
    nodes = made.nodes()
    usage = {each.name: made.usage(each.name) for each in nodes}
    zoned = len({each.zone for each in nodes}) > 1
    answer = {}
    for each in in_order(waiting(made)):
        feasible = [on for on in nodes if fits(each, on, usage[on.name])]
        if not feasible:
            continue
        total = {on.name: rating(each, on, usage[on.name]) for on in feasible}
        with_zone = dict(total)
        if each.family.owner and zoned:
            count = dict.fromkeys({on.zone for on in nodes}, 0)
            for on in nodes:
                count[on.zone] += usage[on.name].owners.get(each.family.owner, 0)
            fewest = min(count[on.zone] for on in feasible)
            for on in feasible:
                with_zone[on.name] += ZONE_WEIGHT * zone_rating(count[on.zone], fewest)
        best = max(feasible, key=lambda on: (with_zone[on.name], [-ord(c) for c in on.name])).name
        usage[best] = usage[best].plus(each.family)
        answer[each.name] = (best, frozenset(total), total[best])
    return answer


nodes_strategy = st.lists(
    st.builds(
        dict,
        cpu=st.sampled_from(["1", "2", "4500m"]),
        memory=st.sampled_from(["1Gi", "4Gi"]),
        pods=st.sampled_from(["1", "3", "110"]),
        labels=st.sampled_from([{}, {"disk": "ssd"}, {"disk": "hdd", "n": "5"}]),
        zone=st.sampled_from(["", "x", "y"]),
        cordoned=st.sampled_from([False] * 5 + [True]),
        ready=st.sampled_from([True] * 5 + [False]),
        taints=st.sampled_from(
            [
                (),
                (),
                (),
                (Taint(key="t", effect="NoSchedule"),),
                (Taint(key="t", value="v", effect="PreferNoSchedule"),),
            ]
        ),
        images=st.sampled_from([{}, {"web": 500 << 20}]),
    ),
    min_size=1,
    max_size=8,
)
pods_strategy = st.lists(
    st.builds(
        dict,
        cpu=st.sampled_from(["", "100m", "100m", "1"]),
        memory=st.sampled_from(["", "64Mi", "1Gi"]),
        owner=st.sampled_from(["", "rs1", "rs1", "rs2"]),
        selector=st.sampled_from([None, None, {"disk": "ssd"}]),
        required=st.sampled_from(
            [None, None, None, (term("disk", "NotIn", "hdd"),), (term("n", "Gt", "4"), term("disk", "Exists"))]
        ),
        preferred=st.sampled_from([(), (PreferredSchedulingTerm(weight=3, preference=term("disk", "In", "ssd")),)]),
        tolerations=st.sampled_from([(), (Toleration(key="t", operator="Exists"),)]),
        host_ports=st.sampled_from([(), (), (), (ContainerPort(container_port=80, host_port=80),)]),
        priority=st.sampled_from([None, 5]),
        age=st.integers(0, 2),
        on=st.sampled_from(["", "", "", "n0", "n1"]),
    ),
    min_size=4,
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(nodes_strategy, pods_strategy)
def test_the_fast_search_places_every_pod_where_looking_at_every_node_would(
    nodes: list[dict], pods: list[dict]
) -> None:
    made = cluster(
        [node(f"n{i}", **each) for i, each in enumerate(nodes)],
        [pod(f"p{i}", **each) for i, each in enumerate(pods)],
    )
    slow = greedy(made)
    plan = schedule(waiting(made), made)
    assert {b.pod.name: (b.node_name, b.score) for b in plan.bindings} == {p: (n, s) for p, (n, _, s) in slow.items()}
    assert {facts.name for facts, _ in plan.explanations} == {p.name for p in waiting(made)} - set(slow)


@settings(max_examples=50, deadline=None)
@given(nodes_strategy, pods_strategy, st.data())
def test_answers_kept_from_earlier_rounds_change_nothing(
    nodes: list[dict], pods: list[dict], data: st.DataObject
) -> None:
    made = cluster(
        [node(f"n{i}", **each) for i, each in enumerate(nodes)],
        [pod(f"p{i}", **each) for i, each in enumerate(pods)],
    )
    schedule(waiting(made), made)
    changed = data.draw(nodes_strategy)[0]
    made.put_node(node("n0", **changed))
    nodes = [changed, *nodes[1:]]
    fresh = cluster(
        [node(f"n{i}", **each) for i, each in enumerate(nodes)],
        [pod(f"p{i}", **each) for i, each in enumerate(pods)],
    )
    assert placed(made) == placed(fresh)

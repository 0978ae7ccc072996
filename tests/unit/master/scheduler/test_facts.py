"""What is read from objects: requests, families, and usage that follows every change."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr8.api.pod import Container, ContainerPort, Pod, ResourceRequirements
from orchestr8.master.scheduler.cluster import Cluster
from orchestr8.master.scheduler.facts import Demand, Families, demand_of
from orchestr8.master.scheduler.filters import Wake
from tests.unit.master.nodes.fakes import FakeStore, key_of
from tests.unit.master.scheduler.world import cluster, node, pod


def container(name: str, cpu: str, *, restart: str | None = None) -> Container:
    return Container(name=name, resources=ResourceRequirements(requests={"cpu": cpu}), restart_policy=restart)


def with_containers(*containers: Container, init: tuple[Container, ...] = (), overhead: str = "") -> Pod:
    base = pod("p")
    spec = msgspec.structs.replace(
        base.spec, containers=containers, init_containers=init, overhead={"cpu": overhead} if overhead else {}
    )
    return msgspec.structs.replace(base, spec=spec)


def test_a_pod_takes_the_sum_of_its_containers_and_its_overhead() -> None:
    made = with_containers(container("a", "100m"), container("b", "250m"), overhead="50m")
    assert demand_of(made).cpu_millis == 400


def test_an_init_container_counts_only_where_it_is_the_peak() -> None:
    assert demand_of(with_containers(container("a", "1"), init=(container("i", "2"),))).cpu_millis == 2000
    assert demand_of(with_containers(container("a", "3"), init=(container("i", "2"),))).cpu_millis == 3000


def test_a_sidecar_runs_beside_later_init_containers_and_the_containers() -> None:
    init = (container("first", "4"), container("side", "1", restart="Always"), container("later", "2"))
    assert demand_of(with_containers(container("a", "500m"), init=init)).cpu_millis == 4000
    assert demand_of(with_containers(container("a", "3500m"), init=init)).cpu_millis == 4500


def test_what_is_no_quantity_counts_as_nothing() -> None:
    assert demand_of(pod("p", cpu="lots")) == Demand()
    assert cluster([node("a", cpu="lots")]).nodes()[0].cpu_millis == 0


def test_pods_of_one_template_and_owner_are_one_family() -> None:
    families = Families()
    one, two = (families.read(pod(name, cpu="1", owner="rs", selector={"a": "b"})) for name in ("p1", "p2"))
    other_owner = families.read(pod("p3", cpu="1", owner="rs2", selector={"a": "b"}))
    other_demand = families.read(pod("p4", cpu="2", owner="rs", selector={"a": "b"}))
    assert one.family is two.family
    assert other_owner.family is not one.family and other_owner.family.needs is one.family.needs
    assert other_demand.family is not one.family and other_demand.family.needs is one.family.needs


def test_families_are_forgotten_with_their_last_pod() -> None:
    families = Families()
    facts = families.read(pod("p"))
    assert len(families._families) == 1
    del facts
    assert len(families._families) == 0


# -- the cache of the cluster ---------------------------------------------------------------------------------

names = st.sampled_from(["a", "b", "c"])
pods = st.builds(
    pod,
    names,
    cpu=st.sampled_from(["", "100m", "2"]),
    on=st.sampled_from(["", "n1", "n2"]),
    owner=st.sampled_from(["", "rs"]),
    phase=st.sampled_from(["Pending", "Running", "Succeeded"]),
    host_ports=st.sampled_from([(), (ContainerPort(container_port=80, host_port=80),)]),
    requests=st.sampled_from([None, {"example.com/gpu": "1"}]),
)
nodes = st.builds(
    node, st.sampled_from(["n1", "n2"]), cpu=st.sampled_from(["1", "4"]), labels=st.sampled_from([{}, {"disk": "ssd"}])
)
steps = st.lists(
    st.tuples(st.sampled_from(["put", "put", "put", "delete"]), st.one_of(pods, nodes)), min_size=5, max_size=40
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_following_changes_gives_what_a_fresh_look_gives(script: list[tuple[str, Any]]) -> None:
    store = FakeStore()
    followed = Cluster.from_view(store.view())
    for verb, obj in script:
        if verb == "put":
            store.put(obj)
        elif store.view().stored(*key_of(obj)) is not None:
            store.delete(obj)
        for change in store.state.since(followed.revision):
            followed.apply(change)
    fresh = Cluster.from_view(store.view())
    assert [(each.name, each.cpu_millis, each.labels) for each in followed.nodes()] == [
        (each.name, each.cpu_millis, each.labels) for each in fresh.nodes()
    ]
    for name in ("n1", "n2"):
        one, other = followed.usage(name), fresh.usage(name)
        assert msgspec.structs.replace(one, ports=tuple(sorted(one.ports)), extended=_some(one.extended)) == (
            msgspec.structs.replace(other, ports=tuple(sorted(other.ports)), extended=_some(other.extended))
        )
    assert {pod.key for pod in followed.waiting()} == {pod.key for pod in fresh.waiting()}


def _some(amounts: dict[str, int]) -> dict[str, int]:
    return {name: amount for name, amount in amounts.items() if amount}


def test_changes_say_whom_they_may_help() -> None:
    made = cluster([node("a")], [pod("p", cpu="1", on="a")])
    assert made.put_node(node("b")) == Wake.NODE_ADDED
    assert made.put_node(node("b")) == Wake.NONE
    assert made.put_node(node("b", labels={"x": "y"})) == Wake.NODE_LABELS
    assert made.put_node(node("b", labels={"x": "y"}, cpu="8")) == Wake.NODE_CAPACITY
    assert made.put_node(node("b", labels={"x": "y"}, cpu="2", ready=False)) == Wake.NONE
    assert made.put_node(node("b", labels={"x": "y"}, cpu="2")) == Wake.NODE_READY
    assert made.put_node(node("b", labels={"x": "y"}, cpu="2", cordoned=True)) == Wake.NONE
    assert made.put_node(node("b", labels={"x": "y"}, cpu="2")) == Wake.NODE_TAINTS
    assert made.put_pod(pod("p", cpu="1", on="a", phase="Running")) == Wake.NONE
    assert made.put_pod(pod("p", cpu="1", on="a", phase="Succeeded")) == Wake.POD_GONE
    assert made.remove_pod("default", "p") == Wake.NONE

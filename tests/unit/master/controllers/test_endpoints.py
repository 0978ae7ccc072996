from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr8.api.meta import ObjectMeta, with_metadata
from orchestr8.api.pod import Pod
from orchestr8.api.service import Endpoints, EndpointSlice, Service, ServicePort, ServiceSpec
from orchestr8.master.controllers import endpoint_slices, endpoints
from orchestr8.store.command import Key
from tests.unit.master.controllers.world import World, pod

WEB = Key("Service", "default", "web")


def service(**spec):
    values = {"selector": {"app": "web"}, "ports": (ServicePort(port=80, target_port=8080),), **spec}
    return Service(metadata=ObjectMeta(name="web", namespace="default"), spec=ServiceSpec(**values))


def running(world, name, ready=True, **meta):
    return world.set_ready(world.put(pod(name, on="n1", **meta)), ready=ready)


def settle(world):
    world.settle(endpoints.decide, WEB)


def conditions(world):
    """Pod name to (ready, serving, terminating), over all slices."""
    return {
        each.target_ref.name: (each.conditions.ready, each.conditions.serving, each.conditions.terminating)
        for part in world.list(EndpointSlice)
        for each in part.endpoints
    }


def test_a_ready_pod_is_a_ready_endpoint_with_its_address_port_and_node():
    world = World()
    world.put(service())
    ready = running(world, "a")
    settle(world)
    (part,) = world.list(EndpointSlice)
    assert part.metadata.labels["kubernetes.io/service-name"] == "web"
    assert part.metadata.owner_references[0].name == "web"
    assert [(port.port, port.protocol) for port in part.ports] == [(8080, "TCP")]
    (endpoint,) = part.endpoints
    assert endpoint.addresses == (ready.status.pod_ip,)
    assert (endpoint.node_name, endpoint.target_ref.uid) == ("n1", ready.metadata.uid)
    assert conditions(world) == {"a": (True, True, False)}


def test_a_pod_that_is_not_ready_or_is_ending_takes_no_new_traffic():
    world = World()
    world.put(service())
    running(world, "a", ready=False)
    ending = running(world, "b")
    world.put(with_metadata(ending, deletion_timestamp=world.now.wall))
    settle(world)
    assert conditions(world) == {"a": (False, False, False), "b": (False, True, True)}


def test_pods_that_finished_have_no_address_or_are_not_selected_are_no_endpoints():
    world = World()
    world.put(service())
    world.change(running(world, "finished"), status={"phase": "Succeeded"})
    world.put(pod("no-address"))
    running(world, "stranger", labels={"app": "db"})
    settle(world)
    assert conditions(world) == {}
    assert len(world.list(EndpointSlice)) == 1


def test_not_ready_addresses_are_published_when_the_service_asks_for_it():
    world = World()
    world.put(service(publish_not_ready_addresses=True))
    running(world, "a", ready=False)
    settle(world)
    assert conditions(world) == {"a": (True, False, False)}


def test_a_named_port_is_looked_up_in_each_pod():
    world = World()
    world.put(service(ports=(ServicePort(port=80, target_port="http"), ServicePort(port=81, target_port="none"))))
    running(world, "a")
    settle(world)
    (part,) = world.list(EndpointSlice)
    assert [port.port for port in part.ports] == [8080]


def test_endpoints_show_the_same_for_people():
    world = World()
    world.put(service())
    ready, waiting = running(world, "a"), running(world, "b", ready=False)
    settle(world)
    (subset,) = world.get(Endpoints, "web").subsets
    assert [each.ip for each in subset.addresses] == [ready.status.pod_ip]
    assert [each.ip for each in subset.not_ready_addresses] == [waiting.status.pod_ip]
    assert subset.ports[0].port == 8080


def test_a_service_without_selector_is_left_to_its_user():
    world = World()
    world.put(service(selector={}))
    mine = world.put(Endpoints(metadata=ObjectMeta(name="web", namespace="default")))
    settle(world)
    assert world.list(Endpoints) == [mine]
    assert world.list(EndpointSlice) == []


def test_endpoints_go_with_their_service_but_not_those_of_a_user():
    world = World()
    made = world.put(service())
    settle(world)
    world.remove(made)
    settle(world)
    assert world.list(Endpoints) == []
    mine = world.put(Endpoints(metadata=ObjectMeta(name="web", namespace="default")))
    settle(world)
    assert world.list(Endpoints) == [mine]


def test_one_change_among_many_endpoints_rewrites_one_slice():
    world = World()
    world.put(service())
    for number in range(250):
        running(world, f"p{number:03}")
    settle(world)
    assert [len(part.endpoints) for part in world.list(EndpointSlice)].count(100) == 2
    before = {part.metadata.name: part for part in world.list(EndpointSlice)}
    world.remove(world.get(Pod, "p000"))
    settle(world)
    changed = [part for part in world.list(EndpointSlice) if part != before[part.metadata.name]]
    assert len(changed) == 1


def test_very_many_addresses_are_cut_in_endpoints_only():
    world = World()
    world.put(service())
    for number in range(endpoints.ENDPOINTS_ADDRESSES + 1):
        running(world, f"p{number:03}")
    settle(world)
    shown = world.get(Endpoints, "web")
    assert len(shown.subsets[0].addresses) == endpoints.ENDPOINTS_ADDRESSES
    assert shown.metadata.annotations == {"endpoints.kubernetes.io/over-capacity": "truncated"}
    assert len(conditions(world)) == endpoints.ENDPOINTS_ADDRESSES + 1


def test_only_changes_that_matter_to_endpoints_wake_a_service():
    world = World()
    world.put(service())
    ready = running(world, "a")

    def woken():
        (change,) = world.state.since(world.state.revision - 1)
        return list(endpoints.affected(change, world.view))

    assert woken() == [WEB]
    world.change(ready, status={"message": "hello"})
    assert woken() == []
    world.put(with_metadata(world.get(Pod, "a"), labels={"app": "debug"}))
    assert woken() == [WEB]
    world.remove(world.get(Pod, "a"))
    assert woken() == []


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_slices_hold_exactly_the_pods_that_have_an_address(data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(endpoint_slices, "SLICE_ENDPOINTS", 3)
        world = World()
        world.put(service())
        for number in range(data.draw(st.integers(1, 15))):
            pods = world.list(Pod)
            if pods and data.draw(st.booleans()):
                world.remove(data.draw(st.sampled_from(pods)))
            else:
                running(world, f"p{number}", ready=data.draw(st.booleans()))
            if data.draw(st.booleans()):
                settle(world)
        settle(world)
        parts = world.list(EndpointSlice)
        names = [each.target_ref.name for part in parts for each in part.endpoints]
        assert sorted(names) == sorted(each.metadata.name for each in world.list(Pod))
        assert all(len(part.endpoints) <= 3 for part in parts)

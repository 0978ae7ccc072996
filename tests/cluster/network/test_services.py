"""Services with real packets: from pods, nodes and outside, TCP and UDP."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from orchestr8.worker.network.base import ServicePort
from tests.cluster.network.conftest import Nodes, Pod, answering, wait_listening

WEB = "10.96.0.10"


def service(*pods: Pod, **changes: Any) -> ServicePort:
    fields = {"name": "default/web/http", "cluster_ip": WEB, "protocol": "tcp", "port": 80, **changes}
    return ServicePort(backends=tuple(sorted(pod.backend for pod in pods)), **fields)


def names(answers: list[str]) -> set[str]:
    return {answer.split()[0] for answer in answers}


def test_a_pod_reaches_all_endpoints_through_the_service_with_its_own_address(nodes: Nodes) -> None:
    nodes.serve(service(nodes.b, nodes.c, nodes.d))
    assert set(nodes.a.ask(WEB, 80, count=40)) == {"b 10.70.1.5", "c 10.70.1.5", "d 10.70.1.5"}


def test_a_pod_reaches_itself_through_its_service(nodes: Nodes) -> None:
    nodes.serve(service(nodes.a))
    assert nodes.a.ask(WEB, 80, count=5) == ["a 10.77.0.11"] * 5
    nodes.serve(service(nodes.a, protocol="udp"))
    assert nodes.a.ask(WEB, 80, protocol="udp") == ["a 10.77.0.11"]


def test_a_node_reaches_the_service_although_it_has_no_default_route(nodes: Nodes) -> None:
    nodes.serve(service(nodes.a, nodes.c))
    assert set(nodes.w1.ask(WEB, 80, count=20)) == {"a 10.77.0.11", "c 10.77.0.11"}
    assert set(nodes.w2.ask(WEB, 80, count=20)) == {"a 10.77.0.12", "c 10.77.0.12"}


def test_several_ports_and_protocols_of_one_address_are_kept_apart(nodes: Nodes) -> None:
    nodes.serve(
        service(nodes.a, name="default/dns/tcp", port=53),
        service(nodes.c, name="default/dns/udp", port=53, protocol="udp"),
        service(nodes.d, name="default/dns/metrics", port=9153),
    )
    assert names(nodes.b.ask(WEB, 53, count=5)) == {"a"}
    assert names(nodes.b.ask(WEB, 53, protocol="udp", count=5)) == {"c"}
    assert names(nodes.b.ask(WEB, 9153, count=5)) == {"d"}


def test_outside_reaches_a_node_port_on_every_node_and_the_answer_comes_back_the_same_way(nodes: Nodes) -> None:
    nodes.serve(service(nodes.a, nodes.c, node_port=30080))
    for network in nodes.networks:
        seen = set(nodes.ask_from_outside(network.node_ip, 30080, count=20))
        assert seen == {f"a {network.node_ip}", f"c {network.node_ip}"}
    assert names(nodes.w1.ask(nodes.w1.node_ip, 30080, count=20)) == {"a", "c"}
    assert names(nodes.w1.ask(nodes.w2.node_ip, 30080, count=20)) == {"a", "c"}
    assert names(nodes.b.ask(nodes.w1.node_ip, 30080, count=20)) == {"a", "c"}


def test_local_policy_keeps_the_clients_address_and_serves_only_where_a_backend_is(nodes: Nodes) -> None:
    nodes.serve(service(nodes.a, node_port=30080, local_only=True))
    assert nodes.ask_from_outside(nodes.w1.node_ip, 30080, count=3) == ["a 10.77.0.1"] * 3
    assert nodes.ask_from_outside(nodes.w2.node_ip, 30080) == ["no answer"]
    assert names(nodes.w2.ask(nodes.w2.node_ip, 30080)) == {"a"}
    assert names(nodes.c.ask(nodes.w2.node_ip, 30080)) == {"a"}


def test_internal_local_policy_never_leaves_the_node(nodes: Nodes) -> None:
    nodes.serve(service(nodes.a, nodes.c, internal_local_only=True, node_port=30080))
    assert names(nodes.b.ask(WEB, 80, count=10)) == {"a"}
    assert names(nodes.d.ask(WEB, 80, count=10)) == {"c"}
    assert names(nodes.ask_from_outside(nodes.w1.node_ip, 30080, count=20)) == {"a", "c"}


def test_a_service_without_endpoints_refuses_at_once(nodes: Nodes) -> None:
    nodes.serve(service(node_port=30080), service(name="default/dns/udp", protocol="udp", port=53))
    refused = ["error Connection refused"]
    assert nodes.a.ask(WEB, 80) == refused
    assert nodes.w1.ask(WEB, 80) == refused
    assert nodes.ask_from_outside(nodes.w1.node_ip, 30080) == refused
    assert nodes.a.ask(WEB, 53, protocol="udp") == refused


def test_a_client_comes_back_to_the_same_backend_also_after_the_table_was_replaced(nodes: Nodes) -> None:
    sticky = service(nodes.a, nodes.c, nodes.d, affinity_seconds=600)
    nodes.serve(sticky)
    first = names(nodes.b.ask(WEB, 80, count=8))
    assert len(first) == 1
    for number in range(6):
        nodes.serve(sticky, service(nodes.a, name=f"default/other-{number}/80", cluster_ip="10.96.0.77"))
        assert names(nodes.b.ask(WEB, 80)) == first


def test_an_affine_client_moves_on_when_its_backend_is_gone(nodes: Nodes) -> None:
    nodes.serve(service(nodes.a, nodes.c, affinity_seconds=600))
    (first,) = names(nodes.b.ask(WEB, 80))
    other = nodes.c if first == "a" else nodes.a
    nodes.serve(service(other, affinity_seconds=600))
    assert names(nodes.b.ask(WEB, 80, count=3)) == {other.name}


def test_a_udp_flow_moves_to_a_live_backend_when_its_own_is_gone(nodes: Nodes) -> None:
    def dns(*pods: Pod) -> ServicePort:
        return service(*pods, name="default/dns/udp", protocol="udp", port=53, node_port=30053)

    for address, port in ((WEB, 53), (nodes.w1.node_ip, 30053)):
        nodes.serve(dns(nodes.c))
        assert names(nodes.b.ask(address, port, protocol="udp", source_port=40_000)) == {"c"}
        nodes.serve(dns(nodes.c, nodes.d))
        assert names(nodes.b.ask(address, port, protocol="udp", source_port=40_000)) == {"c"}, "its backend lives"
        nodes.serve(dns(nodes.d))
        assert names(nodes.b.ask(address, port, protocol="udp", source_port=40_000)) == {"d"}


def test_pods_reach_the_world_by_their_nodes_address(nodes: Nodes) -> None:
    nodes.serve()
    with subprocess.Popen(nodes.lab.outside_command(answering("world")), stdout=subprocess.PIPE) as world:
        wait_listening(world)
        # The segment has no route to pods: without translation no answer would come back.
        assert nodes.a.ask("10.77.0.1") == ["world 10.77.0.11"]
        assert nodes.c.ask("10.77.0.1") == ["world 10.77.0.12"]
        world.kill()


def test_another_programs_table_stays_and_a_table_that_nft_refuses_changes_nothing(nodes: Nodes) -> None:
    host = nodes.lab["w1"]
    host.run(["nft", "-f", "-"], input="table inet theirs {\n}\n")
    nodes.serve(service(nodes.c))
    with pytest.raises(RuntimeError, match="nft -f -"):
        nodes.w1.sync_services([service(nodes.d, cluster_ip="10.96.0.300")])
    assert names(nodes.a.ask(WEB, 80)) == {"c"}
    assert "table inet theirs" in host.run(["nft", "list", "tables"]).stdout
    nodes.w1.sync_services([])
    host.run(["nft", "delete", "table", "inet", "theirs"])


def test_a_flushed_table_is_put_back_when_the_same_services_are_given_again(nodes: Nodes) -> None:
    nodes.serve(service(nodes.c))
    nodes.lab["w1"].run(["nft", "flush", "ruleset"])
    nodes.serve(service(nodes.c))
    assert names(nodes.a.ask(WEB, 80)) == {"c"}


def test_services_outlive_the_agent_and_close_removes_everything(nodes: Nodes) -> None:
    nodes.serve(service(nodes.c))
    for network in nodes.networks:
        network.end()
    assert names(nodes.a.ask(WEB, 80)) == {"c"}
    nodes.networks = [type(network)(network.host, network.node_ip) for network in nodes.networks]
    nodes.w1, nodes.w2 = nodes.networks
    nodes.w1.open(nodes.w1.node_ip, "10.70.1.0/24", "10.96.0.0/16")
    assert names(nodes.a.ask(WEB, 80)) == {"c"}
    nodes.w1.close()
    shown = nodes.lab["w1"].run(["sh", "-c", "nft list tables; ip route; ip -o link; ip -o -4 addr"]).stdout
    assert [word for word in ("o8", "10.70.", "10.96.", "169.254.") if word in shown] == []

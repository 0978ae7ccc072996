"""Pods and nodes reach each other by plain routes, and links survive what happens to agents and sandboxes."""

from __future__ import annotations

import json
import subprocess

import pytest

from orchestr8.worker.network.base import NodeRoute
from tests.cluster.network.conftest import SERVICE_CIDR, Network, Nodes, Pod, answering, wait_listening


def links_of(network: Network) -> list[str]:
    listed = json.loads(network.host.run(["ip", "-j", "link", "show", "type", "veth"]).stdout)
    return sorted(link["ifname"] for link in listed if link.get("ifname", "").startswith("o8"))


def test_pods_reach_pods_of_their_node_and_of_others_with_their_own_address(nodes: Nodes) -> None:
    assert nodes.a.ask(nodes.b.ip) == ["b 10.70.1.5"]
    assert nodes.a.ask(nodes.c.ip) == ["c 10.70.1.5"]
    assert nodes.d.ask(nodes.b.ip, protocol="udp") == ["b 10.70.2.6"]


def test_nodes_reach_every_pod_and_pods_reach_every_node(nodes: Nodes) -> None:
    assert nodes.w1.ask(nodes.a.ip, 8080) == ["a 10.77.0.11"]
    assert nodes.w1.ask(nodes.c.ip, 8080) == ["c 10.77.0.11"]
    server = nodes.lab["w2"].popen(answering("w2"), stdout=subprocess.PIPE)
    wait_listening(server)
    assert nodes.a.ask(nodes.w2.node_ip) == ["w2 10.70.1.5"]
    assert nodes.c.ask(nodes.w2.node_ip) == ["w2 10.70.2.5"]
    server.kill()
    server.wait(timeout=5)


def test_a_second_attach_of_the_same_pod_changes_nothing(nodes: Nodes) -> None:
    before = links_of(nodes.w1)
    nodes.w1.attach("uid-a", nodes.a.pid, nodes.a.ip)
    assert links_of(nodes.w1) == before
    assert nodes.a.ask(nodes.c.ip) == ["c 10.70.1.5"]


def test_a_restarted_agent_finds_its_links_by_the_pods_uid(nodes: Nodes) -> None:
    again = Network(nodes.lab["w1"], nodes.w1.node_ip)
    try:
        again.open(nodes.w1.node_ip, "10.70.1.0/24", SERVICE_CIDR)
        assert again.attached() == {"uid-a": "10.70.1.5", "uid-b": "10.70.1.6"}
    finally:
        again.end()


def test_a_sandbox_started_anew_gets_its_address_again_and_an_ended_one_leaves_no_link(nodes: Nodes) -> None:
    first = Pod(nodes.lab["w1"], "e", "10.70.1.9")
    nodes.w1.attach("uid-e", first.pid, first.ip)
    assert nodes.c.ask(first.ip) == ["e 10.70.2.5"]
    second = Pod(nodes.lab["w1"], "e2", "10.70.1.9")
    nodes.w1.attach("uid-e", second.pid, second.ip)
    assert nodes.c.ask(second.ip) == ["e2 10.70.2.5"]
    first.end()
    assert nodes.c.ask(second.ip) == ["e2 10.70.2.5"]
    nodes.w1.detach("uid-e")
    nodes.w1.detach("uid-e")
    second.end()
    assert "uid-e" not in nodes.w1.attached()
    assert "10.70.1.9" not in nodes.lab["w1"].run(["ip", "route"]).stdout


def test_a_process_of_the_host_itself_is_never_touched(nodes: Nodes) -> None:
    with pytest.raises(RuntimeError, match="lives in the host's own network"):
        nodes.w1.attach("uid-x", 1, "10.70.1.99")
    with pytest.raises(RuntimeError, match="is gone"):
        nodes.w1.attach("uid-x", 32_000, "10.70.1.99")
    assert "uid-x" not in nodes.w1.attached()


def test_routes_follow_the_nodes_and_leave_those_of_others_alone(nodes: Nodes) -> None:
    host = nodes.lab["w1"]
    w2 = NodeRoute(node="w2", node_ip=nodes.w2.node_ip, pod_cidr="10.70.2.0/24")
    host.run(["ip", "route", "add", "10.99.0.0/24", "via", nodes.w2.node_ip])
    nodes.w1.sync_routes([w2, NodeRoute(node="w3", node_ip="10.77.0.77", pod_cidr="10.70.3.0/24")])
    assert "10.70.3.0/24 via 10.77.0.77" in host.run(["ip", "route"]).stdout
    with pytest.raises(RuntimeError, match="invalid gateway"):
        nodes.w1.sync_routes(
            [NodeRoute(node="far", node_ip="192.0.2.1", pod_cidr="10.70.9.0/24"), w2,
             NodeRoute(node="w3", node_ip="10.77.0.78", pod_cidr="10.70.3.0/24")]
        )  # fmt: skip
    assert "10.70.3.0/24 via 10.77.0.78" in host.run(["ip", "route"]).stdout
    nodes.w1.sync_routes([w2])
    shown = host.run(["ip", "route"]).stdout
    assert "10.70.3.0/24" not in shown
    assert "10.99.0.0/24" in shown
    assert nodes.a.ask(nodes.c.ip) == ["c 10.70.1.5"]
    host.run(["ip", "route", "delete", "10.99.0.0/24"])


def test_an_address_that_no_pod_could_answer_is_refused(nodes: Nodes) -> None:
    with pytest.raises(RuntimeError, match=r"set worker\.address"):
        nodes.w1.open("127.0.0.1", "10.70.1.0/24", SERVICE_CIDR)
    with pytest.raises(RuntimeError, match=r"correct worker\.address"):
        nodes.w1.open("10.77.0.99", "10.70.1.0/24", SERVICE_CIDR)

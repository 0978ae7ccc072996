"""Which UDP flows are stale."""

from __future__ import annotations

from orchestr8.worker.network.base import Backend, ServicePort
from orchestr8.worker.network.conntrack import Flow, parse, stale

_LINES = (
    "udp      17 29 src=10.70.1.9 dst=10.96.0.10 sport=40000 dport=53 "
    "src=10.70.2.5 dst=10.70.1.9 sport=8080 dport=40000 mark=0 use=1",
    "udp      17 25 src=10.77.0.1 dst=10.77.0.11 sport=40001 dport=30053 [UNREPLIED] "
    "src=10.70.2.6 dst=10.77.0.11 sport=8080 dport=40001 mark=16384 use=1",
    "udp      17 170 src=10.70.1.9 dst=10.96.0.10 sport=40002 dport=53 [UNREPLIED] "
    "src=10.96.0.10 dst=10.70.1.9 sport=53 dport=40002 use=1",
    "icmp     1 29 src=10.70.1.9 dst=10.70.2.5 type=8 code=0 id=7 src=10.70.2.5 dst=10.70.1.9 type=0 code=0 id=7 use=1",
    "conntrack v1.4.7 (conntrack-tools): 4 flow entries have been shown.",
)
LISTED = "\n".join(_LINES)
C, D = Backend("10.70.2.5", 8080), Backend("10.70.2.6", 8080)
BY_ADDRESS = Flow("10.96.0.10", 53, C)
BY_NODE_PORT = Flow("10.77.0.11", 30053, D)
NOT_TRANSLATED = Flow("10.96.0.10", 53, Backend("10.96.0.10", 53))


def dns(*backends: Backend, node_port: int = 30053) -> list[ServicePort]:
    port = ServicePort(
        name="default/dns/udp", cluster_ip="10.96.0.10", protocol="udp", port=53, node_port=node_port, backends=backends
    )  # fmt: skip
    return [port]


def test_flows_are_read_from_the_tools_own_listing() -> None:
    assert parse(LISTED) == {BY_ADDRESS, BY_NODE_PORT, NOT_TRANSLATED}


def test_a_flow_is_stale_when_its_backend_left_and_when_it_began_before_the_service_had_one() -> None:
    assert stale(parse(LISTED), dns(C, D), "10.77.0.11") == [NOT_TRANSLATED]
    assert stale(parse(LISTED), dns(D), "10.77.0.11") == [BY_ADDRESS, NOT_TRANSLATED]
    assert stale(parse(LISTED), dns(C), "10.77.0.11") == [BY_NODE_PORT, NOT_TRANSLATED]
    assert stale(parse(LISTED), dns(), "10.77.0.11") == [BY_NODE_PORT, BY_ADDRESS, NOT_TRANSLATED]


def test_flows_to_anything_else_are_left_alone() -> None:
    assert stale(parse(LISTED), [], "10.77.0.11") == []
    assert stale(parse(LISTED), dns(C, node_port=0), "10.77.0.99") == [NOT_TRANSLATED]

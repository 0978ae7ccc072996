"""The text for nft. What the rules do to packets is shown in tests/cluster/network; here: that any input makes text
that nft takes, and that the text is stable."""

from __future__ import annotations

import shutil
import subprocess

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestr8.worker.network.base import Backend, NodeRoute, ServicePort
from orchestr8.worker.network.ruleset import Place, affinity_sets, render

PLACE = Place(node_ip="10.77.0.11", pod_cidr="10.70.1.0/24")
ROUTES = (NodeRoute(node="w2", node_ip="10.77.0.12", pod_cidr="10.70.2.0/24"),)
BACKENDS = (Backend("10.70.1.5", 8080), Backend("10.70.2.5", 8080))
WEB = ServicePort(
    name="default/web/http",
    cluster_ip="10.96.0.10",
    protocol="tcp",
    port=80,
    backends=BACKENDS,
    local_backends=BACKENDS[:1],
)

backends = st.lists(
    st.sampled_from([Backend(f"10.70.{n % 3}.{n + 1}", 8080) for n in range(9)]), unique=True, max_size=4
)


@st.composite
def many_ports(draw: st.DrawFn) -> tuple[ServicePort, ...]:
    count = draw(st.integers(0, 5))
    found = []
    for number in range(count):
        endpoints = tuple(sorted(draw(backends)))
        namespace = draw(st.sampled_from(["default", "kube-system", "0-a"]))
        found.append(
            ServicePort(
                name=f"{namespace}/svc.{number}-x/{draw(st.sampled_from(['http', '80']))}",
                cluster_ip=f"10.96.0.{number + 1}",
                protocol=draw(st.sampled_from(["tcp", "udp"])),
                port=draw(st.integers(1, 65535)),
                node_port=draw(st.sampled_from([0, 30000 + number])),
                backends=endpoints,
                local_backends=tuple(b for b in endpoints if b.ip.startswith("10.70.1.")),
                affinity_seconds=draw(st.sampled_from([0, 1, 10_800, 86_400])),
                local_only=draw(st.booleans()),
                internal_local_only=draw(st.booleans()),
            )
        )
    return tuple(found)


@pytest.fixture(scope="module")
def nft_check() -> list[str]:
    """Checks text without putting it in force; in a namespace of its own, since even a check wants the kernel."""
    if shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin") is None:
        pytest.fail("nft is not installed: apt-get install nftables")
    return ["unshare", "--net", "--map-root-user", "/usr/sbin/nft", "--check", "-f", "-"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(many_ports(), st.sampled_from([PLACE, Place(node_ip="10.77.0.11", pod_cidr="")]))
def test_nft_takes_whatever_services_there_are(
    nft_check: list[str], ports: tuple[ServicePort, ...], place: Place
) -> None:
    affinity = {name: {"10.70.1.9": 30, "10.70.2.9": 999_999} for name in affinity_sets(ports)}
    text = render(ports, place, ROUTES, affinity)
    done = subprocess.run(nft_check, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr}\n{text}"


def test_the_same_input_gives_the_same_text_and_it_replaces_the_table_in_one_transaction() -> None:
    text = render((WEB,), PLACE, ROUTES)
    assert text == render((WEB,), PLACE, ROUTES)
    assert text.splitlines()[:3] == ["table ip o8", "delete table ip o8", "table ip o8 {"]


def test_one_service_is_one_map_element_and_one_chain() -> None:
    text = render((WEB,), PLACE)
    assert "10.96.0.10 . tcp . 80 : goto s_default/web/http" in text
    assert "dnat to numgen random mod 2 map { 0 : 10.70.1.5 . 8080, 1 : 10.70.2.5 . 8080 }" in text
    assert "10.70.1.5 . 10.70.1.5" in text
    assert "10.70.2.5 . 10.70.2.5" not in text, "only endpoints of this node can reach themselves here"


def test_clients_that_were_bound_to_a_backend_stay_bound_for_the_time_they_have_left() -> None:
    sticky = msgspec.structs.replace(WEB, backends=BACKENDS[:1], affinity_seconds=600)
    (name,) = affinity_sets((sticky,))
    text = render((sticky,), PLACE, (), {name: {"10.70.1.9": 42}, "a_gone": {"10.70.1.8": 1}})
    assert "10.70.1.9 timeout 600s expires 42s" in text
    assert "10.70.1.8" not in text

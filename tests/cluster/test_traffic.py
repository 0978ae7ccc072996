"""Services while things change below them: a client that asks 20 times a second sees nothing of it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.cluster import containers
from tests.cluster.api import is_live, until
from tests.cluster.cluster import Cluster
from tests.cluster.lab.registry import WEB2
from tests.cluster.manifests import container, deployment, pod, service
from tests.cluster.network.conftest import answering as backend
from tests.cluster.network.conftest import asking, wait_listening
from tests.cluster.space import Space, space
from tests.cluster.traffic import Seen, answering, traffic


@pytest.fixture(scope="module")
def here(shared_cluster: Cluster) -> Iterator[Space]:
    """A namespace with Deployment and Service ``web``."""
    with space(shared_cluster.api, "traffic") as made:
        made.create(deployment("web", replicas=3), service("web"))
        yield made


@pytest.fixture
def web(cluster: Cluster, here: Space) -> Space:
    """The same, when three pods answer on every worker, whatever an earlier test did to them."""
    names = {each["metadata"]["name"] for each in here.live_pods("web", 3)}
    for worker in cluster.workers:
        until(
            f"all pods answer on {worker.name}",
            lambda worker=worker: answering(worker, here.address("web")),  # type: ignore[misc]
            holds=lambda found: found == names,
        )
    return here


def assert_none_failed(requests: Seen) -> None:
    assert requests.sent > 20
    assert not requests.failed, f"{len(requests.failed)} of {requests.sent}: {requests.failed[:5]}"


def test_a_rolling_update_fails_no_request(cluster: Cluster, web: Space) -> None:
    old = {each["metadata"]["name"] for each in web.pods("web")}
    with traffic(cluster.workers[0], web.address("web")) as requests:
        cluster.kubectl("set", "image", "-n", web.name, "deployment/web", f"web={WEB2}")
        cluster.kubectl("rollout", "status", "-n", web.name, "deployment/web", "--timeout=90s")
        new = {each["metadata"]["name"] for each in web.live_pods("web", 3)}
    assert_none_failed(requests)
    assert not old & new and set(requests.answered) >= new, "old and new pods answered, and now only new ones"


def test_a_rolling_update_fails_no_request_of_a_pod(cluster: Cluster, web: Space) -> None:
    url = f"http://{web.address('web')}/cgi-bin/who"
    script = f"while true; do timeout 1 wget -q -O - {url} || echo FAILED; sleep 0.05; done"
    web.create(pod("client", container(script)))
    web.pod_when("client", "runs", is_live)
    cluster.kubectl("rollout", "restart", "-n", web.name, "deployment/web")
    cluster.cli("rollout", "status", "-n", web.name, "deployment/web")
    new = {each["metadata"]["name"] for each in web.live_pods("web", 3)}
    told = until(
        "the new pods have answered",
        lambda: cluster.kubectl("logs", "-n", web.name, "client"),
        holds=lambda text: all(name in text for name in new),
    )
    assert "FAILED" not in told, f"{told.count('FAILED')} of {len(told.splitlines())} requests"
    web.delete("Pod", "client")


def test_a_deleted_pod_is_replaced_under_another_address_and_no_request_fails(cluster: Cluster, web: Space) -> None:
    pods = web.pods("web")
    gone = pods[0]["metadata"]["name"]
    with traffic(cluster.workers[0], web.address("web")) as requests:
        cluster.kubectl("delete", "pod", "-n", web.name, gone)
        now = web.live_pods("web", 3)
        web.backends_when("web", {each["status"]["podIP"] for each in now})
    assert_none_failed(requests)
    assert gone not in {each["metadata"]["name"] for each in now}
    (new,) = {each["status"]["podIP"] for each in now} - {each["status"]["podIP"] for each in pods}
    assert new != pods[0]["status"]["podIP"]


def test_a_node_is_drained_and_no_request_fails(cluster: Cluster, web: Space) -> None:
    drained, other = cluster.workers
    with traffic(other, web.address("web")) as requests:
        cluster.kubectl("drain", drained.name, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s")
        now = web.live_pods("web", 3)
    assert {each["spec"]["nodeName"] for each in now} == {other.name}
    cluster.kubectl("uncordon", drained.name)
    assert_none_failed(requests)


def test_a_pod_that_is_not_ready_leaves_the_service_while_it_lives(cluster: Cluster, web: Space) -> None:
    pods = web.pods("web")
    first, rest = pods[0], {each["status"]["podIP"] for each in pods[1:]}
    name = first["metadata"]["name"]
    exec_in = ("exec", "-n", web.name, name, "--")
    cluster.kubectl(*exec_in, "mv", "/www/healthz", "/www/sick")
    web.backends_when("web", rest)
    with traffic(cluster.workers[1], web.address("web")) as requests:
        sick = web.get("Pod", name)
        assert not is_live(sick) and sick["status"]["containerStatuses"][0]["restartCount"] == 0
        until("the event tells why", lambda: web.events(name), holds=lambda reasons: "Unhealthy" in reasons)
        for worker in cluster.workers:
            until(
                f"no rule on {worker.name} leads to it",
                lambda worker=worker: worker.run(["nft", "list", "ruleset"]).stdout,  # type: ignore[misc]
                holds=lambda rules: not re.search(rf"\b{first['status']['podIP']}\b", _service_rules(rules)),
            )
    assert not requests.failed
    cluster.kubectl(*exec_in, "mv", "/www/sick", "/www/healthz")
    web.backends_when("web", rest | {first["status"]["podIP"]})


def test_a_node_port_is_reached_from_outside_on_every_worker(cluster: Cluster, web: Space) -> None:
    web.create(service("outside", type="NodePort", selector={"app": "web"}))
    port = web.get("Service", "outside")["spec"]["ports"][0]["nodePort"]
    assert 30000 <= port <= 32767
    names = {each["metadata"]["name"] for each in web.pods("web")}

    def answered(ip: str) -> set[str]:
        command = ["curl", "-sS", "--max-time", "2", f"http://{ip}:{port}/cgi-bin/who"]
        return {line.split()[0] for _ in range(20) if (line := cluster.lab.outside(command, check=False).strip())}

    for worker in cluster.workers:
        until(
            f"all pods answer on port {port} of {worker.name}",
            lambda worker=worker: answered(worker.ip),  # type: ignore[misc]
            holds=lambda found: found == names,
        )
    web.delete("Service", "outside")


def test_one_service_has_the_same_port_for_udp_and_tcp(cluster: Cluster, here: Space) -> None:
    ports = [
        {"name": name, "port": 53, "targetPort": 8080, "protocol": protocol}
        for name, protocol in (("stream", "TCP"), ("datagram", "UDP"))
    ]
    here.create(pod("both"), service("both", *ports))
    only = here.pod_when("both", "runs", is_live)
    here.backends_when("both", {only["status"]["podIP"]})
    address, host = here.address("both"), cluster.lab[only["spec"]["nodeName"]]
    # The image has no program that answers datagrams: one of the machine's own runs in the pod's network.
    inside = ["nsenter", f"--net=/proc/{containers.only(host, only).pid}/ns/net"]
    wait_listening(host.popen([*inside, *backend("the-pod")], stdout=subprocess.PIPE))
    for worker in cluster.workers:
        for protocol in ("tcp", "udp"):
            until(
                f"{protocol} is answered on {worker.name}",
                lambda worker=worker, protocol=protocol: worker.run(asking(address, 53, protocol)).stdout,  # type: ignore[misc]
                holds=lambda told: told.startswith("the-pod "),
            )
    here.delete("Pod", "both")


def test_a_pod_reaches_itself_through_its_service(cluster: Cluster, here: Space) -> None:
    here.create(deployment("self", replicas=1), service("self"))
    (only,) = here.live_pods("self", 1)
    name = only["metadata"]["name"]
    command = ("exec", "-n", here.name, name, "--", "timeout", "2", "wget", "-q", "-O", "-")
    url = f"http://{here.address('self')}/cgi-bin/who"
    until("it answers itself", lambda: cluster.kubectl(*command, url, check=False), holds=lambda told: name in told)


def test_a_killed_process_runs_again_and_only_that_pod_restarts(cluster: Cluster, web: Space) -> None:
    pods = web.pods("web")
    victim = pods[0]
    host = cluster.lab[victim["spec"]["nodeName"]]
    containers.kill(host, containers.only(host, victim))
    web.pod_when(
        victim["metadata"]["name"],
        "runs again",
        lambda p: is_live(p) and p["status"]["containerStatuses"][0]["restartCount"] == 1,
    )
    now = {each["metadata"]["name"]: each for each in web.live_pods("web", 3)}
    assert {each["metadata"]["name"]: each["status"]["podIP"] for each in pods} == {
        name: each["status"]["podIP"] for name, each in now.items()
    }
    assert sorted(each["status"]["containerStatuses"][0]["restartCount"] for each in now.values()) == [0, 0, 1]


def _service_rules(ruleset: str) -> str:
    """Only the lines that lead somewhere: a pod's own address is elsewhere in the table as well."""
    return "\n".join(line for line in ruleset.splitlines() if "dnat" in line)

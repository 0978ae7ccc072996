"""What becomes of a pod's containers: ends, restarts, probes, hooks and signals, each as Kubernetes defines it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import containers
from tests.cluster.api import is_live, is_ready, until
from tests.cluster.cluster import Cluster
from tests.cluster.lab import Host
from tests.cluster.manifests import FOR_EVER, container, pod, web_container
from tests.cluster.space import Object, Space, space

STUBBORN = "trap '' TERM; while true; do sleep 0.1; done"
SCRATCH = {"name": "scratch", "emptyDir": {}}
AT_SCRATCH = [{"name": "scratch", "mountPath": "/scratch"}]


@pytest.fixture(scope="module")
def here(shared_cluster: Cluster) -> Iterator[Space]:
    with space(shared_cluster.api, "pods") as made:
        yield made


def ended(pod: Object) -> bool:
    return pod["status"]["phase"] in ("Succeeded", "Failed")


def status_of(pod: Object, name: str = "main") -> dict[str, Any]:
    """Of the container of this name; before the node has said anything of it, as if it had never run."""
    told: list[dict[str, Any]] = pod["status"].get("containerStatuses", [])
    return next((each for each in told if each["name"] == name), {"restartCount": 0, "state": {}})


def last_end(pod: Object) -> dict[str, Any]:
    """How the container before the present one ended; {} if there was none."""
    found: dict[str, Any] = status_of(pod).get("lastState", {}).get("terminated", {})
    return found


# -- ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "policy", "phase", "code", "reason"),
    [
        ("exit 0", "Never", "Succeeded", 0, "Completed"),
        ("exit 3", "Never", "Failed", 3, "Error"),
        ("exit 0", "OnFailure", "Succeeded", 0, "Completed"),
        ("no-such-program", "Never", "Failed", 127, "Error"),
    ],
)
def test_a_pod_that_is_not_restarted_ends_with_its_containers_code(
    cluster: Cluster, here: Space, script: str, policy: str, phase: str, code: int, reason: str
) -> None:
    name = f"ends-{policy.lower()}-{code}"
    here.create(pod(name, container(script), restartPolicy=policy))
    done = here.pod_when(name, "has ended", ended)
    assert done["status"]["phase"] == phase
    end = status_of(done)["state"]["terminated"]
    assert (end["exitCode"], end["reason"]) == (code, reason)
    assert end["startedAt"] <= end["finishedAt"]
    assert status_of(done)["restartCount"] == 0 and not is_ready(done)


def test_a_container_that_fails_is_started_again_until_it_succeeds(cluster: Cluster, here: Space) -> None:
    script = "if [ -e /scratch/again ]; then exit 0; fi; touch /scratch/again; exit 4"
    here.create(pod("tries", container(script, volumeMounts=AT_SCRATCH), volumes=[SCRATCH], restartPolicy="OnFailure"))
    done = here.pod_when("tries", "has ended", ended)
    assert done["status"]["phase"] == "Succeeded"
    assert status_of(done)["restartCount"] == 1 and last_end(done)["exitCode"] == 4


def test_a_container_that_fails_again_and_again_is_held_back(cluster: Cluster, here: Space) -> None:
    here.create(pod("crashes", container("exit 5")))
    held = here.pod_when(
        "crashes",
        "is held back",
        lambda p: status_of(p)["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff",
    )
    assert status_of(held)["restartCount"] >= 1, "the first restart is at once"
    assert last_end(held)["exitCode"] == 5 and held["status"]["phase"] == "Running"
    until("the event tells", lambda: here.events("crashes"), holds=lambda reasons: "BackOff" in reasons)
    here.delete("Pod", "crashes")


def test_a_container_that_takes_too_much_memory_is_killed_alone(cluster: Cluster, here: Space) -> None:
    greedy = container(
        "sleep 0.5; tail /dev/zero", name="greedy", resources={"limits": {"memory": "16Mi"}, "requests": {"cpu": "1m"}}
    )
    here.create(pod("greedy", greedy, container(name="neighbour")))
    killed = here.pod_when(
        "greedy",
        "has been killed for its memory",
        lambda p: (
            status_of(p, "greedy").get("lastState", {}).get("terminated", {}).get("reason") == "OOMKilled"
            or status_of(p, "greedy")["state"].get("terminated", {}).get("reason") == "OOMKilled"
        ),
    )
    greedy_status = status_of(killed, "greedy")
    end = greedy_status["state"].get("terminated") or greedy_status["lastState"]["terminated"]
    assert end["exitCode"] == 137
    assert status_of(killed, "neighbour")["restartCount"] == 0 and "running" in status_of(killed, "neighbour")["state"]
    here.delete("Pod", "greedy")


def test_a_program_that_is_not_there_is_told(cluster: Cluster, here: Space) -> None:
    missing = {**container(), "command": ["/no/such/program"]}
    here.create(pod("missing", missing, restartPolicy="Never"))
    done = here.pod_when("missing", "has ended", ended)
    end = status_of(done)["state"]["terminated"]
    assert done["status"]["phase"] == "Failed" and end["exitCode"] == 128
    assert "/no/such/program" in end["message"]


# -- init containers ----------------------------------------------------------------------------------------------


def test_init_containers_run_one_after_another_before_the_others(cluster: Cluster, here: Space) -> None:
    steps = [
        container(f"echo {name} >>/scratch/order", name=name, volumeMounts=AT_SCRATCH) for name in ("first", "second")
    ]
    main = container(f"cat /scratch/order; {FOR_EVER}", volumeMounts=AT_SCRATCH)
    here.create(pod("prepared", main, initContainers=steps, volumes=[SCRATCH]))
    done = here.pod_when("prepared", "is live", is_live)
    assert cluster.kubectl("logs", "-n", here.name, "prepared", "-c", "main").split() == ["first", "second"]
    inits = done["status"]["initContainerStatuses"]
    assert [(each["name"], each["state"]["terminated"]["reason"]) for each in inits] == [
        ("first", "Completed"),
        ("second", "Completed"),
    ]


def test_an_init_container_that_fails_ends_a_pod_that_is_never_restarted(cluster: Cluster, here: Space) -> None:
    inits = [container("exit 6", name="fails"), container("exit 0", name="waits")]
    here.create(pod("unprepared", container(), initContainers=inits, restartPolicy="Never"))
    done = here.pod_when("unprepared", "has ended", ended)
    assert done["status"]["phase"] == "Failed"
    fails, waits = done["status"]["initContainerStatuses"]
    assert fails["state"]["terminated"]["exitCode"] == 6 and "waiting" in waits["state"]
    assert "waiting" in status_of(done)["state"]


# -- probes -------------------------------------------------------------------------------------------------------


def test_each_kind_of_probe_is_asked(cluster: Cluster, here: Space) -> None:
    every_second = {"periodSeconds": 1, "failureThreshold": 2}
    web = web_container(
        startupProbe={"tcpSocket": {"port": 8080}, **every_second},
        readinessProbe={"httpGet": {"path": "/healthz", "port": 8080}, **every_second},
        livenessProbe={"exec": {"command": ["test", "-e", "/www/index.html"]}, **every_second},
    )
    here.create(pod("probed", web))
    here.pod_when("probed", "is live", is_live)
    in_it = ("exec", "-n", here.name, "probed", "--")

    cluster.kubectl(*in_it, "rm", "/www/healthz")
    unready = here.pod_when("probed", "is not ready", lambda p: not is_ready(p))
    assert status_of(unready, "web")["restartCount"] == 0 and "running" in status_of(unready, "web")["state"]

    cluster.kubectl(*in_it, "rm", "/www/index.html")
    again = here.pod_when("probed", "is live again", lambda p: is_live(p) and status_of(p, "web")["restartCount"] == 1)
    assert again["status"]["podIP"] == unready["status"]["podIP"]
    assert {"Unhealthy", "Killing"} <= here.events("probed")


def test_a_container_whose_startup_probe_fails_is_restarted_and_never_ready(cluster: Cluster, here: Space) -> None:
    startup = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    here.create(pod("no-start", container(startupProbe=startup)))
    restarted = here.pod_when("no-start", "is restarted", lambda p: status_of(p)["restartCount"] >= 1)
    assert not is_ready(restarted) and not status_of(restarted)["started"]
    here.delete("Pod", "no-start")


# -- hooks and signals --------------------------------------------------------------------------------------------


def test_hooks_and_signals_come_in_order(cluster: Cluster, here: Space) -> None:
    main = container(
        "trap 'echo signal >>/out/story; exit 0' TERM; while true; do sleep 0.1; done",
        volumeMounts=[{"name": "out", "mountPath": "/out"}],
        lifecycle={
            "postStart": {"exec": {"command": ["sh", "-c", "echo started >>/out/story"]}},
            "preStop": {"exec": {"command": ["sh", "-c", "echo stopping >>/out/story"]}},
        },
    )
    out = {"name": "out", "hostPath": {"path": "/var/lib/story", "type": "DirectoryOrCreate"}}
    here.create(pod("polite", main, volumes=[out], nodeName="w1", terminationGracePeriodSeconds=30))
    polite = here.pod_when("polite", "is live", is_live)
    w1 = cluster.lab["w1"]
    here.delete("Pod", "polite")
    until_gone(here, "polite")
    assert w1.run(["cat", "/var/lib/story/story"]).stdout.split() == ["started", "stopping", "signal"]
    assert end_of(w1, polite) == "0"


def test_a_container_that_ignores_the_signal_is_killed_when_its_grace_is_over(cluster: Cluster, here: Space) -> None:
    here.create(pod("stubborn", container(STUBBORN), nodeName="w1", terminationGracePeriodSeconds=1))
    stubborn = here.pod_when("stubborn", "is live", is_live)
    here.delete("Pod", "stubborn")
    until_gone(here, "stubborn")
    assert end_of(cluster.lab["w1"], stubborn) == "137"
    assert not containers.running(cluster.lab["w1"], stubborn)


def test_a_container_whose_post_start_hook_fails_is_ended(cluster: Cluster, here: Space) -> None:
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "exit 9"]}}}
    here.create(pod("hookless", container(lifecycle=hook)))
    here.pod_when("hookless", "is restarted", lambda p: status_of(p)["restartCount"] >= 1)
    until("the event tells", lambda: here.events("hookless"), holds=lambda told: "FailedPostStartHook" in told)
    here.delete("Pod", "hookless")


def until_gone(here: Space, name: str) -> None:
    until(
        f"pod {name} is gone",
        lambda: {each["metadata"]["name"] for each in here.objects("Pod")},
        holds=lambda names: name not in names,
        seconds=60,
    )


def end_of(host: Host, pod: Object) -> str:
    """The exit code of the pod's container, as Podman noted it."""
    ends = [
        event
        for event in containers.podman_events(host)
        if event["Status"] == "died"
        and event["Attributes"].get("io.orchestr8.pod.uid") == pod["metadata"]["uid"]
        and event["Attributes"].get("io.orchestr8.container.name")
    ]
    return str(ends[-1].get("ContainerExitCode", 0))

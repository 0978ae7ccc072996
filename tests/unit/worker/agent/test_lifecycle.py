"""Statuses as Kubernetes shows them, from hand-made observations."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from orchestr8.api.pod import Pod, PodReadinessGate, PodStatus, ResourceRequirements
from orchestr8.api.qos import qos_class
from orchestr8.worker.agent.pods import sync
from orchestr8.worker.agent.pods.lifecycle import held_back, pod_status
from orchestr8.worker.agent.pods.observed import Observed, ProbeVerdict
from orchestr8.worker.runtime.base import ContainerState
from tests.unit.worker.agent.test_sync import observed, state
from tests.unit.worker.agent.world import container, pod

NOW = dt.datetime(2026, 1, 1, 0, 5, 0, 123456, dt.UTC)


def status(wanted: Pod, seen: Observed, *, now: dt.datetime = NOW, seconds: float = 100.0) -> PodStatus:
    return pod_status(wanted, seen, node_ip="10.0.0.9", now=now, now_seconds=seconds)


def ready(seen: Observed, *states: ContainerState) -> Observed:
    verdicts = {known.name: ProbeVerdict(container_id=known.id, started=True, ready=True) for known in states}
    return msgspec.structs.replace(seen, probes=verdicts)


def conditions(found: PodStatus) -> dict[str, str]:
    return {condition.type: condition.status for condition in found.conditions}


def test_a_pod_whose_containers_are_ready_is_running_and_ready() -> None:
    main = state()
    found = status(pod(), ready(observed(main), main))
    assert found.phase == "Running" and set(conditions(found).values()) == {"True"}
    only = found.container_statuses[0]
    assert (only.ready, only.started, only.restart_count, only.container_id) == (True, True, 0, "podman://main-0")
    assert only.state is not None and only.state.running is not None
    assert (found.pod_ip, found.host_ip, found.qos_class) == ("10.0.0.1", "10.0.0.9", "BestEffort")
    assert found.start_time == NOW.replace(microsecond=0)


def test_a_pod_with_one_container_never_started_is_pending() -> None:
    wanted = pod(containers=(container("a"), container("b")))
    found = status(wanted, observed(state("a"), state("b", phase="created")))
    assert found.phase == "Pending" and conditions(found)["ContainersReady"] == "False"
    not_ready = next(condition for condition in found.conditions if condition.type == "ContainersReady")
    assert not_ready.message == "containers with unready status: [a b]"


@pytest.mark.parametrize(
    ("policy", "codes", "phase"),
    [
        ("Always", (0, 0), "Running"),
        ("OnFailure", (0, 1), "Running"),
        ("OnFailure", (0, 0), "Succeeded"),
        ("Never", (0, 0), "Succeeded"),
        ("Never", (0, 1), "Failed"),
    ],
)
def test_the_phase_of_a_pod_whose_containers_have_ended(policy: str, codes: tuple[int, int], phase: str) -> None:
    wanted = pod(containers=(container("a"), container("b")), restart_policy=policy)
    seen = observed(state("a", phase="exited", code=codes[0]), state("b", phase="exited", code=codes[1]))
    assert status(wanted, seen).phase == phase


def test_an_end_is_final() -> None:
    wanted = msgspec.structs.replace(pod(restart_policy="Never"), status=PodStatus(phase="Failed"))
    assert status(wanted, Observed()).phase == "Failed"


def test_transition_times_move_only_when_the_status_turns() -> None:
    main = state()
    first = status(pod(), observed(main))
    later = NOW + dt.timedelta(minutes=1)
    second = status(msgspec.structs.replace(pod(), status=first), ready(observed(main), main), now=later)
    moments = {condition.type: condition.last_transition_time for condition in second.conditions}
    assert moments["Initialized"] == NOW.replace(microsecond=0)
    assert moments["Ready"] == later.replace(microsecond=0)
    assert second.start_time == first.start_time


def test_a_crash_loop_shows_the_wait_and_the_last_end() -> None:
    seen = msgspec.structs.replace(observed(state(phase="exited", code=2)), backoff_seconds={"main": 20.0})
    found = status(pod(), seen, seconds=105.0)
    only = found.container_statuses[0]
    assert only.state is not None and only.state.waiting is not None
    assert only.state.waiting.reason == "CrashLoopBackOff"
    assert (only.state.waiting.message or "").startswith(
        "back-off 20s restarting failed container=main pod=web_default"
    )
    assert only.last_state is not None and only.last_state.terminated is not None
    assert only.last_state.terminated.exit_code == 2 and found.phase == "Running"


def test_what_begins_to_be_held_back_is_told_once() -> None:
    crashed = msgspec.structs.replace(observed(state(phase="exited", code=2)), backoff_seconds={"main": 20.0})
    running, held = status(pod(), observed(state())), status(pod(), crashed, seconds=105.0)
    assert held_back(running, held) == [("main", "Warning", "Back-off restarting failed container main")]
    assert held_back(held, held) == held_back(held, running) == []


@pytest.mark.parametrize(
    ("ended", "reason", "code"),
    [
        (state(phase="exited", code=0), "Completed", 0),
        (state(phase="exited", code=3), "Error", 3),
        (msgspec.structs.replace(state(phase="exited", code=137), oom_killed=True), "OOMKilled", 137),
        (state(phase="exited", code=-1), "Unknown", 255),
    ],
)
def test_how_a_container_ended(ended: ContainerState, reason: str, code: int) -> None:
    found = status(pod(restart_policy="Never"), observed(ended)).container_statuses[0]
    assert found.state is not None and found.state.terminated is not None
    assert (found.state.terminated.reason, found.state.terminated.exit_code) == (reason, code)


def test_a_failed_pull_shows_the_error_first_and_the_back_off_then() -> None:
    problem = sync.retry(None, "ErrImagePull", "manifest unknown", 100.0)
    seen = msgspec.structs.replace(observed(), problems={"main": problem})

    def waiting(seconds: float) -> str:
        current = status(pod(), seen, seconds=seconds).container_statuses[0].state
        assert current is not None and current.waiting is not None
        return current.waiting.reason or ""

    assert (waiting(100.0), waiting(105.0)) == ("ErrImagePull", "ImagePullBackOff")


def test_while_init_containers_run_the_others_wait_for_them() -> None:
    wanted = pod(init_containers=(container("init"),))
    found = status(wanted, observed(state("init")))
    assert found.phase == "Pending" and conditions(found)["Initialized"] == "False"
    current = found.container_statuses[0].state
    assert current is not None and current.waiting is not None and current.waiting.reason == "PodInitializing"


def test_readiness_gates_hold_back_ready_but_not_the_containers() -> None:
    main = state()
    wanted = pod(readiness_gates=(PodReadinessGate(condition_type="example.com/lb"),))
    found = conditions(status(wanted, ready(observed(main), main)))
    assert (found["ContainersReady"], found["Ready"]) == ("True", "False")


@pytest.mark.parametrize(
    ("requests", "limits", "expected"),
    [
        ({}, {}, "BestEffort"),
        ({"cpu": "1"}, {}, "Burstable"),
        ({"cpu": "1", "memory": "1Gi"}, {"cpu": "1000m", "memory": "1024Mi"}, "Guaranteed"),
        ({}, {"cpu": "1", "memory": "1Gi"}, "Guaranteed"),
        ({}, {"memory": "1Gi"}, "Burstable"),
    ],
)
def test_quality_of_service(requests: dict[str, str], limits: dict[str, str], expected: str) -> None:
    resources = ResourceRequirements(requests=requests, limits=limits)
    assert qos_class(pod(containers=(container(resources=resources),))) == expected

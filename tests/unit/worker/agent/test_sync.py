"""What to do next for a pod, step by step, with hand-made observations."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.api.pod import Pod
from orchestr8.worker.agent.pods import sync
from orchestr8.worker.agent.pods.observed import Observed, ProbeVerdict
from orchestr8.worker.agent.pods.sync import (
    AttachNetwork,
    CreateContainer,
    Desired,
    EnsureImage,
    PrepareFiles,
    PrepareSandbox,
    RemoveContainer,
    RemovePod,
    StartContainer,
    Step,
    StopContainer,
    decide,
)
from orchestr8.worker.runtime.base import ContainerPhase, ContainerState, Sandbox
from tests.unit.worker.agent.world import container, pod

WALL = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
TWO = pod(containers=(container("a"), container("b")))


def state(
    name: str = "main", attempt: int = 0, phase: str = "running", code: int | None = None, ran_seconds: float = 1
) -> ContainerState:
    ended = phase == "exited"
    return ContainerState(
        id=f"{name}-{attempt}",
        name=name,
        attempt=attempt,
        phase=ContainerPhase(phase),
        image="i",
        started_at=WALL if phase != "created" else None,
        finished_at=WALL + dt.timedelta(seconds=ran_seconds) if ended else None,
        exit_code=code if ended else None,
    )


def observed(*states: ContainerState, pid: int = 7, attached: int = 7, exited_at: float = 100.0) -> Observed:
    sandbox = Sandbox(id="s", pod_uid="u", labels={}, network_pid=pid, created_at=WALL, containers=states)
    found = Observed(ip="10.0.0.1", attached_pid=attached, files_ready=True).with_sandbox(sandbox, exited_at)
    return msgspec.structs.replace(found, images=frozenset(("a", "b", "main", "init", "second")))


def steps(wanted: Pod, seen: Observed, now: float = 100.0) -> list[Step]:
    return list(decide(Desired(pod=wanted), seen, {}, now).steps)


def kinds(wanted: Pod, seen: Observed, now: float = 100.0) -> list[type[Step]]:
    return [type(step) for step in steps(wanted, seen, now)]


def test_a_new_pod_prepares_files_sandbox_and_images_at_once() -> None:
    assert kinds(TWO, Observed()) == [PrepareFiles, PrepareSandbox, EnsureImage, EnsureImage]


def test_the_network_and_the_containers_are_made_at_once_but_nothing_starts_without_network() -> None:
    fresh: list[type[Step]] = [AttachNetwork, CreateContainer, CreateContainer]
    assert kinds(TWO, observed(attached=0)) == fresh
    created = (state("a", phase="created"), state("b", phase="created"))
    assert steps(TWO, observed(*created, attached=0)) == [AttachNetwork(network_pid=7)]
    assert kinds(TWO, observed(*created)) == [StartContainer, StartContainer]


def test_a_pod_that_runs_needs_nothing() -> None:
    decision = decide(Desired(pod=TWO), observed(state("a"), state("b")), {}, 100.0)
    assert decision.steps == () and decision.wake_at is None


def test_after_a_reboot_the_sandbox_starts_first_and_then_the_next_attempt() -> None:
    ended = state(phase="exited", code=-1)
    assert steps(pod(), observed(ended, pid=0, attached=0)) == [PrepareSandbox(sandbox_id="s")]
    assert steps(pod(), observed(ended)) == [CreateContainer(container="main", attempt=1)]


def test_containers_of_a_dead_sandbox_are_stopped_before_it_starts_again() -> None:
    assert kinds(pod(), observed(state(), pid=0)) == [StopContainer]


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [("Always", 0, True), ("Always", 1, True), ("OnFailure", 0, False), ("OnFailure", 1, True), ("Never", 1, False)],
)
def test_the_restart_policy_decides(policy: str, code: int, again: bool) -> None:
    wanted = kinds(pod(restart_policy=policy), observed(state(phase="exited", code=code)))
    assert wanted == ([CreateContainer] if again else [])


def test_restarts_wait_0_10_20_up_to_300_seconds_and_start_over_after_ten_quiet_minutes() -> None:
    seen, waits = observed(state(phase="exited", code=1)), []
    for attempt in range(8):
        ended = state(attempt=attempt, phase="exited", code=1)
        seen = msgspec.structs.replace(seen.with_state(ended), exits={ended.id: 100.0})
        waits.append(sync.restart_at(seen, ended) - 100.0)
        backoff = {"main": sync.backoff_after(seen, ended)}
        seen = msgspec.structs.replace(seen, backoff_seconds=backoff)
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]
    quiet = state(attempt=9, phase="exited", code=1, ran_seconds=601)
    seen = msgspec.structs.replace(seen.with_state(quiet), exits={quiet.id: 100.0})
    assert sync.restart_at(seen, quiet) == 100.0 and sync.backoff_after(seen, quiet) == 10


def test_a_restart_that_waits_says_when_to_look_again() -> None:
    seen = msgspec.structs.replace(observed(state(phase="exited", code=1)), backoff_seconds={"main": 10.0})
    decision = decide(Desired(pod=pod()), seen, {}, 105.0)
    assert decision.steps == () and decision.wake_at == 110.0
    assert kinds(pod(), seen, 110.0) == [CreateContainer]


def test_an_unhealthy_container_is_stopped_with_its_grace() -> None:
    seen = observed(state())
    verdict = ProbeVerdict(container_id="main-0", started=True, unhealthy="liveness probe failed")
    seen = msgspec.structs.replace(seen, probes={"main": verdict})
    (step,) = steps(pod(termination_grace_period_seconds=7), seen)
    assert isinstance(step, StopContainer) and step.deadline == 107.0
    # The verdict belongs to that attempt alone.
    assert kinds(pod(), msgspec.structs.replace(observed(state(attempt=1)), probes={"main": verdict})) == []


def test_init_containers_go_first_one_at_a_time_while_images_of_the_others_come() -> None:
    wanted = pod(init_containers=(container("init"), container("second")))
    fresh = msgspec.structs.replace(observed(), images=frozenset(("init",)))
    assert steps(wanted, fresh)[0] == CreateContainer(container="init", attempt=0)
    assert [type(step) for step in steps(wanted, fresh)][1:] == [EnsureImage]
    done = observed(state("init", phase="exited", code=0))
    assert steps(wanted, done) == [CreateContainer(container="second", attempt=0)]
    both = observed(state("init", phase="exited", code=0), state("second", phase="exited", code=0))
    assert steps(wanted, both) == [CreateContainer(container="main", attempt=0)]


def test_a_failed_init_container_is_tried_again_or_ends_the_pod() -> None:
    failed = observed(state("init", phase="exited", code=1))
    assert kinds(pod(init_containers=(container("init"),)), failed) == [CreateContainer]
    assert kinds(pod(init_containers=(container("init"),), restart_policy="Never"), failed) == []


def test_a_main_container_that_exists_proves_that_init_is_over() -> None:
    wanted = pod(init_containers=(container("init"),))
    assert kinds(wanted, observed(state(phase="exited", code=1))) == [CreateContainer]


def test_only_two_attempts_are_kept() -> None:
    attempts = (state(attempt=0, phase="exited", code=1), state(attempt=1, phase="exited", code=1), state(attempt=2))
    assert steps(pod(), observed(*attempts)) == [RemoveContainer(container="main", container_id="main-0")]


def test_a_problem_waits_until_its_time() -> None:
    problem = sync.retry(None, "ErrImagePull", "no", 100.0)
    seen = msgspec.structs.replace(observed(), problems={"main": problem}, images=frozenset())
    assert kinds(pod(), seen, 109.0) == []
    assert kinds(pod(), seen, 110.0) == [EnsureImage]
    assert sync.retry(problem, "ErrImagePull", "no", 110.0).retry_at == 130.0


def test_stopping_kills_all_at_once_and_removes_when_nothing_runs_or_is_under_way() -> None:
    desired = Desired(pod=TWO, stop_deadline=130.0)
    running = observed(state("a"), state("b"))
    assert [type(step) for step in decide(desired, running, {}, 100.0).steps] == [StopContainer] * 2
    ended = observed(state("a", phase="exited", code=0), state("b", phase="exited", code=0))
    assert decide(desired, ended, {}, 100.0).steps == (RemovePod(),)
    busy: dict[str, Step] = {"PrepareSandbox": PrepareSandbox()}
    assert decide(desired, Observed(), busy, 100.0).steps == ()


def test_stopping_gives_up_pulls_and_stops_that_have_more_time_than_is_left() -> None:
    pull = EnsureImage(container="a", image="i", policy="Always")
    patient = StopContainer(container="b", container_id="b-0", deadline=600.0, why="")
    busy: dict[str, Step] = {pull.key: pull, patient.key: patient}
    decision = decide(Desired(pod=TWO, stop_deadline=130.0), observed(state("b")), busy, 100.0)
    assert decision.cancel == {pull.key, patient.key}


STATES = st.builds(
    state,
    name=st.sampled_from(["a", "b", "init"]),
    attempt=st.integers(0, 4),
    phase=st.sampled_from(["created", "running", "exited"]),
    code=st.integers(-1, 137),
)


@given(
    st.lists(STATES, max_size=6, unique_by=lambda known: known.id),
    st.sampled_from(["Always", "OnFailure", "Never"]),
    st.booleans(),
    st.integers(0, 7),
    st.integers(0, 7),
)
def test_steps_under_way_are_never_decided_again_and_wake_ups_lie_ahead(
    states: list[ContainerState], policy: str, stopping: bool, pid: int, attached: int
) -> None:
    wanted = pod(
        containers=(container("a"), container("b")), init_containers=(container("init"),), restart_policy=policy
    )
    seen = observed(*states, pid=pid, attached=attached)
    desired = Desired(pod=wanted, stop_deadline=130.0 if stopping else None)
    first = decide(desired, seen, {}, 100.0)
    keys = [step.key for step in first.steps]
    assert len(keys) == len(set(keys))
    again = decide(desired, seen, {step.key: step for step in first.steps}, 100.0)
    assert not {step.key for step in again.steps} & set(keys)
    assert first.wake_at is None or first.wake_at > 100.0

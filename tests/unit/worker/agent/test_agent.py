"""The whole agent on a virtual clock: real sessions, tasks and decisions, fake runtime, host and network."""

from __future__ import annotations

import msgspec
import pytest
import trio
from trio.testing import MockClock

from orchestr8.api.config import ConfigMap
from orchestr8.api.meta import ObjectMeta
from orchestr8.api.pod import (
    ConfigMapKeySelector,
    EnvVar,
    EnvVarSource,
    ExecAction,
    HTTPGetAction,
    Lifecycle,
    LifecycleHandler,
    Probe,
)
from orchestr8.errors import BadRequest, NotFound
from orchestr8.worker.agent.node.host import HttpRequest, ProbeFailed
from orchestr8.worker.agent.node.upkeep import MEND_SECONDS
from orchestr8.worker.network.base import ServicePort
from orchestr8.worker.runtime.base import SandboxSpec
from tests.unit.worker.agent.world import IMAGE, container, pod, world


async def test_a_bound_pod_runs_with_an_address_and_is_ready(autojump_clock: MockClock) -> None:
    async with world() as w:
        web = pod()
        w.cluster.put(web)
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))
        status = w.cluster.statuses["uid-web"]
        assert (status.phase, status.pod_ip, status.host_ip) == ("Running", "10.70.1.1", "10.0.0.9")
        assert w.network.addresses == {"uid-web": "10.70.1.1"}
        assert [condition.status for condition in status.conditions] == ["True"] * 5
        await w.cluster.until(lambda: len(w.cluster.events) == 3)
        assert [reason for reason, _ in w.cluster.events] == ["Pulled", "Created", "Started"]


async def test_a_pod_is_running_after_four_runtime_calls_and_little_else(autojump_clock: MockClock) -> None:
    async with world() as w:
        await w.cluster.until(lambda: bool(w.cluster.heartbeats))
        began = trio.current_time()
        w.cluster.put(pod())
        await w.cluster.until(lambda: w.cluster.phase("uid-web") == "Running")
        assert trio.current_time() - began < 0.4


async def test_a_killed_process_runs_again_at_once_and_the_second_time_after_ten_seconds(
    autojump_clock: MockClock,
) -> None:
    async with world() as w:
        w.cluster.put(pod())
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))
        began = trio.current_time()
        w.runtime.kill((await w.running("uid-web"))[0].id)
        await w.cluster.until(lambda: w.cluster.restarts("uid-web") == 1 and w.cluster.ready("uid-web"))
        assert trio.current_time() - began < 0.5

        w.runtime.kill((await w.running("uid-web"))[0].id)
        await w.cluster.until(lambda: w.cluster.waiting("uid-web") == "CrashLoopBackOff")
        last = w.cluster.statuses["uid-web"].container_statuses[0].last_state
        assert last is not None and last.terminated is not None and last.terminated.exit_code == 137
        began = trio.current_time()
        await w.cluster.until(lambda: w.cluster.restarts("uid-web") == 2)
        assert 9 < trio.current_time() - began < 11


async def test_a_deleted_pod_gets_sigterm_then_everything_of_it_is_gone(autojump_clock: MockClock) -> None:
    async with world() as w:
        web = pod(containers=(container(script="trap 'exit 0' TERM; serve"),))
        w.cluster.put(web)
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))
        began = trio.current_time()
        w.cluster.delete(web, w.clock)
        await w.cluster.until(lambda: w.cluster.finished == ["uid-web"])
        assert trio.current_time() - began < 1
        assert await w.runtime.list_sandboxes() == []
        assert w.network.addresses == {} and await w.host.pods_with_files() == frozenset()


async def test_a_process_that_ignores_sigterm_is_killed_after_the_grace_period(autojump_clock: MockClock) -> None:
    async with world() as w:
        web = pod()
        w.cluster.put(web)
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))
        began = trio.current_time()
        w.cluster.delete(web, w.clock, grace_seconds=7)
        await w.cluster.until(lambda: bool(w.cluster.finished))
        assert 7 <= trio.current_time() - began < 8


async def test_a_second_delete_with_a_shorter_grace_is_obeyed(autojump_clock: MockClock) -> None:
    async with world() as w:
        web = pod()
        w.cluster.put(web)
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))
        began = trio.current_time()
        w.cluster.delete(web, w.clock, grace_seconds=500)
        await trio.sleep(2)
        w.cluster.delete(web, w.clock, grace_seconds=0)
        await w.cluster.until(lambda: bool(w.cluster.finished))
        assert trio.current_time() - began < 3


async def test_the_pre_stop_hook_runs_before_sigterm(autojump_clock: MockClock) -> None:
    async with world() as w:
        hook = Lifecycle(pre_stop=LifecycleHandler(exec=ExecAction(command=("sleep", "4"))))
        web = pod(containers=(container(script="trap 'exit 0' TERM; serve", lifecycle=hook),))
        w.cluster.put(web)
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))
        began = trio.current_time()
        w.cluster.delete(web, w.clock)
        await w.cluster.until(lambda: bool(w.cluster.finished))
        assert 4 < trio.current_time() - began < 5


async def test_a_failing_post_start_hook_stops_the_container(autojump_clock: MockClock) -> None:
    async with world() as w:
        hook = Lifecycle(post_start=LifecycleHandler(exec=ExecAction(command=("false",))))
        w.cluster.put(pod(containers=(container(lifecycle=hook),), termination_grace_period_seconds=0))
        await w.cluster.until(lambda: w.cluster.waiting("uid-web") == "CrashLoopBackOff")
        assert "FailedPostStartHook" in [reason for reason, _ in w.cluster.events]


async def test_old_pods_end_before_new_ones_start(autojump_clock: MockClock) -> None:
    async with world() as w:
        old, new = pod(uid="uid-old"), pod(uid="uid-new")
        w.cluster.put(old)
        await w.cluster.until(lambda: w.cluster.ready("uid-old"))
        w.cluster.put(new)  # the same name: the old one has left the set
        while await w.running("uid-old"):
            assert not await w.containers("uid-new")
        await w.cluster.until(lambda: w.cluster.ready("uid-new"))
        assert await w.containers("uid-old") == []


async def test_a_restarted_agent_adopts_its_containers_and_restarts_none(autojump_clock: MockClock) -> None:
    async with world() as w:
        probe = Probe(http_get=HTTPGetAction(port=80), initial_delay_seconds=5, period_seconds=5)
        w.cluster.put(pod(containers=(container(readiness_probe=probe),)))
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))
        await trio.sleep(2)  # the set on the disk says ready by now
        before = await w.running("uid-web")
        await w.kill_agent()
        w.cluster.told.clear()
        await w.start_agent()
        await w.cluster.until(lambda: bool(w.cluster.told))
        await trio.sleep(60)
        assert await w.running("uid-web") == before
        assert all(condition.status == "True" for _, _, status in w.cluster.told for condition in status.conditions), (
            "a restart of the agent made a ready pod look unready"
        )


async def test_an_exit_while_the_agent_was_down_is_seen(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.cluster.put(pod())
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))
        await trio.sleep(2)
        await w.kill_agent()
        w.runtime.kill((await w.running("uid-web"))[0].id)
        await trio.sleep(1)
        await w.start_agent()
        await w.cluster.until(lambda: w.cluster.restarts("uid-web") == 1)


async def test_with_all_masters_down_a_worker_starts_its_pods_from_the_disk(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.cluster.put(pod())
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))
        await trio.sleep(2)
        await w.kill_agent()
        await w.stop_master("m1")
        await w.stop_master("m2")
        w.runtime.lose_power()
        w.network.addresses.clear()
        w.host.boot_id = "boot-2"
        await w.start_agent()
        with trio.fail_after(30):
            while not await w.running("uid-web"):
                pass
        assert w.network.addresses == {"uid-web": "10.70.1.1"}
        await w.start_master("m2")
        await w.cluster.until(lambda: w.cluster.restarts("uid-web") == 1 and w.cluster.ready("uid-web"))
        last = w.cluster.statuses["uid-web"].container_statuses[0].last_state
        assert last is not None and last.terminated is not None and last.terminated.reason == "Unknown"


async def test_a_readiness_probe_takes_the_pod_out_and_back(autojump_clock: MockClock) -> None:
    async with world() as w:
        probe = Probe(http_get=HTTPGetAction(port=80), period_seconds=1, failure_threshold=1)
        w.cluster.put(pod(containers=(container(readiness_probe=probe),)))
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))
        w.host.http = lambda request: 503
        began = trio.current_time()
        await w.cluster.until(lambda: not w.cluster.ready("uid-web"))
        assert trio.current_time() - began < 1.2
        w.host.http = lambda request: 200
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))
        assert w.cluster.restarts("uid-web") == 0


async def test_a_failing_liveness_probe_restarts_the_container(autojump_clock: MockClock) -> None:
    async with world() as w:
        probe = Probe(http_get=HTTPGetAction(port=80), period_seconds=1, failure_threshold=3)
        w.cluster.put(pod(containers=(container(liveness_probe=probe),), termination_grace_period_seconds=1))
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))

        def refuse(request: HttpRequest) -> int:
            raise ProbeFailed("connection refused")

        w.host.http = refuse
        await w.cluster.until(lambda: w.cluster.restarts("uid-web") == 1)
        assert ("Unhealthy", "Liveness probe failed: connection refused") in w.cluster.events


async def test_a_startup_probe_holds_back_liveness(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.host.http = lambda request: 503 if trio.current_time() < 20 else 200
        probe = HTTPGetAction(port=80)
        slow = container(
            startup_probe=Probe(http_get=probe, period_seconds=1, failure_threshold=60),
            liveness_probe=Probe(http_get=probe, period_seconds=1, failure_threshold=1),
        )
        w.cluster.put(pod(containers=(slow,)))
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))
        assert trio.current_time() >= 20 and w.cluster.restarts("uid-web") == 0


async def test_init_containers_run_one_after_the_other_before_the_rest(autojump_clock: MockClock) -> None:
    async with world() as w:
        inits = (container("first", "sleep 3"), container("second", "sleep 2"))
        w.cluster.put(pod(init_containers=inits))
        await w.cluster.until(lambda: w.cluster.waiting("uid-web") == "PodInitializing")
        assert w.cluster.phase("uid-web") == "Pending"
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))
        states = {state.name: state for state in await w.containers("uid-web")}
        first, second, main = states["first"], states["second"], states["main"]
        assert first.finished_at is not None and second.started_at is not None and second.finished_at is not None
        assert main.started_at is not None
        assert first.finished_at <= second.started_at and second.finished_at <= main.started_at


async def test_an_image_that_cannot_be_pulled_is_told_and_tried_again(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.runtime.images.clear()
        w.runtime.registry = set()
        w.cluster.put(pod())
        await w.cluster.until(lambda: w.cluster.waiting("uid-web") == "ErrImagePull")
        await w.cluster.until(lambda: w.cluster.waiting("uid-web") == "ImagePullBackOff")
        w.runtime.registry = {IMAGE}
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))
        assert [reason for reason, _ in w.cluster.events][:2] == ["Pulling", "Failed"]


async def test_a_pull_in_progress_does_not_hold_up_a_deletion(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.runtime.images.clear()
        w.runtime.fail = lambda verb: None
        web = pod()

        async def never(reference: str) -> object:
            await trio.sleep_forever()

        w.runtime.pull_image = never  # type: ignore[assignment,method-assign]
        w.cluster.put(web)
        await w.cluster.until(lambda: "Pulling" in [reason for reason, _ in w.cluster.events])
        w.cluster.delete(web, w.clock)
        began = trio.current_time()
        await w.cluster.until(lambda: bool(w.cluster.finished))
        assert trio.current_time() - began < 1


async def test_a_missing_config_map_holds_the_container_until_it_comes(autojump_clock: MockClock) -> None:
    async with world() as w:
        source = EnvVarSource(config_map_key_ref=ConfigMapKeySelector(name="conf", key="greeting"))
        variable = EnvVar(name="GREETING", value_from=source)
        w.cluster.put(pod(containers=(container(script="echo $GREETING; serve", env=(variable,)),)))
        await w.cluster.until(lambda: w.cluster.waiting("uid-web") == "CreateContainerConfigError")
        conf = ConfigMap(metadata=ObjectMeta(name="conf", namespace="default"), data={"greeting": "hello"})
        began = trio.current_time()
        w.cluster.put(conf)
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))
        assert trio.current_time() - began < 1
        assert await read_logs(w.connection(), uid="uid-web") == b"hello\n"


@pytest.mark.parametrize(
    ("script", "policy", "phase"),
    [("exit 0", "Never", "Succeeded"), ("exit 3", "Never", "Failed"), ("exit 0", "OnFailure", "Succeeded")],
)
async def test_a_pod_that_ends_for_good_says_how(
    script: str, policy: str, phase: str, autojump_clock: MockClock
) -> None:
    async with world() as w:
        w.cluster.put(pod(containers=(container(script=script),), restart_policy=policy))
        await w.cluster.until(lambda: w.cluster.phase("uid-web") == phase)
        await trio.sleep(60)
        assert len(await w.containers("uid-web")) == 1


async def test_a_command_that_does_not_exist_is_a_start_error(autojump_clock: MockClock) -> None:
    async with world() as w:
        broken = msgspec.structs.replace(container(), command=("nope",))
        w.cluster.put(pod(containers=(broken,), restart_policy="Never"))
        await w.cluster.until(lambda: w.cluster.phase("uid-web") == "Failed")
        state = w.cluster.statuses["uid-web"].container_statuses[0].state
        assert state is not None and state.terminated is not None
        assert (state.terminated.reason, state.terminated.exit_code) == ("StartError", 128)


async def test_what_carries_our_label_but_is_in_no_set_goes_once_a_master_has_confirmed_it(
    autojump_clock: MockClock,
) -> None:
    async with world(agent=False, masters=()) as w:
        await w.runtime.create_sandbox(SandboxSpec(pod_uid="lost", namespace="default", name="lost", hostname="lost"))
        await w.start_agent()
        await trio.sleep(120)
        assert len(await w.runtime.list_sandboxes()) == 1, "the disk alone condemned a pod"
        await w.start_master("m1")
        with trio.fail_after(60):
            while await w.runtime.list_sandboxes():
                pass


async def test_a_node_goes_on_with_another_master(autojump_clock: MockClock) -> None:
    async with world() as w:
        await w.cluster.until(lambda: bool(w.cluster.heartbeats))
        first = w.cluster.heartbeats[-1]
        began = trio.current_time()
        await w.stop_master(first)
        await w.cluster.until(lambda: w.cluster.heartbeats[-1] != first)
        assert trio.current_time() - began < 2


async def test_a_master_without_contact_to_the_others_is_left(autojump_clock: MockClock) -> None:
    async with world() as w:
        await w.cluster.until(lambda: bool(w.cluster.heartbeats))
        first = w.cluster.heartbeats[-1]
        w.masters[first].out_of_contact = True
        await w.cluster.until(lambda: w.cluster.heartbeats[-1] != first)


async def test_a_short_silence_of_the_runtime_harms_no_pod(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.cluster.put(pod())
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))
        before = await w.running("uid-web")
        w.runtime.available = False
        beats = len(w.cluster.heartbeats)
        await trio.sleep(60)
        assert len(w.cluster.heartbeats) - beats >= 55, "heartbeats waited for the runtime"
        assert w.cluster.node is not None
        w.runtime.available = True
        await trio.sleep(30)
        assert await w.running("uid-web") == before


async def test_a_hung_runtime_makes_the_node_not_ready_for_as_long_and_stops_no_heartbeat(
    autojump_clock: MockClock,
) -> None:
    async with world() as w:
        w.cluster.put(pod())
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))
        before = await w.running("uid-web")
        w.runtime.hangs = True
        began, beats = trio.current_time(), len(w.cluster.heartbeats)
        await w.cluster.until(lambda: w.cluster.condition("Ready") == "False")
        assert trio.current_time() - began <= 30
        await trio.sleep(30)
        w.runtime.hangs = False
        began = trio.current_time()
        await w.cluster.until(lambda: w.cluster.condition("Ready") == "True")
        assert trio.current_time() - began <= 30
        assert len(w.cluster.heartbeats) - beats >= 40
        await trio.sleep(100)
        assert await w.running("uid-web") == before


async def test_logs_of_the_attempt_before_are_still_there(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.cluster.put(pod(containers=(container(script="echo once; sleep 5; exit 1"),)))
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))
        with pytest.raises(BadRequest, match="previous"):
            await read_logs(w.connection(), uid="uid-web", previous=True)
        await w.cluster.until(lambda: w.cluster.restarts("uid-web") == 1)
        assert await read_logs(w.connection(), uid="uid-web", previous=True) == b"once\n"
        with pytest.raises(NotFound):
            await read_logs(w.connection(), uid="uid-other")
        with pytest.raises(BadRequest, match="not valid"):
            await read_logs(w.connection(), uid="uid-web", container="sidecar")


async def test_masters_read_logs_and_run_commands_over_the_nodes_own_session(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.cluster.put(pod(containers=(container(script="echo one; echo two; serve"),)))
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))
        connection = w.connection()
        assert await read_logs(connection, uid="uid-web") == b"one\ntwo\n"
        assert await read_logs(connection, uid="uid-web", tail_lines=1) == b"two\n"
        params = {"uid": "uid-web", "command": ["sh", "-c", "cat; exit 4"], "stdin": True}
        async with connection.stream("pod.exec", params) as stream:
            await stream.send({"channel": "stdin", "data": b"typed"})
            await stream.send({"stdin_closed": True})
            said = [message async for message in stream]
        assert said == [{"channel": "stdout", "data": b"typed"}, {"exit_code": 4}]


async def read_logs(connection: object, **params: object) -> bytes:
    async with connection.stream("pod.logs", params) as stream:  # type: ignore[attr-defined]
        return b"".join([piece async for piece in stream])


async def test_rules_that_somebody_flushed_are_asked_for_again(autojump_clock: MockClock) -> None:
    async with world() as w:
        told: list[float] = []
        sync = w.network.sync_services

        async def noted(ports: tuple[ServicePort, ...]) -> None:
            told.append(trio.current_time())
            await sync(ports)

        w.network.sync_services = noted  # type: ignore[method-assign]
        w.cluster.put(pod())
        await w.cluster.until(lambda: w.cluster.ready("uid-web"))
        before = len(told)
        await trio.sleep(3 * MEND_SECONDS)
        assert len(told) >= before + 2
